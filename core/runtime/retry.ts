import type { Clock } from './clock.ts';
import { MeteringError } from './errors.ts';
import type { FactSink } from './facts.ts';

export const FIRST_RETRY_MS = 100;
export const MAX_RETRY_MS = 10_000;

export interface Retrying {
  /** What is tried, as the log says it. */
  readonly operation: string;
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly signal: AbortSignal;
}

/**
 * Tries until it works: a fault that passes by itself is waited for, twice as long each time, at most 10 s.
 * Any other is thrown. False: told to stop while it did not work.
 */
export async function retried(work: () => Promise<unknown>, options: Retrying): Promise<boolean> {
  const { operation, clock, facts, signal } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof MeteringError) || !error.retryable) throw error;
      const waitMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempt - 1));
      facts.event('retrying', { operation, attempt, waitMs, error });
      await clock.sleep(waitMs, signal);
      if (signal.aborted) return false;
    }
  }
}
