/**
 * When a target is scraped: at offset + n x interval since the epoch, the offset a stable hash of the target,
 * so that targets spread over the interval, a restart keeps the grid, and no delay ever shifts it. Interval
 * 30 s and offset 7 s: :07, :37, :07, ... A slot that passes unused is skipped, not made up for.
 */
import { createHash } from 'node:crypto';

export interface Slot {
  /** When the scrape is due, and the time of its samples. */
  readonly atMs: number;
  /** Slots that passed since the one before. */
  readonly skipped: number;
}

export class Schedule {
  readonly intervalMs: number;
  readonly offsetMs: number;
  private lastMs: number | undefined;

  constructor(id: string, intervalMs: number) {
    this.intervalMs = intervalMs;
    this.offsetMs = createHash('sha256').update(id).digest().readUIntBE(0, 6) % intervalMs;
  }

  /** The first slot after `nowMs` and after every slot given before. */
  next(nowMs: number): Slot {
    const last = this.lastMs;
    // A clock that was set back does not stop the scrapes until it has caught up.
    const isBehind = last !== undefined && last - nowMs > this.intervalMs;
    const afterMs = last === undefined || isBehind ? nowMs : Math.max(nowMs, last);
    const atMs =
      Math.floor((afterMs - this.offsetMs) / this.intervalMs + 1) * this.intervalMs + this.offsetMs;
    this.lastMs = atMs;
    const skipped = last === undefined || isBehind ? 0 : (atMs - last) / this.intervalMs - 1;
    return { atMs, skipped };
  }
}
