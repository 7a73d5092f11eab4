import type { BlockInsert, Parameters, ReadOptions, UsageStore } from '../../aggregator/store/usage-store.ts';

/** Before: nothing of it happened. After: it landed, and its answer was lost. */
export type When = 'before' | 'after';

export interface Fault {
  readonly when: When;
  readonly error: Error;
}

/** `read`, `command`, or `insert <table>`. */
export type FaultPlan = (operation: string) => Fault | undefined;

/** A store of which calls fail as planned; what does not fail is the real one's. */
export class FaultyStore implements UsageStore {
  plan: FaultPlan = () => undefined;
  readonly #store: UsageStore;

  constructor(store: UsageStore) {
    this.#store = store;
  }

  rows<Row>(sql: string, parameters?: Parameters, options?: ReadOptions): Promise<readonly Row[]> {
    return this.#call('read', () => this.#store.rows<Row>(sql, parameters, options));
  }

  async *rowBinary(sql: string, parameters?: Parameters, options?: ReadOptions): AsyncGenerator<Uint8Array> {
    const fault = this.plan('read');
    if (fault?.when === 'before') throw fault.error;
    yield* this.#store.rowBinary(sql, parameters, options);
    if (fault !== undefined) throw fault.error;
  }

  command(sql: string, parameters?: Parameters): Promise<void> {
    return this.#call('command', () => this.#store.command(sql, parameters));
  }

  insert(table: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    return this.#call(`insert ${table}`, () => this.#store.insert(table, rows));
  }

  insertBlock(insert: BlockInsert): Promise<void> {
    return this.#call(`insert ${insert.table}`, () => this.#store.insertBlock(insert));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #call<T>(operation: string, work: () => Promise<T>): Promise<T> {
    const fault = this.plan(operation);
    if (fault?.when === 'before') throw fault.error;
    const result = await work();
    if (fault !== undefined) throw fault.error;
    return result;
  }
}
