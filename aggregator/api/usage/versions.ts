/**
 * Which state of the store is read: told by the parts that its tables are made of. What was read of a table
 * and month is still right as long as its version is the same; an insert and a deletion change it, a merge
 * does not. On a cluster it is that of the server that answers.
 *
 * Whoever asks gets a reading that began after the question, so an answer is never older than what was there
 * when it was asked for. Those who ask while one is under way share the next.
 */
import { hash as digest } from 'node:crypto';

import type { ReadOptions, UsageStore } from '../../store/usage-store.ts';

const TABLES = [
  ...['usage_current', 'usage_day', 'usage_parts', 'detail_parts', 'coverage', 'scrape'],
  ...['watermark', 'hour_mark', 'ledger', 'decision', 'label_history'],
] as const;

export type VersionedTable = (typeof TABLES)[number];

export class Versions {
  readonly #byTable: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** By tables, then months. */
  readonly #told = new WeakMap<readonly VersionedTable[], Map<string, string>>();

  constructor(rows: readonly VersionRow[]) {
    const byTable = new Map<string, Map<string, string>>();
    for (const { name, month, version } of rows) {
      byTable.set(name, (byTable.get(name) ?? new Map<string, string>()).set(month, version));
    }
    this.#byTable = byTable;
  }

  /**
   * Of whole tables, or of their partitions (`202610`); equal texts are equal states. Asked with the same
   * list of tables it is not put together again.
   */
  of(tables: readonly VersionedTable[], months?: readonly number[]): string {
    const told = this.#told.get(tables) ?? new Map<string, string>();
    this.#told.set(tables, told);
    const which = months?.join() ?? 'all';
    const found = told.get(which) ?? this.#of(tables, months);
    told.set(which, found);
    return found;
  }

  /** A digest, as it is part of many keys. */
  #of(tables: readonly VersionedTable[], months?: readonly number[]): string {
    const each = tables.map((table) => {
      const partitions = this.#byTable.get(table) ?? new Map<string, string>();
      const wanted = months?.map(String) ?? [...partitions.keys()].sort();
      return [table, ...wanted.map((month) => [month, partitions.get(month) ?? ''])];
    });
    return digest('sha256', JSON.stringify(each), 'base64url');
  }
}

interface VersionRow {
  readonly name: string;
  readonly month: string;
  readonly version: string;
}

export class VersionReader {
  readonly #store: UsageStore;
  readonly #options: ReadOptions;
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<Versions> | undefined;
  #newest: { readonly rows: readonly VersionRow[]; readonly versions: Versions } | undefined;

  constructor(store: UsageStore, options: ReadOptions) {
    this.#store = store;
    this.#options = options;
  }

  read(): Promise<Versions> {
    this.#next ??= this.#running.then(() => this.#start());
    return this.#next;
  }

  #start(): Promise<Versions> {
    this.#next = undefined;
    const reading = this.#query();
    this.#running = reading.catch(() => undefined);
    return reading;
  }

  async #query(): Promise<Versions> {
    const rows = await this.#store.rows<VersionRow>(
      `SELECT table AS name, partition AS month,
         concat(toString(max(max_block_number)), '.', toString(max(data_version))) AS version
       FROM system.parts
       WHERE database = currentDatabase() AND active AND table IN {tables:Array(String)}
       GROUP BY name, month ORDER BY name, month`,
      { tables: TABLES },
      this.#options,
    );
    const before = this.#newest;
    if (before !== undefined && isSame(before.rows, rows)) return before.versions;
    const versions = new Versions(rows);
    this.#newest = { rows, versions };
    return versions;
  }
}

function isSame(before: readonly VersionRow[], rows: readonly VersionRow[]): boolean {
  return (
    rows.length === before.length &&
    rows.every(({ name, month, version }, i) => {
      const other = before[i];
      return version === other?.version && month === other.month && name === other.name;
    })
  );
}
