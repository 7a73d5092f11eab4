/**
 * The store as the API has it: for reading only, every statement with an end (`max_execution_time`) and in
 * one of so many slots. The API's readers are handed this one, so none can make a statement without.
 */
import { invariant } from '../../../core/runtime/errors.ts';
import type { Parameters, ReadOptions, UsageStore } from '../../store/usage-store.ts';
import type { Slots } from './slots.ts';

export interface BoundedStoreConfig {
  readonly queryTimeoutMs: number;
}

export class BoundedStore implements UsageStore {
  readonly #config: BoundedStoreConfig;
  readonly #store: UsageStore;
  readonly #slots: Slots;

  constructor(config: BoundedStoreConfig, deps: { readonly store: UsageStore; readonly slots: Slots }) {
    this.#config = config;
    this.#store = deps.store;
    this.#slots = deps.slots;
  }

  async rows<Row>(
    sql: string,
    parameters: Parameters = {},
    options: ReadOptions = {},
  ): Promise<readonly Row[]> {
    const release = await this.#slots.take();
    try {
      return await this.#store.rows<Row>(sql, parameters, this.#bounded(options));
    } finally {
      release();
    }
  }

  /** Its slot is held until it is read to the end or given up. */
  async *rowBinary(
    sql: string,
    parameters: Parameters = {},
    options: ReadOptions = {},
  ): AsyncIterable<Uint8Array> {
    const release = await this.#slots.take();
    try {
      yield* this.#store.rowBinary(sql, parameters, this.#bounded(options));
    } finally {
      release();
    }
  }

  command(): Promise<void> {
    return writesNothing();
  }

  insert(): Promise<void> {
    return writesNothing();
  }

  insertBlock(): Promise<void> {
    return writesNothing();
  }

  /** Whoever opened the store closes it. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** A reader may ask for less time than there is, never for more. */
  #bounded({ timeoutMs = Infinity }: ReadOptions): ReadOptions {
    return { timeoutMs: Math.min(timeoutMs, this.#config.queryTimeoutMs) };
  }
}

async function writesNothing(): Promise<never> {
  invariant(false, 'the API writes nothing');
}
