/**
 * Rates by key: each key has a bucket of `burst` requests that fills again at `perSecond`. A bucket that is
 * full is as good as none, so what is kept are the keys of the last `burst / perSecond` seconds, and never
 * more than `MAX_KEYS`: beyond that the key that was longest without a request is forgotten, in its favour.
 *
 * Example: of 2 per second with a burst of 3, after a rest three requests pass at once, and the next half a
 * second later.
 */
import type { Clock } from '../../../core/runtime/clock.ts';
import type { RateConfig } from './config.ts';

const MAX_KEYS = 10_000;

export interface Allowance {
  readonly passes: boolean;
  /** Whole requests that are left. */
  readonly remaining: number;
  /** Until a whole request is there again; 0 where there is one. */
  readonly waitMs: number;
}

interface Bucket {
  readonly level: number;
  atMs: number;
}

export class TokenBuckets {
  readonly #rate: RateConfig;
  readonly #clock: Clock;
  /** The one longest without a request first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: RateConfig, { clock }: { readonly clock: Clock }) {
    this.#rate = rate;
    this.#clock = clock;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one where there is one. */
  take(key: string): Allowance {
    const level = this.#level(key);
    const passes = level >= 1;
    this.#set(key, passes ? level - 1 : level);
    return { ...this.#allowance(passes ? level - 1 : level), passes };
  }

  /** Whether one is there, without taking it. */
  look(key: string): Allowance {
    return this.#allowance(this.#level(key));
  }

  #level(key: string): number {
    const { burst, perSecond } = this.#rate;
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return burst;
    // A clock that was set back fills nothing, and the bucket fills from there, not once it is there again.
    bucket.atMs = Math.min(bucket.atMs, this.#clock.now());
    const passedMs = this.#clock.now() - bucket.atMs;
    return Math.min(burst, bucket.level + (passedMs / 1000) * perSecond);
  }

  #allowance(level: number): Allowance {
    const waitMs = level >= 1 ? 0 : Math.ceil(((1 - level) / this.#rate.perSecond) * 1000);
    return { passes: level >= 1, remaining: Math.floor(level), waitMs };
  }

  #set(key: string, level: number): void {
    this.#buckets.delete(key);
    this.#buckets.set(key, { level, atMs: this.#clock.now() });
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= MAX_KEYS && this.#level(oldest) < this.#rate.burst) break;
      this.#buckets.delete(oldest);
    }
  }
}
