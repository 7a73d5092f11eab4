import type { Clock } from './clock.ts';
import type { FactSink } from './facts.ts';

/** Something that runs: the log, the store, a server, a loop. */
export interface Part {
  readonly name: string;
  start(): Promise<void>;
  /** Finishes what is under way and lets go. Called once, and only if `start` resolved. */
  stop(): Promise<void>;
  /** How long it may take to stop, where that is not what parts are given. */
  readonly stopTimeoutMs?: number;
}

/** One that has perhaps nothing to do to start. */
export function part(name: string, steps: Partial<Pick<Part, 'start'>> & Pick<Part, 'stop'>): Part {
  return { name, start: steps.start ?? (() => Promise.resolve()), stop: steps.stop };
}

export interface LifecycleConfig {
  /** How long each part may take to stop before the next one is stopped all the same. */
  readonly stopTimeoutMs: number;
}

export interface LifecycleDeps {
  readonly clock: Clock;
  readonly facts: FactSink;
}

/** How the run ended: what was asked for, or the first fault. */
export interface Outcome {
  readonly reason: string;
  /** Every part stopped cleanly and none failed. */
  readonly clean: boolean;
}

/**
 * Starts parts in order and stops them in reverse, so each part runs only while all it stands on runs.
 * Guarantee: a failed start stops what was started before it; a stop ends after at most
 * `(parts + 1) x stopTimeoutMs`, more where a part asks for more; both happen once, whoever asks. A crash
 * skips all of it: nothing here is needed for durability, only for leaving quickly and quietly.
 */
export class Lifecycle {
  readonly #config: LifecycleConfig;
  readonly #deps: LifecycleDeps;
  readonly #running: Part[] = [];
  /** Those that did not stop in time: what they fail at afterwards is no news. */
  readonly #leftBehind = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #ended = Promise.withResolvers<Outcome>();
  #starting: Promise<void> | undefined;
  #stop: Promise<Outcome> | undefined;
  #clean = true;

  constructor(config: LifecycleConfig, deps: LifecycleDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  /** Aborts when a stop begins: loops end their waits by it. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Resolves when everything is stopped. */
  get ended(): Promise<Outcome> {
    return this.#ended.promise;
  }

  /** Rejects with the fault of the part that did not start, after the ones before it were stopped. */
  async start(parts: readonly Part[]): Promise<void> {
    this.#starting = this.#startAll(parts);
    try {
      await this.#starting;
    } catch (error) {
      await this.stop('failed start');
      throw error;
    }
  }

  /** Stops everything, once; every caller gets the same outcome. */
  stop(reason: string): Promise<Outcome> {
    this.#stop ??= this.#stopAll(reason);
    return this.#stop;
  }

  /** A part broke while running: what it did is in doubt; the restart goes on from durable state. */
  async fail(part: string, error: unknown): Promise<Outcome> {
    this.#clean = false;
    if (!this.#leftBehind.has(part)) this.#deps.facts.event('partFailed', { part, error });
    return this.stop(`${part} failed`);
  }

  async #startAll(parts: readonly Part[]): Promise<void> {
    for (const part of parts) {
      if (this.#stopping.signal.aborted) return;
      const startedMs = this.#deps.clock.now();
      try {
        await part.start();
      } catch (error) {
        this.#clean = false;
        this.#deps.facts.event('startFailed', { part: part.name, error });
        throw error;
      }
      this.#running.push(part);
      this.#deps.facts.event('started', { part: part.name, durationMs: this.#deps.clock.now() - startedMs });
    }
  }

  async #stopAll(reason: string): Promise<Outcome> {
    this.#deps.facts.event('stopping', { reason });
    this.#stopping.abort();
    // A part in the middle of its start cannot be stopped; it is stopped as soon as it runs.
    const starting = this.#starting?.catch(() => undefined) ?? Promise.resolve();
    const { stopTimeoutMs } = this.#config;
    if (!(await this.#inTime(starting, stopTimeoutMs))) this.#overrun('start', stopTimeoutMs);
    for (let part = this.#running.pop(); part !== undefined; part = this.#running.pop()) {
      await this.#stopPart(part);
    }
    const outcome = { reason, clean: this.#clean };
    this.#ended.resolve(outcome);
    return outcome;
  }

  async #stopPart(part: Part): Promise<void> {
    const { clock, facts } = this.#deps;
    const { stopTimeoutMs = this.#config.stopTimeoutMs } = part;
    const startedMs = clock.now();
    try {
      const inTime = await this.#inTime(part.stop(), stopTimeoutMs);
      if (inTime) facts.event('stopped', { part: part.name, durationMs: clock.now() - startedMs });
      else this.#overrun(part.name, stopTimeoutMs);
    } catch (error) {
      this.#clean = false;
      facts.event('stopFailed', { part: part.name, error });
    }
  }

  #overrun(part: string, timeoutMs: number): void {
    this.#clean = false;
    this.#leftBehind.add(part);
    this.#deps.facts.event('stopTimedOut', { part, timeoutMs });
  }

  /** False when the work is still not done after the time that a stop may take. */
  async #inTime(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
    const done = new AbortController();
    const timeout = this.#deps.clock.sleep(timeoutMs, done.signal).then(() => false);
    try {
      return await Promise.race([work.then(() => true), timeout]);
    } finally {
      done.abort();
    }
  }
}

/** What of `process` is needed to hear signals. */
export interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  off(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  exit(code: number): unknown;
}

/** The exit code that shells give to a process ended by an interrupt. */
const INTERRUPTED = 130;

/** The first SIGINT or SIGTERM stops the parts; a second one ends the process at once. */
export function stopOnSignals(lifecycle: Lifecycle, source: SignalSource): void {
  let asked = false;
  const listeners = (['SIGINT', 'SIGTERM'] as const).map((signal) => {
    const listener = (): void => {
      if (asked) source.exit(INTERRUPTED);
      asked = true;
      lifecycle.stop(signal).catch(() => source.exit(1));
    };
    source.on(signal, listener);
    return { signal, listener };
  });
  const removeAll = (): void => {
    for (const { signal, listener } of listeners) source.off(signal, listener);
  };
  lifecycle.ended.then(removeAll, removeAll);
}
