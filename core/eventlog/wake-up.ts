import type { Clock } from '../runtime/clock.ts';

/** Lets waiting consumers sleep until something happens, without looking again and again. */
export class WakeUp {
  readonly #clock: Clock;
  readonly #waiting = new Set<AbortController>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves at the next `ring`, after `ms`, or when the signal aborts, whichever comes first. */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    const waiter = new AbortController();
    const end = (): void => waiter.abort();
    this.#waiting.add(waiter);
    signal?.addEventListener('abort', end);
    try {
      if (signal?.aborted !== true) await this.#clock.sleep(ms, waiter.signal);
    } finally {
      signal?.removeEventListener('abort', end);
      this.#waiting.delete(waiter);
    }
  }

  ring(): void {
    for (const waiter of this.#waiting) waiter.abort();
  }
}
