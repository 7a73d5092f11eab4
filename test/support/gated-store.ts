import type { BlockInsert, Parameters, ReadOptions, UsageStore } from '../../aggregator/store/usage-store.ts';

interface Gate {
  readonly isHere: (call: string) => boolean;
  readonly reached: () => void;
  readonly opened: Promise<unknown>;
}

/** A store at whose calls a process can be made to wait, so that another one comes in between. */
export class GatedStore implements UsageStore {
  readonly #store: UsageStore;
  #gate: Gate | undefined;

  constructor(store: UsageStore) {
    this.#store = store;
  }

  /**
   * The next call that `isHere` names waits: it is told the statement, or `insert <table>`. Resolves when it
   * has come there; what it resolves to lets it go on.
   */
  stopBefore(isHere: (call: string) => boolean): Promise<() => void> {
    return new Promise((resolve) => {
      const gate = new AbortController();
      const opened = new Promise<unknown>((open) => gate.signal.addEventListener('abort', open));
      this.#gate = { isHere, reached: () => resolve(() => gate.abort()), opened };
    });
  }

  async rows<Row>(sql: string, parameters?: Parameters, options?: ReadOptions): Promise<readonly Row[]> {
    await this.#pass(sql);
    return await this.#store.rows<Row>(sql, parameters, options);
  }

  async *rowBinary(sql: string, parameters?: Parameters, options?: ReadOptions): AsyncGenerator<Uint8Array> {
    await this.#pass(sql);
    yield* this.#store.rowBinary(sql, parameters, options);
  }

  async command(sql: string, parameters?: Parameters): Promise<void> {
    await this.#pass(sql);
    await this.#store.command(sql, parameters);
  }

  async insert(table: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    await this.#pass(`insert ${table}`);
    await this.#store.insert(table, rows);
  }

  async insertBlock(insert: BlockInsert): Promise<void> {
    await this.#pass(`insert ${insert.table}`);
    await this.#store.insertBlock(insert);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #pass(call: string): Promise<void> {
    const gate = this.#gate;
    if (gate === undefined || !gate.isHere(call)) return;
    this.#gate = undefined;
    gate.reached();
    await gate.opened;
  }
}
