import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../core/runtime/clock.ts';

const LONGEST_WAIT_MS = 5;

/** Time that stands still until it is moved. Whoever sleeps wakes at once, so loops go on; nothing waits for real. */
export class HandClock implements Clock {
  #nowMs: number;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return;
    await sleep(Math.min(ms, LONGEST_WAIT_MS), undefined, signal === undefined ? {} : { signal }).catch(
      () => undefined,
    );
  }
}
