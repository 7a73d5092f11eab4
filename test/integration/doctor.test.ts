/** The doctor, of real brokers and a real engine: what is wrong is told, with what to do; nothing is changed. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import kafkajs, { type Admin } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Lease } from '../../aggregator/coordination/lease.ts';
import { LEDGER_LEASE } from '../../aggregator/coordination/writer.ts';
import { openStore } from '../../aggregator/store/clickhouse/open.ts';
import { ClickHouseStore } from '../../aggregator/store/clickhouse/server.ts';
import { powerFinding, rightsFinding } from '../../aggregator/store/examination.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { KafkaLog } from '../../core/eventlog/kafka.ts';
import { SystemClock, type Clock } from '../../core/runtime/clock.ts';
import { mergeConfig, type ConfigTree } from '../../core/runtime/config.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { Finding } from '../../core/runtime/finding.ts';
import { Secret } from '../../core/runtime/secret.ts';
import { runDoctor } from '../../doctor.ts';
import { startClickHouseFront, type ClickHouseFront } from '../support/clickhouse-front.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { kafkaLog, PARTITIONS, record } from '../support/kafka/kafka-log.ts';

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs;
const PASSWORD = 'a-password-nobody-may-see';
const GROUP = 'doctors-aggregator';
const HOUR_MS = 3_600_000;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'doctor-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true });
});

async function file(name: string, values: unknown): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, JSON.stringify(values));
  return path;
}

interface Report {
  readonly status: number;
  readonly text: string;
  readonly of: (name: string) => Finding | undefined;
}

async function doctor(options: Parameters<typeof runDoctor>[0], clock?: Clock): Promise<Report> {
  let text = '';
  const print = (answer: string | Uint8Array): void => {
    text += String(answer);
  };
  const deps = { print, note: print, ...(clock === undefined ? {} : { clock }) };
  const status = await runDoctor({ ...options, format: 'json' }, deps);
  expect(text).not.toContain(PASSWORD);
  const findings = JSON.parse(text) as readonly Finding[];
  return { status, text, of: (name) => findings.find((finding) => finding.name === name) };
}

const aheadBy = (ms: number): Clock => {
  const real = new SystemClock();
  return { now: () => real.now() + ms, sleep: (...args) => real.sleep(...args) };
};

describe('without anything to connect to', () => {
  test('a file with mistakes is told with all of them, and the rest is not checked', async () => {
    const config = await file('mistaken.json', {
      clusters: ['a'],
      kafka: { brokers: [], brocers: 1 },
      store: {},
    });
    const { status, of } = await doctor({ config });
    expect(status).toBe(1);
    expect(of('configuration')).toMatchObject({
      level: 'fail',
      seen: expect.stringMatching(/3 problems[^]*kafka.brokers[^]*brocers[^]*store.url/) as string,
    });
    expect(of('the rest')?.level).toBe('info');
  });

  test('variables count for what a role is told, as at its start', async () => {
    const away = { kafka: { brokers: ['127.0.0.1:1'] }, store: { url: 'http://127.0.0.1:1' } };
    vi.stubEnv('GH0STMETER_CLUSTERS', 'a');
    const { of } = await doctor({ config: await file('varied.json', away) });
    vi.unstubAllEnvs();
    expect(of('configuration')?.seen).toMatch(/varied.json is valid for the aggregator role$/);
    expect(of('kafka')?.level).toBe('info');
    expect(of('store')?.level).toBe('fail');
  });

  test('files of settings and of what is declared are read as a start would', async () => {
    const settings = await file('settings.json', { latenessMs: 'long' });
    const declared = await file('declared.json', { waivers: [{ period: '2026-13', cluster: 'a' }] });
    const { status, of } = await doctor({ data: join(directory, 'none'), settings, declared });
    expect(status).toBe(1);
    expect(of('settings file')).toMatchObject({ level: 'fail' });
    expect(of('declared file')?.seen).toMatch(/period: must be a month/);
    expect(of('data directory')).toMatchObject({ level: 'fail', advice: expect.any(String) as string });
  });

  test('a right that is missing is named with what grants it; a server that cannot tell is no failure', async () => {
    expect(await rightsFinding((right) => Promise.resolve(right !== 'ALTER ON *'))).toEqual({
      level: 'fail',
      name: 'store rights',
      seen: 'missing: ALTER ON * (* is the database)',
      advice: 'as an administrator: GRANT ALTER ON <database>.* TO <user>',
    });
    const old = new MeteringError('METER_STORE_REJECTED', 'Syntax error');
    expect(await rightsFinding(() => Promise.reject(old))).toMatchObject({ level: 'info' });
  });
});

test.each([
  [false, true, 'ok', /on the disk/],
  [true, false, 'ok', /several servers/],
  [false, false, 'warn', /may be lost/],
] as const)('of samples that are copied: %s, synced: %s, it says: %s', (isCopied, isSynced, level, seen) => {
  const finding = powerFinding({ isCopied, isSynced });
  expect(finding).toMatchObject({ level, seen: expect.stringMatching(seen) as string });
  expect(finding.advice === undefined).toBe(level === 'ok');
});

const missing = missingForKafka();

describe.skipIf(missing !== undefined)(`on a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  let broker: KafkaBroker;
  let front: ClickHouseFront;
  let log: KafkaLog;
  let role: ConfigTree;

  beforeAll(async () => {
    broker = await KafkaBroker.start({
      users: { plain: { metering: PASSWORD, nobody: PASSWORD }, scram: [] },
    });
    front = await startClickHouseFront({ path: join(directory, 'clickhouse'), password: PASSWORD });
    log = kafkaLog(broker.address);
    await log.ensureTopics(['usage.well', 'usage-ledger']);
    await log.append([record('usage.well', 'one'), record('usage.well', 'two')]);
    await grantRights();
    role = {
      kafka: kafkaAs('metering'),
      clusters: ['well'],
      ledgerTopic: {},
      store: { url: front.url, username: 'meter', password: PASSWORD },
    };
    const store = await openStore({ url: front.url, username: 'meter', password: new Secret(PASSWORD) });
    await store.close();
  });
  afterAll(async () => {
    await log.close();
    await front.close();
    await broker.stop();
  });

  function kafkaAs(username: string, password = PASSWORD): ConfigTree {
    return {
      brokers: [broker.saslAddress],
      groupId: GROUP,
      sasl: { mechanism: 'PLAIN', username, password },
      topics: { partitions: PARTITIONS, replicationFactor: 1, minInsyncReplicas: 1 },
    };
  }

  /** As whoever runs the brokers. */
  async function brokersAdmin(): Promise<Admin> {
    const quiet = { brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING };
    const admin = new kafkajs.Kafka(quiet).admin();
    await admin.connect();
    return admin;
  }

  async function groups(): Promise<readonly string[]> {
    const admin = await brokersAdmin();
    const found = await admin.listGroups();
    await admin.disconnect();
    return found.groups.map(({ groupId }) => groupId);
  }

  async function grantRights(): Promise<void> {
    const admin = await brokersAdmin();
    const { DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE } = AclOperationTypes;
    const rights = [
      ...[DESCRIBE, DESCRIBE_CONFIGS, READ].map(
        (operation) => ['metering', 'usage.well', operation] as const,
      ),
      ...[DESCRIBE, DESCRIBE_CONFIGS, WRITE].map(
        (operation) => ['metering', 'usage-ledger', operation] as const,
      ),
      ...[DESCRIBE, DESCRIBE_CONFIGS].map((operation) => ['nobody', 'usage', operation] as const),
    ].map(([user, resourceName, operation]) => ({
      user,
      resourceName,
      operation,
      resourceType: AclResourceTypes.TOPIC,
    }));
    const group = {
      user: 'metering',
      resourceName: GROUP,
      operation: READ,
      resourceType: AclResourceTypes.GROUP,
    };
    const acl = [...rights, group].map(({ user, ...right }) => ({
      ...{ ...right, principal: `User:${user}`, host: '*' },
      ...{ permissionType: AclPermissionTypes.ALLOW, resourcePatternType: ResourcePatternTypes.PREFIXED },
    }));
    await admin.createAcls({ acl });
    await admin.disconnect();
  }

  async function report(name: string, changed: ConfigTree, clock?: Clock): Promise<Report> {
    return await doctor({ config: await file(`${name}.json`, mergeConfig(role, changed)) }, clock);
  }

  test('what is well is told so, and stays as it was', async () => {
    const before = await log.endPositions(['usage.well', 'usage-ledger']);
    const { status, text, of } = await report('well', {});
    expect(text).not.toContain('"level":"fail"');
    expect(status).toBe(0);
    expect(of(`broker ${broker.saslAddress}`)?.seen).toMatch(/the cluster has 1 brokers, controller 1/);
    for (const topic of ['usage.well', 'usage-ledger']) expect(of(`topic ${topic}`)?.level).toBe('ok');
    expect(of('right to append to usage-ledger')).toMatchObject({ level: 'ok', seen: 'granted' });
    expect(of('right to read usage.well')?.seen).toMatch(/^granted; the newest record is of 20/);
    expect(of(`right to join group ${GROUP}`)?.seen).toBe('granted');
    expect(of(`lag of ${GROUP} in usage.well`)?.seen).toMatch(/^2 records wait to be read; nothing is/);
    for (const name of ['store', 'store clock', 'store rights', 'store schema', 'store version'])
      expect(of(name)).toMatchObject({ name, level: 'ok' });
    expect(of('store disk default')?.seen).toMatch(/GiB are free/);
    expect(of('store power failure')).toMatchObject({ level: 'warn' });
    expect(of('ledger writer')).toMatchObject({ level: 'info', seen: 'nobody has written yet' });
    expect(await log.endPositions(['usage.well', 'usage-ledger'])).toEqual(before);
    expect(await groups()).not.toContain(GROUP);
  });

  test('a port that nothing listens on, beside one that answers', async () => {
    const { status, of } = await report('port', { kafka: { brokers: ['127.0.0.1:1', broker.saslAddress] } });
    expect(status).toBe(1);
    expect(of('broker 127.0.0.1:1')).toMatchObject({
      level: 'fail',
      seen: expect.stringContaining('ECONNREFUSED') as string,
      advice: expect.stringContaining('see that it runs') as string,
    });
    expect(of('topic usage.well')?.level).toBe('ok');
  });

  test('a wrong password, of the brokers and of the store', async () => {
    const changed = { kafka: { sasl: { password: 'wrong' } }, store: { password: 'wrong' } };
    const { status, of } = await report('password', changed);
    expect(status).toBe(1);
    expect(of(`broker ${broker.saslAddress}`)?.seen).toMatch(/Invalid username or password/);
    expect(of('kafka')?.seen).toMatch(/not checked: no broker answers/);
    expect(of('store')).toMatchObject({
      level: 'fail',
      seen: expect.stringContaining('Authentication') as string,
    });
  });

  test('a topic that is missing, and one that keeps records too short', async () => {
    await log.ensureTopics(['usage.short']);
    const topics = { retentionMs: 14 * 24 * HOUR_MS };
    const kafka = {
      brokers: [broker.address],
      groupId: GROUP,
      topics: { ...topics, partitions: 1, replicationFactor: 1, minInsyncReplicas: 1 },
    };
    const config = await file('topics.json', { kafka, clusters: ['short', 'absent'], store: role['store'] });
    const { status, of } = await doctor({ config });
    expect(status).toBe(1);
    expect(of('topic usage.absent')).toMatchObject({
      level: 'fail',
      seen: 'is missing',
      advice: expect.stringMatching(/^run kafka-topics.sh .* --create --topic usage.absent /) as string,
    });
    expect(of('topic usage.short')).toMatchObject({
      seen: 'retention.ms is 604800000, not 1209600000 or more',
      advice: expect.stringMatching(/--add-config retention.ms=1209600000$/) as string,
    });
    expect(of('right to read usage.short')?.level).toBe('ok');
  });

  test('rights that are missing are named one by one', async () => {
    const { status, of } = await report('rights', { kafka: kafkaAs('nobody') });
    expect(status).toBe(1);
    for (const name of [
      'right to append to usage-ledger',
      'right to read usage.well',
      `right to join group ${GROUP}`,
    ])
      expect(of(name)).toMatchObject({
        level: 'fail',
        seen: expect.stringMatching(/as User:nobody: .*uthoriz/) as string,
        advice: expect.stringContaining('kafka-acls.sh') as string,
      });
  });

  test('a clock that is behind those of the store and of who appends', async () => {
    const { status, of } = await report('clock', {}, aheadBy(-HOUR_MS));
    expect(status).toBe(1);
    expect(of('store clock')).toMatchObject({
      level: 'fail',
      seen: expect.stringMatching(/3\d{3}.* s ahead of/) as string,
    });
    expect(of('clock of who appends to usage.well')?.level).toBe('fail');
  });

  test('a store that is away, or not there yet', async () => {
    const away = await report('away', { store: { url: 'http://127.0.0.1:1' } });
    expect(away.status).toBe(1);
    expect(away.of('store')).toMatchObject({
      level: 'fail',
      seen: expect.stringContaining('ECONNREFUSED') as string,
    });
    const none = await report('none', { store: { database: 'not_made' } });
    expect(none.of('store')).toMatchObject({
      level: 'warn',
      seen: expect.stringContaining('not there yet') as string,
    });
  });

  test('TLS that a port does not speak', async () => {
    const { status, of } = await report('tls', { kafka: { ssl: {} } });
    expect(status).toBe(1);
    expect(of(`broker ${broker.saslAddress}`)).toMatchObject({
      level: 'fail',
      advice: expect.stringContaining('ssl') as string,
    });
  });

  test('who writes the ledger, and a table that was altered by hand', async () => {
    const config = { url: front.url, username: 'meter', password: PASSWORD };
    const store = await ClickHouseStore.open(config);
    const deps = { store, clock: new SystemClock() };
    const holder = 'here/1/a';
    const lease = new Lease({ name: LEDGER_LEASE, holder, lastsMs: 60_000, isAlone: false }, deps);
    const epoch = await lease.take();
    await store.command('ALTER TABLE quarantine ADD COLUMN by_hand UInt8');
    const held = await report('held', {});
    expect(held.of('ledger writer')).toMatchObject({
      level: 'ok',
      seen: expect.stringMatching(/^here\/1\/a, epoch 1, for \d+ s more$/) as string,
    });
    await lease.release(epoch!);
    expect((await report('released', {})).of('ledger writer')?.seen).toMatch(
      /^nobody now; here\/1\/a stopped/,
    );
    const brief = new Lease({ name: LEDGER_LEASE, holder: 'here/2/b', lastsMs: 1, isAlone: false }, deps);
    await brief.take();
    const { text, of } = await report('silent', {});
    expect(of('ledger writer')).toMatchObject({
      level: 'warn',
      seen: expect.stringContaining('here/2/b was not heard of') as string,
    });
    expect(text).toMatch(/"level":"warn","name":"store schema","seen":"quarantine was altered: .*by_hand/);
    await store.close();
  });

  test('a schema of a newer program', async () => {
    const database = 'newer';
    const store = await ClickHouseStore.open({
      url: front.url,
      username: 'meter',
      password: PASSWORD,
      database,
    });
    await migrate(store, { directory: await mkdtemp(join(directory, 'no-schema-')) });
    const note = {
      version: 999,
      name: 'to_come',
      checksum: '0'.repeat(64),
      statement: 0,
      statements: 1,
      definition: '',
    };
    await store.insert('schema_migration', [note]);
    await store.close();
    const { status, of } = await report('newer', { store: { database } });
    expect(status).toBe(1);
    expect(of('store schema')).toMatchObject({
      level: 'fail',
      seen: expect.stringContaining(
        '999_to_come.sql: applied to the store, unknown to this program',
      ) as string,
    });
  });
});
