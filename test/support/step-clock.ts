import type { Clock } from '../../core/runtime/clock.ts';

interface Sleeper {
  readonly atMs: number;
  readonly durationMs: number;
  readonly wake: () => void;
}

/** Time that goes from one sleeper's end to the next, as fast as whoever waits can follow. */
export class StepClock implements Clock {
  readonly #sleepers = new Set<Sleeper>();
  #nowMs: number;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper = { atMs: this.#nowMs + durationMs, durationMs, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', wake);
    });
  }

  /** How many sleep for just that long. */
  sleeping(durationMs: number): number {
    return [...this.#sleepers].filter((sleeper) => sleeper.durationMs === durationMs).length;
  }

  /** To the end of the next sleep, if that is not after `untilMs`; false, and then time is there, if it is. */
  step(untilMs: number): boolean {
    const next = [...this.#sleepers].reduce<Sleeper | undefined>(
      (earliest, sleeper) => (earliest !== undefined && earliest.atMs <= sleeper.atMs ? earliest : sleeper),
      undefined,
    );
    if (next === undefined || next.atMs > untilMs) {
      this.#nowMs = untilMs;
      return false;
    }
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.wake();
    return true;
  }
}
