/**
 * Which state of the store is read: told by the parts that its tables are made of. What was read of a table
 * and month is still right as long as its version is the same; an insert and a deletion change it, a merge
 * does not. On a cluster it is that of the server that answers.
 *
 * Whoever asks gets a reading that began after the question, so an answer is never older than what was there
 * when it was asked for. Those who ask while one is under way share the next.
 */
import type { ReadOptions, UsageStore } from '../../store/usage-store.ts';

const TABLES = [
  ...['usage_current', 'usage_day', 'usage_parts', 'detail_parts', 'coverage', 'scrape'],
  ...['watermark', 'hour_mark', 'ledger', 'decision', 'label_history'],
] as const;

export type VersionedTable = (typeof TABLES)[number];

export class Versions {
  readonly #byTable: ReadonlyMap<string, ReadonlyMap<string, string>>;

  constructor(rows: readonly VersionRow[]) {
    const byTable = new Map<string, Map<string, string>>();
    for (const { name, month, version } of rows) {
      byTable.set(name, (byTable.get(name) ?? new Map<string, string>()).set(month, version));
    }
    this.#byTable = byTable;
  }

  /** Of whole tables, or of their partitions (`202610`); equal texts are equal states. */
  of(tables: readonly VersionedTable[], months?: readonly number[]): string {
    return tables
      .map((table) => {
        const partitions = this.#byTable.get(table) ?? new Map<string, string>();
        const wanted = months?.map(String) ?? [...partitions.keys()].sort();
        return `${table}:${wanted.map((month) => `${month}=${partitions.get(month) ?? ''}`).join(',')}`;
      })
      .join(';');
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
       GROUP BY name, month`,
      { tables: TABLES },
      this.#options,
    );
    return new Versions(rows);
  }
}
