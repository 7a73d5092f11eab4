/**
 * A tiny gh0stplane (`billing-consumer.ts`) bills two months from the ledger feed alone, over a broker and a
 * ClickHouse side, while it, the API and the aggregator are killed: its totals are those of the statements.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../../aggregator/store/migrations.ts';
import { ClickHouseStore } from '../../aggregator/store/clickhouse/server.ts';
import { KafkaLog, kafkaLogSchema } from '../../core/eventlog/kafka.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { periodEnd, periodName, periodOf } from '../../core/metering/period.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { loadConfig } from '../../core/runtime/config.ts';
import { Scrapes } from '../support/accounts.ts';
import { SCHEMA_DIRECTORY } from '../support/chdb.ts';
import { startClickHouseFront, type ClickHouseFront } from '../support/clickhouse-front.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { Role } from '../support/role.ts';
import { until } from '../support/waiting.ts';
import { ROOT } from './program.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const TEN_YEARS_MS = 3_650 * DAY;
const CLUSTER = 'north';
const PATIENCE = { forMs: 90_000 };
const clock = new SystemClock();

/** Two months that are long over, whenever this runs. */
const now = new Date(clock.now());
const FIRST = periodOf(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 3));
const END = periodEnd(FIRST);
const SECOND = periodOf(END);
const SECOND_END = periodEnd(SECOND);

const NAMESPACES = Array.from({ length: 6 }, (_, i) => `ns-${i}`);
const owners = Object.fromEntries(NAMESPACES.map((name, i) => [name, i % 2 === 0 ? 'acme' : 'globex']));

/** Core-seconds of a pod in every namespace at the n-th scrape. */
function cpuAt(n: number, pod = 'a'): Record<string, number> {
  return Object.fromEntries(NAMESPACES.map((name, i) => [`${name}/${pod}`, n * (i + 1) * 7.25]));
}

const missing = missingForKafka();

