/** The role on a real log and a real store, of which calls fail and which forget. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { Aggregator } from '../../../aggregator/aggregator.ts';
import { RollUp } from '../../../aggregator/rollup/roll-up.ts';
import { EmbeddedLog, embeddedLogSchema } from '../../../core/eventlog/embedded.ts';
import type { LogConsumer, LogRecord, SampleLog } from '../../../core/eventlog/sample-log.ts';
import { MeteringError } from '../../../core/runtime/errors.ts';
import type { FactSink } from '../../../core/runtime/facts.ts';
import { modelUsage } from '../../model/model.ts';
import { buildWorld } from '../../property/worlds.ts';
import { WORLD_PARTITIONS } from '../../property/worlds/details.ts';
import { Random } from '../../property/worlds/random.ts';
import type { TestStore } from '../../support/chdb.ts';
import { FaultyStore, type When } from '../../support/faulty-store.ts';
import { HandClock } from '../../support/hand-clock.ts';
import { SettingsTimeline } from '../../../core/metering/settings-timeline.ts';
import { emptyStore, fullSettings, logRecord, openFastStore } from '../../support/pipeline.ts';
import { readState, stateDifferences, usageLines, type State } from '../../e2e/state.ts';

const MINUTE = 60_000;
const WORLDS = Array.from({ length: 2 }, (_, index) => buildWorld(100 + index));
const SETTINGS = fullSettings(buildWorld(100).settings);
const CLUSTERS = ['rt1', 'rt2', 'rt3'];
const TOPICS = CLUSTERS.map((cluster) => `usage.${cluster}`);
const BATCH_BYTES = 8_192;
const RECORDS = WORLDS.flatMap(({ records }) => records.map((record) => logRecord(record))).sort(
  (a, b) => a.timestampMs - b.timestampMs,
);
/** The log's retention goes by the clock: nothing in it is old yet. */
const BEGIN_MS = RECORDS[0]?.timestampMs ?? 0;
const AWAY = new MeteringError('METER_STORE_UNAVAILABLE', 'the store is away', { retryable: true });
const REJECTED = new MeteringError('METER_STORE_REJECTED', 'the store does not know this table');

let opened: TestStore;
let expected: State;
beforeAll(async () => {
  opened = await openFastStore();
  await setUp();
  const run = await start(RECORDS);
  expected = await run.finish();
  await tearDown();
});
afterAll(() => opened.dispose());

let directory: string;
let clock: HandClock;
let log: EmbeddedLog;
let store: FaultyStore;
beforeEach(setUp);
afterEach(tearDown);

async function setUp(): Promise<void> {
  directory = await mkdtemp(join(tmpdir(), 'metering-aggregator-'));
  clock = new HandClock(BEGIN_MS);
  log = openLog();
  await emptyStore(opened.store);
  store = new FaultyStore(opened.store);
}

async function tearDown(): Promise<void> {
  await log.close();
  await rm(directory, { recursive: true });
}

function openLog(): EmbeddedLog {
  const config = embeddedLogSchema.parse({ directory: join(directory, 'log'), partitions: WORLD_PARTITIONS });
  return new EmbeddedLog(config, { clock, facts: { event: () => undefined } });
}

/** The log in small batches. */
function inSmallBatches(): SampleLog {
  return {
    append: (records) => log.append(records),
    endPositions: (topics) => log.endPositions(topics),
    close: () => log.close(),
    consumer: async (options): Promise<LogConsumer> => {
      const consumer = await log.consumer(options);
      return {
        poll: ({ waitMs, signal }) =>
          consumer.poll({ maxBytes: BATCH_BYTES, waitMs, ...(signal === undefined ? {} : { signal }) }),
        commit: (positions) => consumer.commit(positions),
        seek: (positions) => consumer.seek(positions),
        waiting: () => consumer.waiting(),
        committed: () => consumer.committed(),
        close: () => consumer.close(),
      };
    },
  };
}

interface Running {
  readonly failures: unknown[];
  readonly facts: { name: string; fields: Record<string, unknown> }[];
  /** Records not read yet, as the role says it. */
  readonly behind: () => Promise<string>;
  readonly consumed: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Everything consumed and rolled up, the role stopped: what it came to. */
  readonly finish: () => Promise<State>;
}

