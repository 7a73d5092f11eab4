/**
 * Those who wait for the ledger to go on. Input: whose entries somebody waits for. Output: that there may be
 * some. Guarantee: one reading of the ledger's head serves all who wait, and there is none while nobody
 * does; what became visible after `join` resolved is not missed; so many wait at most, and so many of one
 * caller. A tenant's wait is not ended by others' entries, so it does not tell of them. A store that is away
 * ends every wait with its fault; a stop ends them at once, as if the time were over.
 */
import type { Clock } from '../../../core/runtime/clock.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { Principal, TenantScope } from '../identity/access.ts';

export interface LedgerWatchConfig {
  /** Between two looks at the head. */
  readonly pollMs: number;
  readonly queryTimeoutMs: number;
  /** Requests that wait at the same time, and of one caller. */
  readonly maxWaiting: number;
  readonly maxWaitingOfOne: number;
}

export interface LedgerWatchDeps {
  readonly store: UsageStore;
  /** The machine's time: whoever waits does so in the real world. */
  readonly clock: Clock;
}

/** A place among those who wait; to be left in any case. */
export interface Waiting {
  /** Resolves when there may be entries since the last time, the time is over, or nobody is to wait. */
  next(timeoutMs: number, signal: AbortSignal): Promise<void>;
  leave(): void;
}

interface Waiter {
  readonly subject: string;
  readonly scope: TenantScope;
  due: boolean;
  wake: AbortController;
  fault: Error | undefined;
}

export class LedgerWatch {
  readonly #config: LedgerWatchConfig;
  readonly #deps: LedgerWatchDeps;
  readonly #waiters = new Set<Waiter>();
  readonly #stopped = new AbortController();
  /** The newest head that was seen while somebody waited. */
  #head: Promise<bigint> | undefined;

  constructor(config: LedgerWatchConfig, deps: LedgerWatchDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  get isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Undefined where too many wait already. */
  async join(scope: TenantScope, { subject }: Pick<Principal, 'subject'>): Promise<Waiting | undefined> {
    const { maxWaiting, maxWaitingOfOne } = this.#config;
    const own = [...this.#waiters].filter((waiter) => waiter.subject === subject);
    if (this.#waiters.size >= maxWaiting || own.length >= maxWaitingOfOne) return undefined;
    const waiter: Waiter = { subject, scope, due: false, wake: new AbortController(), fault: undefined };
    this.#waiters.add(waiter);
    const leave = (): void => void this.#waiters.delete(waiter);
    try {
      this.#head ??= this.#begin();
      await this.#head;
    } catch (error) {
      leave();
      throw error;
    }
    return { leave, next: (timeoutMs, signal) => this.#next(waiter, timeoutMs, signal) };
  }

  /** Nobody waits any longer, now or later. */
  stop(): void {
    this.#stopped.abort();
    for (const waiter of this.#waiters) wake(waiter);
  }

  async #next(waiter: Waiter, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (!waiter.due && !this.isStopped) {
      const ends = AbortSignal.any([waiter.wake.signal, signal]);
      await this.#deps.clock.sleep(timeoutMs, ends);
    }
    if (waiter.fault !== undefined) throw waiter.fault;
    waiter.due = false;
    waiter.wake = new AbortController();
  }

  async #begin(): Promise<bigint> {
    const first = this.#readHead();
    this.#watch(first).catch((error: unknown) => this.#fail(error));
    return await first;
  }

  /** Ends when nobody waits; whoever comes next begins anew. */
  async #watch(first: Promise<bigint>): Promise<void> {
    for (let head = await first; this.#waiters.size > 0 && !this.isStopped;) {
      await this.#deps.clock.sleep(this.#config.pollMs, this.#stopped.signal);
      const newest = await this.#readHead();
      if (newest > head) await this.#tell(head, newest);
      head = newest;
    }
    this.#head = undefined;
  }

  #fail(error: unknown): void {
    this.#head = undefined;
    for (const waiter of this.#waiters) {
      waiter.fault =
        error instanceof Error ? error : new Error('the ledger cannot be read', { cause: error });
      wake(waiter);
    }
  }

  async #tell(from: bigint, to: bigint): Promise<void> {
    const ofTenants = [...this.#waiters].some(({ scope }) => scope.kind === 'tenants');
    const tenants = ofTenants ? await this.#tenantsBetween(from, to) : new Set<string>();
    for (const waiter of this.#waiters) {
      const { scope } = waiter;
      if (scope.kind === 'all' || scope.tenants.some((tenant) => tenants.has(tenant))) wake(waiter);
    }
  }

  async #readHead(): Promise<bigint> {
    const { store } = this.#deps;
    const { queryTimeoutMs: timeoutMs } = this.#config;
    const [row] = await store.rows<{ head: string }>(
      'SELECT max(seq) AS head FROM ledger',
      {},
      { timeoutMs },
    );
    return BigInt(row?.head ?? 0);
  }

  /** For waking only: nobody is shown them. */
  async #tenantsBetween(from: bigint, to: bigint): Promise<ReadonlySet<string>> {
    const rows = await this.#deps.store.rows<{ tenant: string }>(
      'SELECT DISTINCT tenant FROM ledger WHERE seq > {from:UInt64} AND seq <= {to:UInt64}',
      { from, to },
      { timeoutMs: this.#config.queryTimeoutMs },
    );
    return new Set(rows.map(({ tenant }) => tenant));
  }
}

function wake(waiter: Waiter): void {
  waiter.due = true;
  waiter.wake.abort();
}
