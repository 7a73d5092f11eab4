/** The ledger as a topic, by the program itself: an aggregator killed again and again, and a reader that takes ids once. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../aggregator/store/clickhouse/open.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { Scrapes } from '../support/accounts.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { kafkaLog } from '../support/kafka/kafka-log.ts';
import { ledgerByTenant, readTopic, type ReadLedger } from '../support/ledger-reader.ts';
import { Role } from '../support/role.ts';
import { until } from '../support/waiting.ts';
import { metering, now } from './program.ts';

const HOUR = 3_600_000;
const TOPIC = 'usage-ledger';
const NAMESPACES = Array.from({ length: 40 }, (_, i) => `n${i}`);
const TENANTS = 5;

let broker: KafkaBroker;
let directory: string;

/** Scrapes every half hour of the hours [from, to), of pods that use more and more. */
function hoursOf(scrapes: Scrapes, from: number, to: number): readonly LogRecord[] {
  const owners = Object.fromEntries(NAMESPACES.map((name, i) => [name, `tenant-${i % TENANTS}`]));
  const records: LogRecord[] = [];
  for (let t = from; t < to; t += HOUR / 2) {
    const cpu = Object.fromEntries(
      NAMESPACES.map((name, i) => [`${name}/p`, ((t - from + t / 1000) % 1e7) + i]),
    );
    records.push(scrapes.at(t + 60_000, { cluster: 'out', cpu, owners }));
  }
  return records;
}

function entriesIn(byTenant: ReadLedger['byTenant']): number {
  return [...byTenant.values()].flat().length;
}

async function inStore<T>(work: (store: UsageStore) => Promise<T>): Promise<T> {
  const store = await openStore({ directory: join(directory, 'store') });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

const missing = missingForKafka();

describe.skipIf(missing !== undefined)(`over a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  beforeAll(async () => {
    broker = await KafkaBroker.start();
    directory = await mkdtemp(join(tmpdir(), 'metering-ledger-'));
  }, 120_000);
  afterEach(() => Role.killAll());
  afterAll(async () => {
    await broker.stop();
    await rm(directory, { recursive: true });
  });

  test('kill -9 in the middle of publishing: every entry once, by its id, in the order of the ledger', async () => {
    const config = join(directory, 'aggregator.json');
    const values = {
      kafka: {
        brokers: [broker.address],
        topics: { partitions: 3, replicationFactor: 1, minInsyncReplicas: 1 },
        membership: { sessionTimeoutMs: 6_000, heartbeatIntervalMs: 1_000 },
      },
      clusters: ['out'],
      ledgerTopic: { source: 'urn:test:metering' },
      store: { directory: join(directory, 'store') },
      ops: { port: 0 },
    };
    await writeFile(config, JSON.stringify(values));
    const refused = await metering('aggregator', '--config', config);
    expect(refused.stderr).toContain(`--create --topic ${TOPIC}`);
    const made = await metering('topics', '--config', config);
    expect(made.stdout).toBe(`usage.out made\n${TOPIC} made\n`);

    const log = kafkaLog(broker.address);
    const published = async (): Promise<bigint> =>
      (await log.endPositions([TOPIC])).reduce((sum, { next }) => sum + next, 0n);
    const scrapes = new Scrapes();
    const begin = Math.floor(now() / HOUR) * HOUR - 40 * HOUR;
    const publishing = async (what: string): Promise<Role> => {
      const before = await published();
      const role = new Role('aggregator', config);
      await until(
        () => `entries of ${what}: ${role.said}`,
        async () => ((await published()) > before ? true : undefined),
        { everyMs: 10 },
      );
      return role;
    };
    for (let round = 0; round < 3; round++) {
      const from = begin + round * 8 * HOUR;
      await log.append(hoursOf(scrapes, from, from + 8 * HOUR));
      const role = await publishing(`round ${round}`);
      await role.end('SIGKILL');
    }
    const last = new Role('aggregator', config);
    await last.address('OPS');
    await log.append(hoursOf(scrapes, begin + 24 * HOUR, begin + 26 * HOUR));
    let read: ReadLedger | undefined;
    await until(
      () => `the last hour: ${last.said}`,
      async () => {
        read = await readTopic(log, TOPIC);
        const hours = [...read.byTenant.values()].flat().map((entry) => ('hour' in entry ? entry.hour : ''));
        return hours.includes(new Date(begin + 24 * HOUR).toISOString().replace('.000Z', 'Z')) || undefined;
      },
      { everyMs: 1_000 },
    );
    expect(await last.end('SIGTERM')).toBe(0);
    let { byTenant } = await readTopic(log, TOPIC);
    let expected = await inStore(ledgerByTenant);
    // What is written right before a stop is published by the next start: a month's end, early in the next one.
    while (entriesIn(byTenant) < entriesIn(expected)) {
      const next = await publishing('what was left');
      expect(await next.end('SIGTERM')).toBe(0);
      ({ byTenant } = await readTopic(log, TOPIC));
      expected = await inStore(ledgerByTenant);
    }
    expect(expected.size).toBe(TENANTS + 1);
    expect(entriesIn(expected)).toBeGreaterThan(1_000);
    expect(byTenant).toEqual(expected);

    const captured = await metering('capture', '--config', config);
    expect(captured.stdout).not.toContain(TOPIC);
    await log.close();
  }, 240_000);
});