/** Appends the records and starts the role on them. */
async function start(records: readonly LogRecord[], read: SampleLog = inSmallBatches()): Promise<Running> {
  await log.append(records);
  const failures: unknown[] = [];
  const told: Running['facts'] = [];
  const facts: FactSink = {
    event: (name, fields) => void told.push({ name, fields: Object.fromEntries(Object.entries(fields)) }),
  };
  const restartFile = join(directory, 'restart.json');
  const deps = { store, log: read, clock, facts, retain: () => log.retain() };
  const aggregator = new Aggregator(
    {
      settings: new SettingsTimeline([{ validFrom: 0, settings: SETTINGS }]),
      clusters: CLUSTERS,
      restartFile,
    },
    deps,
  );
  await aggregator.start((error) => failures.push(error));
  const behind = async (): Promise<string> => {
    const check = aggregator.checks().find(({ name }) => name === 'log');
    return (await check?.check())?.detail ?? '';
  };
  const consumed = (): Promise<void> => until(async () => (await behind()).startsWith('0 records '));
  const stop = (): Promise<void> => aggregator.stop();
  const finish = async (): Promise<State> => {
    await consumed();
    await stop();
    expect(failures).toEqual([]);
    const rollUp = new RollUp({ settings: SETTINGS }, { store: opened.store, clock, facts });
    while ((await rollUp.pass()) > 0) clock.advance(1);
    return await readState(opened.store);
  };
  return { failures, facts: told, behind, consumed, stop, finish };
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  await vi.waitUntil(condition, { timeout: 30_000, interval: 10 });
}

async function committedRecords(): Promise<bigint> {
  const [row] = await opened.store.rows<{ n: string }>(
    'SELECT sum(last - first + 1) AS n FROM (SELECT max(last_offset) AS last, min(first_offset) AS first FROM batch GROUP BY topic, partition)',
  );
  return BigInt(row?.n ?? 0);
}

test('left alone it comes to what the model says', () => {
  const model = WORLDS.flatMap(({ records, settings }) => modelUsage(records, settings));
  expect(expected['usage']).toEqual(usageLines(model));
});

test.each<When>(['before', 'after'])(
  'a store that is away for a while is waited for and nothing is lost: calls fail %s they land',
  async (when) => {
    const run = await start(RECORDS);
    let calls = 0;
    store.plan = () => {
      calls += 1;
      return calls > 100 && calls <= 150 ? { when, error: AWAY } : undefined;
    };
    expect(stateDifferences(expected, await run.finish())).toEqual([]);
    const waits = run.facts.filter(({ name }) => name === 'retrying');
    expect(waits.length).toBeGreaterThan(10);
    expect(new Set(waits.map(({ fields }) => fields['error']))).toEqual(new Set([AWAY]));
  },
  60_000,
);

test('a topic that is made anew while it is read ends the role within a minute', async () => {
  const small = inSmallBatches();
  const reassigned: (() => Promise<void> | void)[] = [];
  let isAnother = false;
  const run = await start(RECORDS.slice(0, 20), {
    ...small,
    consumer: (options) => {
      reassigned.push(() => options.onReassigned?.([]));
      return small.consumer(options);
    },
    offsetSince: async () => (isAnother ? 0n : 1_000_000n),
  });
  await run.consumed();
  for (const tell of reassigned) await tell();
  clock.advance(60_000);
  await until(async () => (await run.behind()).startsWith('0 records '));
  expect(run.failures).toEqual([]);
  isAnother = true;
  for (const tell of reassigned) await tell();
  await until(() => {
    clock.advance(60_000);
    return run.failures.length > 0;
  });
  expect(run.failures).toMatchObject([{ code: 'METER_LOG_BEHIND_STORE' }]);
  expect(run.facts.filter(({ name }) => name === 'logReplaced')).toHaveLength(1);
  await run.stop();
});

test('while the store is away nothing is committed, and a stop does not wait for it', async () => {
  const run = await start(RECORDS.slice(0, 20));
  await run.consumed();
  const before = await committedRecords();
  store.plan = () => ({ when: 'before', error: AWAY });
  await log.append(RECORDS.slice(20));
  await until(() => run.facts.filter(({ name }) => name === 'retrying').length > 20);
  expect(await run.behind()).toBe(`${RECORDS.length - 20} records not read yet`);
  expect(await committedRecords()).toBe(before);
  await run.stop();
  expect(run.failures).toEqual([]);
  store.plan = () => undefined;
  const again = await start([]);
  expect(stateDifferences(expected, await again.finish())).toEqual([]);
}, 60_000);

test.each([11, 12])(
  'calls that fail at random, before or after they land, change nothing (seed %i)',
  async (seed) => {
    const random = new Random(seed);
    const run = await start(RECORDS);
    store.plan = () =>
      random.chance(0.02) ? { when: random.pick(['before', 'after']), error: AWAY } : undefined;
    await run.consumed();
    store.plan = () => undefined;
    expect(stateDifferences(expected, await run.finish())).toEqual([]);
  },
  60_000,
);

