/**
 * Who goes on next. Every call to the store or the log is a request that waits here; nothing runs beside it.
 * When everybody waits, one request is chosen by the seed, carried out to its end, and everybody runs until
 * they all wait again. So two processes interleave at every call, in a thousand ways and in the same way each
 * time: no timer of the machine decides anything.
 */
import { nextTurn } from '../../core/runtime/clock.ts';
import type { Random } from '../property/worlds/random.ts';

/** Somebody who calls: a process. What it asks for after its death is never answered. */
export interface Caller {
  readonly name: string;
  isDead: boolean;
}

/** What becomes of a request. */
export type Outcome = 'done' | 'refused' | 'unanswered' | 'crash before' | 'crash after';

export interface Request {
  readonly caller: Caller;
  /** `read`, `command`, `insert <table>`, `poll`, `commit`. */
  readonly operation: string;
  /** Carries it out; tells the caller, unless it is dead by then. */
  readonly carryOut: (outcome: Outcome) => Promise<void>;
}

interface Timer {
  readonly caller: Caller;
  readonly atMs: number;
  readonly wake: () => void;
}

export interface SchedulerDeps {
  readonly random: Random;
  /** Decides over a request that is about to be carried out. */
  readonly judge: (request: Request) => Outcome;
  /** Told before the process goes. */
  readonly crashed: (caller: Caller) => void;
}

/** What a call takes of the world's time. */
const LONGEST_CALL_MS = 20;

export class Scheduler {
  readonly #deps: SchedulerDeps;
  #requests: Request[] = [];
  #timers: Timer[] = [];
  #nowMs: number;
  /** Its requests wait: a process that is swapped out, or whose network is slow. */
  #stalled: Caller | undefined;
  /** Requests carried out so far. */
  count = 0;

  constructor(nowMs: number, deps: SchedulerDeps) {
    this.#nowMs = nowMs;
    this.#deps = deps;
  }

  /** The world's time; every process has a clock of its own beside it. */
  get nowMs(): number {
    return this.#nowMs;
  }

  stall(caller: Caller | undefined): void {
    this.#stalled = caller;
  }

  /** Nobody asks for anything. */
  get isIdle(): boolean {
    return this.#requests.length === 0;
  }

  request(request: Request): void {
    if (!request.caller.isDead) this.#requests.push(request);
  }

  sleep(caller: Caller, ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#timers = this.#timers.filter((timer) => timer !== mine);
        signal?.removeEventListener('abort', wake);
        if (!caller.isDead) resolve();
      };
      const mine = { caller, atMs: this.#nowMs + ms, wake };
      this.#timers.push(mine);
      signal?.addEventListener('abort', wake);
    });
  }

  /** Carries requests out until nobody asks for anything before `untilMs`, or so many were carried out. */
  async run(untilMs: number, most = Infinity): Promise<void> {
    for (let left = most; left > 0; left--) {
      await this.#everybodyWaits();
      if (!(await this.#next()) && !this.#wakeNext(untilMs)) break;
    }
    await this.#everybodyWaits();
  }

  /** To this time, whatever still waits: it has been slow. */
  jump(toMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, toMs);
  }

  /** The process is gone, in the middle of whatever it did. */
  kill(caller: Caller): void {
    caller.isDead = true;
    this.#deps.crashed(caller);
    this.#requests = this.#requests.filter((request) => request.caller !== caller);
    this.#timers = this.#timers.filter((timer) => timer.caller !== caller);
    if (this.#stalled === caller) this.#stalled = undefined;
  }

  async #next(): Promise<boolean> {
    const ready = this.#requests.filter(({ caller }) => caller !== this.#stalled);
    const [first, ...others] = ready.length > 0 ? ready : this.#requests;
    if (first === undefined) return false;
    if (ready.length === 0) this.#stalled = undefined;
    const { random, judge } = this.#deps;
    const chosen = random.pick([first, ...others]);
    this.#requests = this.#requests.filter((request) => request !== chosen);
    this.#nowMs += random.int(1, LONGEST_CALL_MS);
    this.count++;
    const outcome = judge(chosen);
    if (outcome === 'crash before') this.kill(chosen.caller);
    else await chosen.carryOut(outcome);
    if (outcome === 'crash after') this.kill(chosen.caller);
    return true;
  }

  #wakeNext(untilMs: number): boolean {
    const next = this.#timers.reduce<Timer | undefined>(
      (earliest, timer) => (earliest !== undefined && earliest.atMs <= timer.atMs ? earliest : timer),
      undefined,
    );
    if (next === undefined || next.atMs > untilMs) return false;
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.wake();
    return true;
  }

  /**
   * What an answer sets off is done by the turn after next: the stages wait for nothing but requests and
   * timers.
   */
  async #everybodyWaits(): Promise<void> {
    await nextTurn();
    await nextTurn();
  }
}
