/** The only place that reads time or sets timers; everything else is handed a `Clock`. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms` of this clock's time, or at once when the signal aborts (it never rejects). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Timers take 32-bit milliseconds and fire at once beyond them, so longer sleeps go in steps. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Time as the machine has it. */
export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepReal(ms, signal);
  }
}

/**
 * Time that starts at `startMs` and runs `speed` times as fast as the machine's, for demonstrations:
 * a month of scrapes in minutes, through the same code. It is driven by the monotonic clock, so it never
 * goes back even when the machine's wall clock is set.
 */
export class FastClock implements Clock {
  readonly #startMs: number;
  readonly #speed: number;
  readonly #originMs: number;

  constructor(config: { readonly startMs: number; readonly speed: number }) {
    if (!(config.speed > 0 && Number.isFinite(config.speed))) {
      throw new RangeError(`a clock needs a speed above 0, not ${config.speed}`);
    }
    this.#startMs = config.startMs;
    this.#speed = config.speed;
    this.#originMs = performance.now();
  }

  now(): number {
    return this.#startMs + Math.floor((performance.now() - this.#originMs) * this.#speed);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepReal(ms / this.#speed, signal);
  }
}

export interface Repetition {
  readonly intervalMs: number;
  readonly signal: AbortSignal;
}

/**
 * Runs `task` at every whole multiple of `intervalMs` of the clock until the signal aborts. Runs never
 * overlap: a run that takes longer than the interval skips the instants it covered. A task that throws
 * ends the repetition with its error, so whoever awaits it decides what a fault means.
 */
export async function every(
  clock: Clock,
  { intervalMs, signal }: Repetition,
  task: (dueMs: number) => Promise<void>,
): Promise<void> {
  if (!(intervalMs > 0)) throw new RangeError(`an interval has to be above 0 ms, not ${intervalMs}`);
  const nextMs = (): number => (Math.floor(clock.now() / intervalMs) + 1) * intervalMs;
  for (let dueMs = nextMs(); await reaches(clock, dueMs, signal); dueMs = nextMs()) await task(dueMs);
}

/** Timers may fire a little early; sleeping again until the instant is there keeps one run per instant. */
async function reaches(clock: Clock, dueMs: number, signal: AbortSignal): Promise<boolean> {
  for (let leftMs = dueMs - clock.now(); leftMs > 0 && !signal.aborted; leftMs = dueMs - clock.now()) {
    await clock.sleep(leftMs, signal);
  }
  return !signal.aborted;
}

/**
 * Resolves in the next turn of the event loop, after whatever input and output is ready now was handled.
 * For grouping work that arrives together, and for giving way between steps of synchronous work.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function sleepReal(ms: number, signal?: AbortSignal): Promise<void> {
  for (let leftMs = ms; leftMs > 0 && signal?.aborted !== true; leftMs -= LONGEST_TIMER_MS) {
    await timer(Math.min(leftMs, LONGEST_TIMER_MS), signal);
  }
}

function timer(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(handle);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const handle = setTimeout(end, ms);
    signal?.addEventListener('abort', end);
  });
}