test.each(['insert samples', 'insert batch', 'insert unit_mark', 'insert closings'])(
  'a fault that does not pass ends the role, at %s, and its restart goes on from there',
  async (step) => {
    let times = 0;
    store.plan = (operation) =>
      operation === step && ++times > 2 ? { when: 'before', error: REJECTED } : undefined;
    const run = await start(RECORDS);
    await until(() => run.failures.length > 0);
    await run.stop();
    expect(new Set(run.failures)).toEqual(new Set([REJECTED]));
    store.plan = () => undefined;
    const again = await start([]);
    expect(stateDifferences(expected, await again.finish())).toEqual([]);
  },
  60_000,
);

test('a record that nobody can read is put aside and stops nothing behind it', async () => {
  const records = RECORDS.filter(({ value }) => value.length > 10);
  const poison = { topic: 'usage.rt1', partition: 0, timestampMs: BEGIN_MS, key: null };
  await log.append([{ ...poison, value: Uint8Array.of(0x0a, 0xff) }]);
  await log.append([{ ...poison, value: Buffer.from('{"resourceMetrics": [') }]);
  const run = await start(records);
  const state = await run.finish();
  expect(state['usage']).toEqual(expected['usage']);
  expect(state['quarantine']?.filter((row) => row.startsWith('usage.rt1 0'))).toEqual(
    expect.arrayContaining(['usage.rt1 0 0 0 undecodable', 'usage.rt1 0 1 0 undecodable']),
  );
  const told = run.facts.filter(({ name }) => name === 'recordsQuarantined');
  expect(told.map(({ fields }) => fields['reason'])).toContain('undecodable');
}, 60_000);

test('a log that was lost beside its store is refused, before anything is read', async () => {
  const run = await start(RECORDS);
  await run.consumed();
  await run.stop();
  await log.close();
  await rm(join(directory, 'log'), { recursive: true });
  log = openLog();
  const starting = start(RECORDS.slice(0, 5));
  await expect(starting).rejects.toMatchObject({ code: 'METER_LOG_BEHIND_STORE', retryable: false });
  await expect(starting).rejects.toThrow('Bring back the log that belongs to this store');
  const consumer = await log.consumer({ group: 'aggregator', topics: TOPICS });
  expect((await consumer.committed()).every(({ next }) => next === 0n)).toBe(true);
}, 60_000);

test('after a clean stop nothing is read again', async () => {
  const run = await start(RECORDS);
  await run.finish();
  const again = await start([]);
  expect(again.facts.filter(({ name }) => name === 'consumerRewound')).toEqual([]);
  await again.consumed();
  await again.stop();
  expect(again.facts.filter(({ name }) => name === 'batchCommitted')).toEqual([]);
}, 60_000);

/** What a power failure can take of what was written in the last minutes, at its worst: all but marks and journal. */
async function forgetAfter(work: () => Promise<void>): Promise<void> {
  const tables = await opened.store.rows<{ name: string }>(
    `SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
       AND name NOT IN ('batch', 'unit_mark') AND NOT startsWith(name, 'schema_')`,
  );
  for (const { name } of tables) {
    await opened.store.command(`CREATE TABLE kept_${name} AS ${name}`);
    await opened.store.command(`INSERT INTO kept_${name} SELECT * FROM ${name}`);
  }
  await work();
  for (const { name } of tables) {
    await opened.store.command(`TRUNCATE TABLE ${name}`);
    await opened.store.command(`INSERT INTO ${name} SELECT * FROM kept_${name}`);
    await opened.store.command(`DROP TABLE kept_${name}`);
  }
}

/** So many minutes with a look at the clock in each, as housekeeping takes it. */
async function pass(minutes: number, run: Running): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) {
    clock.advance(MINUTE);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(run.failures).toEqual([]);
  }
}

test.each([
  ['at once', 0],
  ['a day later', 1_440],
])(
  'after a power failure what the disk had lost is read and rolled up again, started %s',
  async (_, minutesOff) => {
    const half = Math.floor(RECORDS.length / 2);
    const run = await start(RECORDS.slice(0, half));
    await run.consumed();
    await pass(12, run);
    await forgetAfter(async () => {
      await log.append(RECORDS.slice(half));
      await run.consumed();
      await pass(3, run);
      const restart = join(directory, 'restart.json');
      await cp(restart, `${restart}.kept`);
      await run.stop();
      await cp(`${restart}.kept`, restart);
    });
    clock.advance(minutesOff * MINUTE);
    // It breaks again on the way, and has to go back once more.
    let inserts = 0;
    store.plan = (operation) =>
      operation === 'insert batch' && ++inserts > 1 ? { when: 'before', error: REJECTED } : undefined;
    const broken = await start([]);
    await until(() => broken.failures.length > 0);
    await broken.stop();
    store.plan = () => undefined;
    const again = await start([]);
    expect(again.facts.filter(({ name }) => name === 'consumerRewound').length).toBeGreaterThan(0);
    expect(stateDifferences(expected, await again.finish())).toEqual([]);
  },
  60_000,
);
