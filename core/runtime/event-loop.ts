/** How late the event loop runs: the mean over about a second, in ms. 0 while nothing keeps it. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

import type { Clock } from './clock.ts';

const RESOLUTION_MS = 10;
const SPAN_MS = 1_000;
const NS_PER_MS = 1e6;

export class EventLoopDelay {
  readonly #clock: Clock;
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #sinceMs: number;
  #meanMs = 0;

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    this.#sinceMs = clock.now();
    this.#histogram.enable();
  }

  get meanMs(): number {
    const nowMs = this.#clock.now();
    if (nowMs - this.#sinceMs >= SPAN_MS) {
      this.#meanMs = this.#histogram.count === 0 ? 0 : this.#measured();
      this.#histogram.reset();
      this.#sinceMs = nowMs;
    }
    return this.#meanMs;
  }

  close(): void {
    this.#histogram.disable();
  }

  /** The timer that measures is itself due only every so often. */
  #measured(): number {
    return Math.max(0, this.#histogram.mean / NS_PER_MS - RESOLUTION_MS);
  }
}
