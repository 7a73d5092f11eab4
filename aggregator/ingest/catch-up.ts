/**
 * Whether senders make up for an outage: their samples come from far behind the clock and gain on it. In the
 * log there is no backlog then, for what waits does so at the senders. A sender that is always late by as
 * much gains nothing.
 */
import type { Batch } from './batch.ts';

/** Samples are a scrape, its way and a batch old at any time. */
const FAR_BEHIND_MS = 30_000;
/** Batches differ; for so long the first that is far behind is taken for the begin of a catch-up. */
const LOOK_MS = 10_000;
/** Of the time that passed; what is always as late is so by some seconds more or less. */
const LEAST_GAIN = 0.5;

export class CatchUp {
  #isUnderWay = false;
  #since: { readonly nowMs: number; readonly behindMs: number } | undefined;

  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** In: the newest batch, and when it was stored. One without a sample says nothing. */
  see(batch: Batch, nowMs: number): void {
    const t = batch.samples.medianTime();
    if (t === undefined) return;
    const behindMs = nowMs - t;
    if (behindMs <= FAR_BEHIND_MS) {
      this.end();
      return;
    }
    if (this.#since === undefined) this.#isUnderWay = true;
    else if (nowMs - this.#since.nowMs < LOOK_MS) return;
    else {
      const gainedMs = this.#since.behindMs - behindMs;
      this.#isUnderWay = gainedMs >= LEAST_GAIN * (nowMs - this.#since.nowMs);
    }
    this.#since = { nowMs, behindMs };
  }

  /** Nothing came, or what came is new. */
  end(): void {
    this.#isUnderWay = false;
    this.#since = undefined;
  }
}
