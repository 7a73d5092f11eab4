/**
 * The records and decisions of a world into an empty store, in another order and other batches: what is
 * billed must be the same to the byte.
 */
import { readCloses, readDecisions } from '../../aggregator/ledger/decisions.ts';
import { DecisionReplay, stageOf } from '../../aggregator/ledger/replay-decisions.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import { Random } from '../property/worlds/random.ts';
import { HandClock } from '../support/hand-clock.ts';
import { logRecord } from '../support/pipeline.ts';
import type { Simulation } from './simulation.ts';

/** Rows of text by what they are about. */
type Billed = ReadonlyMap<string, string>;

/**
 * Differences between what stands in the store and what a replay makes of it. The store holds the replay
 * afterwards.
 */
export async function replayDifferences({ store, appended, world }: Simulation): Promise<string[]> {
  const original = await billed(store);
  const decisions = await readDecisions(store);
  await emptyEverything(store);
  const random = new Random(world.seed ^ 0x7ea1);
  const timeline = new SettingsTimeline([{ validFrom: 0, settings: world.settings }]);
  const deps = { store, clock: new HandClock(0), facts: { event: () => undefined } };
  const replay = new DecisionReplay(timeline, decisions, deps);
  const stages = Map.groupBy(
    appended.map((record) => logRecord(record)),
    (record) => stageOf(record, decisions),
  );
  for (let stage = 0; stage <= decisions.length; stage++) {
    for (const batch of batches(random, stages.get(stage) ?? [])) await replay.take(batch);
    const decision = decisions[stage];
    if (decision !== undefined) await replay.decide(decision);
  }
  await replay.finish();
  const replayed = await billed(store);
  return [...new Set([...original.keys(), ...replayed.keys()])]
    .filter((key) => original.get(key) !== replayed.get(key))
    .sort()
    .map((key) => `replay ${key}: ${original.get(key) ?? 'nothing'}, then ${replayed.get(key) ?? 'nothing'}`);
}

/** In any order; within a batch a partition's records are in that of their offsets. */
function* batches(random: Random, records: readonly LogRecord[]): Generator<LogRecord[]> {
  const shuffled = records
    .map((record) => ({ record, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ record }) => record);
  for (let at = 0; at < shuffled.length;) {
    const size = random.int(1, Math.ceil(shuffled.length / 2));
    yield shuffled.slice(at, at + size).sort((a, b) => Number(a.offset - b.offset));
    at += size;
  }
}

/** Statements, fixed corrections, closes, and settled quantities with what they were made from. */
export async function billed(store: UsageStore): Promise<Billed> {
  const rows = new Map<string, string>();
  for (const close of await readCloses(store)) {
    rows.set(`close ${String(close.period)}`, close.hash);
    for (const [tenant, hash] of close.statements) {
      const [row] = await store.rows<{ body: string }>(
        `SELECT body FROM statement WHERE period = {period:UInt32} AND tenant = {tenant:String}
           AND hash = {hash:String} LIMIT 1`,
        { period: close.period, tenant, hash },
      );
      rows.set(`statement ${String(close.period)} ${tenant}`, row?.body ?? 'missing');
    }
  }
  const fixed = await store.rows<{ entry_id: string; said: unknown }>(
    `SELECT DISTINCT hex(id) AS entry_id, tuple(period, hour, cluster, tenant, namespace, meter, q0, q1, q2, q3,
       p0, p1, p2, p3) AS said FROM ledger WHERE kind = 'correction' AND final ORDER BY ALL`,
  );
  for (const { entry_id: id, said } of fixed) rows.set(`correction ${id}`, JSON.stringify(said));
  const settled = await store.rows<{ key: unknown; said: unknown }>(
    `SELECT tuple(hour, cluster, tenant, namespace, meter) AS key,
       argMax(tuple(q0, q1, q2, q3, missing_ms, samples, flags, covered_ms, expected_ms, hex(input_hash)),
         seq) AS said,
       argMax(q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0 OR missing_ms != 0 OR samples != 0 OR expected_ms != 0,
         seq) AS something
     FROM ledger WHERE kind IN ('usage', 'correction', 'coverage') AND NOT final
     GROUP BY hour, cluster, tenant, namespace, meter HAVING something`,
  );
  for (const { key, said } of settled) rows.set(`settled ${JSON.stringify(key)}`, JSON.stringify(said));
  return rows;
}

export async function emptyEverything(store: UsageStore): Promise<void> {
  const tables = await store.rows<{ name: string }>(
    `SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
       AND name NOT LIKE '%migration%'`,
  );
  for (const { name } of tables) await store.command(`TRUNCATE TABLE ${name}`);
}
