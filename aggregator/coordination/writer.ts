/**
 * One process writes the ledger at a time; any number stand by. In: a lease in the store. Out: the right to
 * append, statement by statement.
 *
 * An append whose outcome is not known (the connection broke) may still be under way. So the epoch is given
 * up with it: the next one is taken only once the statement is over, and what would come later is refused.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { retried } from '../../core/runtime/retry.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { Lease, type Epoch, type Guard } from './lease.ts';

/** The lease of whoever writes. */
export const LEDGER_LEASE = 'ledger';

/** May append to the ledger and decide; refused with METER_LEASE_LOST where somebody else may. */
export interface WriteRight {
  /** Carries out an insert under the guard; resolves only if the guard was true. */
  guarded(insert: (guard: Guard) => Promise<void>): Promise<void>;
}

/** For stores that nobody else can write to: of a replay, of a command on a data directory. */
export const ANYBODY: WriteRight = {
  guarded: (insert) => insert({ where: '1', parameters: {} }),
};

export interface WriterConfig {
  /** Where this process runs, for people. */
  readonly place: string;
  readonly leaseMs: number;
  readonly renewEveryMs: number;
  /** The store serves this process alone. */
  readonly isAlone: boolean;
}

export interface WriterDeps {
  readonly store: UsageStore;
  readonly clock: Clock;
  readonly facts: FactSink;
}

export class Writer implements WriteRight {
  readonly #config: WriterConfig;
  readonly #deps: WriterDeps;
  readonly #lease: Lease;
  #epoch: Epoch | undefined;
  /** Takings and renewals come one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #toldHolder = '';

  constructor(config: WriterConfig, deps: WriterDeps) {
    this.#config = config;
    this.#deps = deps;
    const { place, leaseMs, isAlone } = config;
    const holder = `${place}/${randomUUID().slice(0, 8)}`;
    this.#lease = new Lease({ name: LEDGER_LEASE, holder, lastsMs: leaseMs, isAlone }, deps);
  }

  /** Whether this process writes; takes the lease if it is free. */
  async holds(): Promise<boolean> {
    if (this.#epoch !== undefined) return true;
    return await this.#inTurn(async () => this.#epoch !== undefined || (await this.#take()));
  }

  async guarded(insert: (guard: Guard) => Promise<void>): Promise<void> {
    const epoch = this.#epoch;
    if (epoch === undefined) throw lost();
    try {
      await insert(this.#lease.guard(epoch));
      if (await this.#lease.isMine(epoch)) return;
    } catch (error) {
      this.#lose(epoch, 'an append failed');
      throw error;
    }
    this.#lose(epoch, 'taken over');
    throw lost();
  }

  /** Renews the lease, or looks whether it is free, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, facts } = this.#deps;
    const retrying = { operation: 'renew the lease of the ledger', clock, facts, signal };
    while (!signal.aborted) {
      await retried(() => this.#beat(), retrying);
      await clock.sleep(this.#config.renewEveryMs, signal);
    }
  }

  /** Nothing is appended from now on; somebody else may begin at once. */
  async release(): Promise<void> {
    await this.#inTurn(async () => {
      const epoch = this.#epoch;
      if (epoch === undefined) return;
      this.#epoch = undefined;
      await this.#lease.release(epoch);
      this.#deps.facts.event('writerReleased', { epoch, held: 0 });
    });
  }

  /** For whoever asks how this process is doing. */
  async describe(): Promise<string> {
    if (this.#epoch !== undefined) return `this process writes the ledger, epoch ${this.#epoch}`;
    const state = await this.#lease.state();
    if (state === undefined) return 'nobody has written the ledger yet';
    const { holder, epoch, isLive, leftMs } = state;
    const seconds = Math.ceil(leftMs / 1000);
    return isLive
      ? `${holder} writes the ledger, epoch ${epoch}, for ${seconds} s unless it says so again`
      : `nobody writes the ledger; ${holder} did, epoch ${epoch}`;
  }

  async #beat(): Promise<void> {
    await this.#inTurn(async () => {
      const epoch = this.#epoch;
      if (epoch === undefined) await this.#take();
      else if (!this.#config.isAlone && !(await this.#lease.renew(epoch))) this.#lose(epoch, 'taken over');
    });
  }

  async #take(): Promise<boolean> {
    const epoch = await this.#lease.take();
    if (epoch === undefined) {
      await this.#tellWaiting();
      return false;
    }
    this.#epoch = epoch;
    this.#toldHolder = '';
    this.#deps.facts.event('writerTaken', { epoch, held: 1 });
    return true;
  }

  #lose(epoch: Epoch, reason: string): void {
    if (this.#epoch !== epoch) return;
    this.#epoch = undefined;
    this.#deps.facts.event('writerLost', { epoch, reason, held: 0 });
  }

  async #tellWaiting(): Promise<void> {
    const holder = (await this.#lease.state())?.holder ?? '';
    if (holder === this.#toldHolder) return;
    this.#toldHolder = holder;
    this.#deps.facts.event('writerWaiting', { holder, held: 0 });
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function lost(): MeteringError {
  const message = 'another process writes the ledger; what this one was about to append is left to it';
  return new MeteringError('METER_LEASE_LOST', message, { retryable: true });
}
