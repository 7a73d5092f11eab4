/**
 * Which units (cluster, hour) are to be rolled up: those marked higher than rolled by any source. A source is
 * a topic-partition, whose marks are one past the newest offset that touched the unit, or a roll-up process,
 * whose marks are a sequence of its own. A unit may be marked before the data it waits for is stored; it is
 * rolled for good only up to what the journal says is complete.
 */
import type { UsageStore } from '../store/usage-store.ts';
import { honourMarks, readOpenMarks, writeMarks, type Mark, type MarkTable } from './marks.ts';

export type UnitMark = Mark;

const UNITS: MarkTable = { name: 'unit_mark', done: 'rolled' };

export async function markUnits(store: UsageStore, marks: readonly UnitMark[]): Promise<void> {
  await writeMarks(store, UNITS, marks);
}

/** The marks were honoured: the unit was read after everything they stand for had been stored. */
export async function unmarkUnits(
  store: UsageStore,
  marks: readonly UnitMark[],
  atMs: number,
): Promise<void> {
  // In JSON an integer is the ticks of a DateTime64, here ms; a fraction is refused.
  await honourMarks(store, UNITS, { marks, beside: { rolled_at: atMs } });
}

/** Marks not yet honoured, oldest hour first. */
export async function openMarks(store: UsageStore): Promise<readonly UnitMark[]> {
  return await readOpenMarks(store, UNITS);
}

/** The newest hour that was ever marked, by cluster: the one that may be open. */
export async function newestHours(store: UsageStore): Promise<ReadonlyMap<string, number>> {
  const rows = await store.rows<{ cluster: string; newest: number }>(
    'SELECT cluster, toUnixTimestamp(max(hour)) AS newest FROM unit_mark GROUP BY cluster',
  );
  return new Map(rows.map((row) => [row.cluster, row.newest * 1000]));
}

/** True for marks of the log; those of a roll-up or a restart stand for what is stored already. */
export function waitsForJournal(source: string): boolean {
  return !source.startsWith('rollup:') && !source.startsWith('restart:');
}

/**
 * Mark again what was rolled up since: after a power failure its rows may be gone although the mark is not.
 */
export async function remarkRolledSince(store: UsageStore, sinceMs: number, source: string): Promise<void> {
  await store.command(
    `INSERT INTO unit_mark (cluster, hour, source, marked, rolled, rolled_at)
     SELECT DISTINCT cluster, hour, {source:String}, 1, 0, toDateTime64(0, 3, 'UTC') FROM unit_mark
     WHERE rolled_at >= toDateTime64({since:Float64}, 3, 'UTC')`,
    { source, since: sinceMs / 1000 },
  );
}

/** Batches of a process that was frozen may come after those of the one that has read on, but not so many. */
const NEWEST_BATCHES = 100;

/** One past the newest offset of each source that is stored with everything belonging to it. */
export async function journalPosition(store: UsageStore, source: string): Promise<bigint> {
  const slash = source.lastIndexOf('/');
  const [row] = await store.rows<{ batches: string; next: string }>(
    `SELECT count() AS batches, max(last_offset) + 1 AS next FROM (
       SELECT last_offset FROM batch WHERE topic = {topic:String} AND partition = {partition:UInt16}
       ORDER BY topic DESC, partition DESC, first_offset DESC LIMIT {newest:UInt32})`,
    { topic: source.slice(0, slash), partition: Number(source.slice(slash + 1)), newest: NEWEST_BATCHES },
  );
  return row === undefined || row.batches === '0' ? 0n : BigInt(row.next);
}
