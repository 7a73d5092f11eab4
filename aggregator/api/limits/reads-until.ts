/**
 * A store that is read until an instant, and never written: for work that asks many times for one answer.
 * What is asked after that fails as a query that took too long, and each query is given what is left.
 */
import type { Clock } from '../../../core/runtime/clock.ts';
import { invariant, MeteringError } from '../../../core/runtime/errors.ts';
import type { Parameters, UsageStore } from '../../store/usage-store.ts';

interface ReadsUntilDeps {
  readonly store: UsageStore;
  readonly clock: Clock;
  /** Aborted when nobody waits any more. */
  readonly signal?: AbortSignal | undefined;
}

export class ReadsUntil implements UsageStore {
  readonly #deps: ReadsUntilDeps;
  readonly #untilMs: number;

  constructor(untilMs: number, deps: ReadsUntilDeps) {
    this.#untilMs = untilMs;
    this.#deps = deps;
  }

  async rows<Row>(sql: string, parameters?: Parameters): Promise<readonly Row[]> {
    return await this.#deps.store.rows<Row>(sql, parameters, { timeoutMs: this.#left() });
  }

  async *rowBinary(sql: string, parameters?: Parameters): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of this.#deps.store.rowBinary(sql, parameters, { timeoutMs: this.#left() })) {
      this.#left();
      yield chunk;
    }
  }

  async command(): Promise<void> {
    refuse();
  }

  async insert(): Promise<void> {
    refuse();
  }

  async insertBlock(): Promise<void> {
    refuse();
  }

  /** Whoever opened the store closes it. */
  async close(): Promise<void> {
    refuse();
  }

  #left(): number {
    const leftMs = Math.ceil(this.#untilMs - this.#deps.clock.now());
    if (leftMs > 0 && this.#deps.signal?.aborted !== true) return leftMs;
    throw new MeteringError('METER_QUERY_TIMEOUT', 'the time for this answer is over');
  }
}

function refuse(): never {
  invariant(false, 'who answers a question writes nothing');
}
