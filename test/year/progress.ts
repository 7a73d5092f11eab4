/** What a long run says of itself while it goes on: where it is, how fast, and how much memory it has. */
import { SystemClock } from '../../core/runtime/clock.ts';

const DAYS_PER_WEEK = 7;
const MIB = 2 ** 20;
/** Memory is flat if the last quarter of the year takes at most this much more than the first. */
const GROWTH = 1.25;
const GROWTH_BYTES = 100 * MIB;

export interface Cost {
  readonly wallSeconds: number;
  /** Of all threads of the process, the engine's included. */
  readonly cpuSeconds: number;
}

export interface Memory {
  readonly peakMib: number;
  /** Medians of the weekly samples. */
  readonly firstQuarterMib: number;
  readonly lastQuarterMib: number;
  readonly isFlat: boolean;
}

export class Progress {
  readonly #name: string;
  readonly #clock = new SystemClock();
  readonly #beganMs: number;
  readonly #weekly: number[] = [];
  #days = 0;
  #peak = 0;
  #units = 0;
  #told = { units: 0, atMs: 0 };

  constructor(name: string) {
    this.#name = name;
    this.#beganMs = this.#clock.now();
    this.#told.atMs = this.#beganMs;
  }

  units(count: number): void {
    this.#units += count;
  }

  day(endMs: number): void {
    const rss = process.memoryUsage.rss();
    this.#peak = Math.max(this.#peak, rss);
    this.#days++;
    if (this.#days % DAYS_PER_WEEK !== 0) return;
    this.#weekly.push(rss);
    const now = this.#clock.now();
    const perSecond = ((this.#units - this.#told.units) * 1000) / Math.max(1, now - this.#told.atMs);
    this.#told = { units: this.#units, atMs: now };
    this.say(
      `${new Date(endMs).toISOString().slice(0, 10)}  ${perSecond.toFixed(0)} units/s  ` +
        `RSS ${(rss / MIB).toFixed(0)} MiB  ${this.cost().cpuSeconds.toFixed(0)} CPU-s`,
    );
  }

  say(line: string): void {
    process.stderr.write(`${this.#name}: ${line}\n`);
  }

  cost(): Cost {
    const { user, system } = process.cpuUsage();
    const wallSeconds = (this.#clock.now() - this.#beganMs) / 1000;
    return { wallSeconds, cpuSeconds: (user + system) / 1e6 };
  }

  memory(): Memory {
    const quarter = Math.max(1, Math.floor(this.#weekly.length / 4));
    const first = median(this.#weekly.slice(0, quarter));
    const last = median(this.#weekly.slice(-quarter));
    return {
      peakMib: Math.round(this.#peak / MIB),
      firstQuarterMib: Math.round(first / MIB),
      lastQuarterMib: Math.round(last / MIB),
      isFlat: last <= first * GROWTH + GROWTH_BYTES,
    };
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
