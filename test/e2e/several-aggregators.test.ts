/**
 * Three aggregators on one server and one topic of twelve partitions. They are stopped one after another,
 * killed, frozen for longer than their session and woken while a month closes: usage is that of the records
 * in the topic, and the ledger is one sequence.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeStatements } from '../../aggregator/ledger/commands.ts';
import { decisionLine } from '../../aggregator/ledger/decision-lines.ts';
import { readDecisions } from '../../aggregator/ledger/decisions.ts';
import { journalPositions } from '../../aggregator/ledger/quiet.ts';
import { replayRecords } from '../../aggregator/rollup/replay.ts';
import { openMarks } from '../../aggregator/rollup/unit-marks.ts';
import { readUsageRows } from '../../aggregator/rollup/usage-rows.ts';
import { ClickHouseStore } from '../../aggregator/store/clickhouse/server.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { KafkaLog, kafkaLogSchema } from '../../core/eventlog/kafka.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { usageTopic } from '../../core/eventlog/usage-topic.ts';
import { HOUR_MS } from '../../core/metering/hour.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { loadConfig } from '../../core/runtime/config.ts';
import { csv } from '../../core/runtime/csv.ts';
import { Scrapes } from '../support/accounts.ts';
import { startClickHouseFront, type ClickHouseFront } from '../support/clickhouse-front.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { journalHoles, ledgerFaults } from '../support/kept-promises.ts';
import { readinessOf, writesLedger } from '../support/readiness.ts';
import { Role } from '../support/role.ts';
import { usageReplayed } from '../support/usage-over-http.ts';
import { until } from '../support/waiting.ts';
import { metering } from './program.ts';

const CLUSTER = 'several';
const TOPIC = usageTopic(CLUSTER);
const PARTITIONS = 12;
/** October closes an hour after its end, so that it does while the processes come and go. */
const LATENESS_MS = HOUR_MS;
const END_OF_OCTOBER = Date.UTC(2025, 10, 1);
const [FIRST, LAST] = [END_OF_OCTOBER - 6 * HOUR_MS, END_OF_OCTOBER + 4 * HOUR_MS];
const SCRAPE_MS = 30_000;
const TEN_YEARS_MS = 3_650 * 86_400_000;
/** As short as a broker lets it be. */
const SESSION_MS = 6_000;
const LEASE_MS = 4_000;
const LONG = { forMs: 120_000 };

const clock = new SystemClock();
const missing = missingForKafka();

/**
 * Ten hours of three tenants, in an order that no partition keeps. `late` are of the first hours, for after
 * the close.
 */
function scraped(): { readonly records: readonly LogRecord[]; readonly late: readonly LogRecord[] } {
  const scrapes = new Scrapes();
  const [records, late]: [LogRecord[], LogRecord[]] = [[], []];
  for (let t = FIRST, i = 0; t < LAST; t += SCRAPE_MS, i++) {
    const cpu = { 'shop/a': i * 7, 'shop/b': (i % 100) * 3, 'blog/c': i * i, 'nobody/d': i };
    const owners = i % 40 === 0 ? { shop: 'acme', blog: i < 300 ? 'globex' : 'acme' } : {};
    const record = scrapes.at(t, { cluster: CLUSTER, cpu, owners });
    (i % 53 === 7 ? late : records).push(record);
  }
  return { records, late };
}

class Aggregator {
  readonly #config: string;
  role: Role;
  #ops: string | undefined;

  constructor(config: string) {
    this.#config = config;
    this.role = new Role('aggregator', config);
  }

  restart(): void {
    this.role = new Role('aggregator', this.#config);
    this.#ops = undefined;
  }

  async ready(): Promise<string> {
    this.#ops ??= await this.role.address('OPS');
    return this.#ops;
  }

  async isWriter(): Promise<boolean> {
    return writesLedger(await readinessOf(await this.ready()));
  }
}

async function writerOf(processes: readonly Aggregator[]): Promise<Aggregator> {
  return await until('a writer', async () => {
    for (const each of processes) if (await each.isWriter()) return each;
    return undefined;
  });
}

/** As a replay prints it. */
async function usageStored(store: UsageStore): Promise<readonly string[]> {
  const { columns, records } = replayRecords(await readUsageRows(store));
  return usageReplayed(csv(columns, records, '\n'));
}

/** By file name. */
async function filesIn(directory: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(directory)).sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')] as const),
    ),
  );
}

