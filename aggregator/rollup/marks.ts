/**
 * Marks say which hours of a cluster something is to be done about: those marked higher than done by any
 * source. A set like every other table: the largest mark of a source and the largest one honoured are all
 * that stays, so a mark that comes in while an earlier one is being honoured is still open afterwards.
 */
import type { ReadOptions, UsageStore } from '../store/usage-store.ts';

export interface Mark {
  readonly cluster: string;
  readonly hour: number;
  readonly source: string;
  readonly marked: bigint;
}

export interface MarkTable {
  readonly name: 'unit_mark' | 'hour_mark';
  /** Column of the largest mark that was honoured. */
  readonly done: 'rolled' | 'settled';
}

export async function writeMarks(store: UsageStore, table: MarkTable, marks: readonly Mark[]): Promise<void> {
  await store.insert(
    table.name,
    marks.map((mark) => ({ ...keyOf(mark), marked: mark.marked })),
  );
}

/** `beside`: what else is written down about it. */
export async function honourMarks(
  store: UsageStore,
  table: MarkTable,
  honoured: { readonly marks: readonly Mark[]; readonly beside?: Readonly<Record<string, number>> },
): Promise<void> {
  await store.insert(
    table.name,
    honoured.marks.map((mark) => ({ ...keyOf(mark), [table.done]: mark.marked, ...honoured.beside })),
  );
}

export interface WantedMarks extends ReadOptions {
  /** Of this one alone. */
  readonly cluster?: string;
}

/** Marks not yet honoured, oldest hour first. */
export async function readOpenMarks(
  store: UsageStore,
  table: MarkTable,
  { cluster, ...options }: WantedMarks = {},
): Promise<readonly Mark[]> {
  const where = cluster === undefined ? '' : 'WHERE cluster = {cluster:String}';
  const rows = await store.rows<{ cluster: string; seconds: number; source: string; newest: string }>(
    `SELECT cluster, toUnixTimestamp(hour) AS seconds, source, max(marked) AS newest
     FROM ${table.name} ${where}
     GROUP BY cluster, hour, source HAVING newest > max(${table.done}) ORDER BY cluster, hour`,
    cluster === undefined ? {} : { cluster },
    options,
  );
  return rows.map((row) => ({
    cluster: row.cluster,
    hour: row.seconds * 1000,
    source: row.source,
    marked: BigInt(row.newest),
  }));
}

function keyOf(mark: Mark): { cluster: string; hour: number; source: string } {
  return { cluster: mark.cluster, hour: mark.hour / 1000, source: mark.source };
}

/** Marks of one process: under a name that no other has, each higher than the one before. */
export class MarkSource {
  readonly #name: string;
  #sequence = 0n;

  constructor(name: string) {
    this.#name = name;
  }

  marks(cluster: string, hours: Iterable<number>): Mark[] {
    return [...hours].map((hour) => ({ cluster, hour, source: this.#name, marked: ++this.#sequence }));
  }
}