describe.skipIf(missing !== undefined)(`over a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  const scrapes = new Scrapes();
  let broker: KafkaBroker;
  let front: ClickHouseFront;
  let directory: string;
  let log: KafkaLog;
  let api: string;
  let consumer: ChildProcess | undefined;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metering-billing-'));
    front = await startClickHouseFront({ path: join(directory, 'clickhouse') });
    const store = await ClickHouseStore.open({ url: front.url });
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    await store.close();
    broker = await KafkaBroker.start();
    log = new KafkaLog(loadConfig(kafkaLogSchema, { name: 'the test', values: kafka('nobody') }), {
      clock,
      facts: { event: () => undefined },
    });
    await log.ensureTopics([`usage.${CLUSTER}`]);
    const port = await freePort();
    api = `http://127.0.0.1:${port}`;
    const role = { store: { url: front.url }, ops: { port: 0 } };
    await writeFile(join(directory, 'api.json'), JSON.stringify({ ...role, api: { port } }));
    const aggregator = { ...role, kafka: kafka('aggregator'), clusters: [CLUSTER] };
    await writeFile(join(directory, 'aggregator.json'), JSON.stringify(aggregator));
  });
  afterEach(async () => {
    if (consumer !== undefined) await kill(consumer);
    await Role.killAll();
  });
  afterAll(async () => {
    await log.close();
    await broker.stop();
    await front.close();
    await rm(directory, { recursive: true });
  });

  const kafka = (groupId: string): Record<string, unknown> => ({
    ...{ brokers: [broker.address], groupId },
    topics: { partitions: 1, replicationFactor: 1, minInsyncReplicas: 1, retentionMs: TEN_YEARS_MS },
    membership: { sessionTimeoutMs: 6_000, heartbeatIntervalMs: 1_000 },
  });

  async function append(records: readonly LogRecord[]): Promise<void> {
    await log.append(
      records.map(({ topic, timestampMs, key, value }) => ({ topic, partition: 0, timestampMs, key, value })),
    );
  }

  const start = (role: 'aggregator' | 'api'): Role => new Role(role, join(directory, `${role}.json`));

  /** Its process, and how often it has kept a page. */
  function startConsumer(): { process: ChildProcess; pages: () => number } {
    const file = join(directory, 'billing.sqlite');
    const args = [
      '--import',
      './node-version.js',
      'test/e2e/billing-consumer.ts',
      api,
      file,
      periodName(SECOND),
    ];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    let pages = 0;
    child.stdout.on('data', (text: Buffer) => (pages += text.toString().split('\n').length - 1));
    consumer = child;
    return { process: child, pages: () => pages };
  }

  async function isClosed(period: string): Promise<true | undefined> {
    try {
      const response = await fetch(`${api}/api/v1/periods`);
      const { data } = (await response.json()) as { data: { period: string; state: string }[] };
      return data.some((one) => one.period === period && one.state === 'closed') ? true : undefined;
    } catch {
      return undefined;
    }
  }

  async function linesOf(period: string): Promise<readonly string[]> {
    const list = (await (await fetch(`${api}/api/v1/statements/${period}`)).json()) as {
      data: { href: string }[];
    };
    const lines: string[] = [];
    for (const { href } of list.data) {
      const statement = (await (await fetch(`${api}${href}`)).json()) as Statement;
      const { tenant } = statement;
      const meters = [...statement.lines, ...statement.corrections].map(({ meter }) => meter);
      const sum = (rows: readonly { meter: string; quantity: string }[], meter: string): bigint =>
        rows.reduce((total, row) => (row.meter === meter ? total + BigInt(row.quantity) : total), 0n);
      for (const meter of new Set(meters)) {
        const [usage, corrections] = [sum(statement.lines, meter), sum(statement.corrections, meter)];
        lines.push([period, tenant, meter, usage, corrections].join());
      }
    }
    return lines.sort();
  }

  function billed(): readonly string[] {
    const database = new DatabaseSync(join(directory, 'billing.sqlite'), { readOnly: true });
    const rows = database.prepare('SELECT period, tenant, meter, quantity, corrections FROM bill').all();
    database.close();
    return rows.map((row) => Object.values(row).join()).sort();
  }

  test('bills what the statements say, whoever is killed meanwhile', async () => {
    let aggregator = start('aggregator');
    let serving = start('api');
    let billing = startConsumer();
    await append([
      ...[5, 4, 3, 2, 1].map((n) => scrapes.at(END - n * HOUR, { cpu: cpuAt(6 - n), owners })),
      scrapes.at(END + 3 * DAY, {}),
    ]);
    await until('a page', () => (billing.pages() > 0 ? true : undefined), PATIENCE);
    await Promise.all([kill(billing.process), aggregator.end('SIGKILL')]);
    billing = startConsumer();
    aggregator = start('aggregator');
    await until('the first month is closed', () => isClosed(periodName(FIRST)), PATIENCE);
    await serving.end('SIGKILL');
    await kill(billing.process);
    billing = startConsumer();
    serving = start('api');

    // Corrections of the first month, in both directions, and the second month.
    const late = END - 2 * HOUR - HOUR / 2;
    await append([
      scrapes.at(late, { cpu: { 'ns-0/late': 3, 'ns-1/a': 25 }, delayMs: 4 * DAY }),
      scrapes.at(late + 60_000, { cpu: { 'ns-0/late': 12 }, delayMs: 4 * DAY }),
      scrapes.at(SECOND_END - 3 * HOUR, { cpu: cpuAt(1, 'b') }),
      scrapes.at(SECOND_END - HOUR, { cpu: cpuAt(3, 'b') }),
      scrapes.at(SECOND_END + 3 * DAY, {}),
    ]);
    await until('another page', () => (billing.pages() > 0 ? true : undefined), PATIENCE);
    await Promise.all([kill(billing.process), aggregator.end('SIGKILL'), serving.end('SIGKILL')]);
    start('aggregator');
    start('api');
    const { process: last } = startConsumer();
    const [code] = (await once(last, 'close')) as [number | null];
    expect(code).toBe(0);
    const expected = [...(await linesOf(periodName(FIRST))), ...(await linesOf(periodName(SECOND)))];
    expect(expected.length).toBeGreaterThanOrEqual(4);
    expect(expected.some((line) => !line.endsWith(',0'))).toBe(true);
    expect(billed()).toEqual(expected);
  });
});

interface Statement {
  readonly tenant: string;
  readonly lines: readonly { readonly meter: string; readonly quantity: string }[];
  readonly corrections: readonly { readonly meter: string; readonly quantity: string }[];
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

/** One that the API can be started on again and again. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