describe.skipIf(missing !== undefined)(`over a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  let broker: KafkaBroker;
  let front: ClickHouseFront;
  let store: UsageStore;
  let log: KafkaLog;
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metering-several-'));
    broker = await KafkaBroker.start();
    front = await startClickHouseFront({ path: join(directory, 'store') });
    store = await ClickHouseStore.open({ url: front.url });
    const config = loadConfig(kafkaLogSchema, { name: 'the test', values: kafka() });
    log = new KafkaLog(config, { clock, facts: { event: () => undefined } });
  }, 120_000);
  afterAll(async () => {
    await Role.killAll();
    await log.close();
    await store.close();
    await front.close();
    await broker.stop();
    await rm(directory, { recursive: true });
  });

  const kafka = (): Record<string, unknown> => ({
    brokers: [broker.address],
    topics: { partitions: PARTITIONS, replicationFactor: 1, minInsyncReplicas: 1, retentionMs: TEN_YEARS_MS },
    membership: { sessionTimeoutMs: SESSION_MS, heartbeatIntervalMs: 1_000, rebalanceTimeoutMs: SESSION_MS },
  });

  async function configured(): Promise<string> {
    const settingsFile = join(directory, 'settings.json');
    await writeFile(settingsFile, JSON.stringify({ latenessMs: LATENESS_MS }));
    const config = join(directory, 'aggregator.json');
    const values = {
      ...{ kafka: kafka(), clusters: [CLUSTER], settingsFile, store: { url: front.url } },
      ...{ coordination: { leaseMs: LEASE_MS, renewEveryMs: 1_000 }, ops: { port: 0 } },
    };
    await writeFile(config, JSON.stringify(values));
    return config;
  }

  async function allStored(count: number): Promise<void> {
    const stored = async (): Promise<bigint> =>
      (await journalPositions(store)).reduce((sum, { next }) => sum + next, 0n);
    await until(
      'every record in the journal',
      async () => ((await stored()) === BigInt(count) ? true : undefined),
      LONG,
    );
  }

  /** Rolled up but for what is open, settled, and the close told. */
  async function atRest(): Promise<void> {
    await until(
      'a month that is closed and nothing left to do',
      async () => {
        const [row] = await store.rows<{ closed: string; open: string }>(
          `SELECT (SELECT count() FROM ledger WHERE kind = 'period' AND revision = 3) AS closed,
             (SELECT count() FROM (SELECT 1 FROM hour_mark
               WHERE hour < toDateTime({open:Int64}, 'UTC') GROUP BY cluster, hour, source
               HAVING max(marked) > max(settled))) AS open`,
          { open: (LAST - HOUR_MS) / 1000 },
        );
        const units = (await openMarks(store)).filter(({ hour }) => hour < LAST - HOUR_MS);
        return row?.closed === '1' && row.open === '0' && units.length === 0 ? true : undefined;
      },
      LONG,
    );
  }

  test('come and go, die, freeze and wake: usage is exact and the ledger is one sequence', async () => {
    const config = await configured();
    expect(await metering('topics', '--config', config)).toMatchObject({ code: 0 });
    const { records, late } = scraped();
    let sent = 0;
    /** The next part of the records, of so many parts. */
    const send = async (parts: number): Promise<void> => {
      const some = records.slice(sent, sent + Math.ceil(records.length / parts));
      await log.append(
        some.map(({ timestampMs, value }, i) => ({
          ...{ topic: TOPIC, partition: (sent + i) % PARTITIONS, timestampMs, key: null, value },
        })),
      );
      sent += some.length;
    };

    const processes = [0, 1, 2].map(() => new Aggregator(config));
    for (const each of processes) await each.ready();
    await send(8);

    for (const each of processes) {
      expect(await each.role.end('SIGTERM'), each.role.said).toBe(0);
      each.restart();
      await send(8);
      await each.ready();
    }

    const killed = await writerOf(processes);
    await killed.role.end('SIGKILL');
    await send(8);
    await writerOf(processes.filter((each) => each !== killed));
    killed.restart();
    await killed.ready();
    await send(8);

    const zombie = await writerOf(processes);
    zombie.role.freeze();
    const frozenMs = clock.now();
    // With these the month is over and due.
    await send(4);
    await writerOf(processes.filter((each) => each !== zombie));
    await clock.sleep(Math.max(0, frozenMs + SESSION_MS + 2_000 - clock.now()));
    zombie.role.thaw();
    await send(8);
    await allStored(records.length);
    await until('the close', async () => ((await readDecisions(store)).length > 0 ? true : undefined), LONG);
    await log.append(
      late.map(({ timestampMs, value }, i) => ({
        ...{ topic: TOPIC, partition: i % PARTITIONS, timestampMs, key: null, value },
      })),
    );
    await allStored(records.length + late.length);
    await atRest();

    const captured = join(directory, 'captured.jsonl');
    await writeFile(captured, (await metering('capture', '--config', config)).stdout);
    const decided = join(directory, 'decisions.jsonl');
    await writeFile(decided, (await readDecisions(store)).map(decisionLine).join('\n'));
    const again = join(directory, 'again');
    const settings = ['--settings', join(directory, 'settings.json')];
    const plain = await metering('replay', captured, ...settings);
    const replayed = await metering(
      ...(['replay', captured, ...settings, '--decisions', decided, '--statements', again] as const),
    );
    expect(plain.code, plain.stderr).toBe(0);
    expect(replayed.code, replayed.stderr).toBe(0);

    await writeStatements(store, { period: '2025-10', format: 'json', directory: join(directory, 'here') });
    expect(await filesIn(join(directory, 'here/2025-10'))).toEqual(await filesIn(join(again, '2025-10')));
    expect(await usageStored(store)).toEqual(usageReplayed(plain.stdout));
    expect(await ledgerFaults(store)).toEqual([]);
    expect(await journalHoles(store)).toEqual([]);
    for (const { role } of processes) expect(role.isRunning).toBe(true);
    expect(await Promise.all(processes.map(({ role }) => role.end('SIGTERM')))).toEqual([0, 0, 0]);
  }, 300_000);
});
