/** Those who wait for the ledger, on a real store: who is woken, who is not, and what a fault does. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LedgerWatch, type Waiting } from '../../aggregator/api/feed/ledger-watch.ts';
import type { TenantScope } from '../../aggregator/api/identity/access.ts';
import type { ReadOptions, UsageStore } from '../../aggregator/store/usage-store.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';
import { until } from '../support/waiting.ts';

const ALL: TenantScope = { kind: 'all' };
const ACME: TenantScope = { kind: 'tenants', tenants: ['acme', 'acme-2'] };
const GLOBEX: TenantScope = { kind: 'tenants', tenants: ['globex'] };
const POLL_MS = 20;
const LONG_MS = 20_000;

const clock = new SystemClock();
const nobody = new AbortController().signal;

let opened: TestStore;
let seq = 0;
let looks = 0;
let fault: Error | undefined;
let watch: LedgerWatch;
const watches: LedgerWatch[] = [];

/** The real one, looked at, and away when told. */
function watched(store: UsageStore): UsageStore {
  return new Proxy(store, {
    get(target, name: keyof UsageStore) {
      if (name !== 'rows') return target[name];
      return async (sql: string, parameters: never, options: ReadOptions) => {
        looks++;
        if (fault !== undefined) throw fault;
        expect(options.timeoutMs).toBe(5_000);
        return await target.rows(sql, parameters, options);
      };
    },
  });
}

function watchOf(
  limits: { readonly maxWaiting?: number; readonly maxWaitingOfOne?: number } = {},
): LedgerWatch {
  const config = { pollMs: POLL_MS, queryTimeoutMs: 5_000, maxWaiting: 8, maxWaitingOfOne: 3, ...limits };
  const made = new LedgerWatch(config, { store: watched(opened.store), clock });
  watches.push(made);
  return made;
}

async function append(tenant: string): Promise<void> {
  seq++;
  await opened.store.command(
    `INSERT INTO ledger (seq, id, kind, period, hour, tenant)
     SELECT {seq:UInt64}, unhex(leftPad(hex({seq:UInt64}), 32, '0')), 'breach', 202611, toDateTime(1793491200, 'UTC'), {tenant:String}`,
    { seq, tenant },
  );
}

beforeAll(async () => {
  opened = await openFastStore();
});
afterEach(() => {
  fault = undefined;
  for (const one of watches.splice(0)) one.stop();
});
afterAll(() => opened.dispose());

async function joined(scope: TenantScope, subject = 'somebody'): Promise<Waiting> {
  const waiting = await watch.join(scope, { subject });
  if (waiting === undefined) throw new Error('no place');
  return waiting;
}

/** Whether a wait is over; looked at from time to time. */
function watching(
  waiting: Waiting,
  forMs = LONG_MS,
  signal = nobody,
): { isOver: () => boolean; end: Promise<void> } {
  let isOver = false;
  const end = waiting.next(forMs, signal).finally(() => (isOver = true));
  end.catch(() => undefined);
  return { isOver: () => isOver, end };
}

describe('an entry', () => {
  test('wakes who reads everything and whose it is, and nobody else', async () => {
    watch = watchOf();
    const [all, acme, globex] = [await joined(ALL), await joined(ACME), await joined(GLOBEX)].map((one) =>
      watching(one),
    );
    await append('acme-2');
    await Promise.all([all?.end, acme?.end]);
    await clock.sleep(5 * POLL_MS);
    expect(globex?.isOver()).toBe(false);
    await append('globex');
    await globex?.end;
  });

  test('that came between two waits ends the next one at once', async () => {
    watch = watchOf();
    const waiting = await joined(ACME);
    await append('acme');
    const before = looks;
    await until('a look that sees it', () => (looks > before + 2 ? true : undefined));
    await waiting.next(LONG_MS, nobody);
    // It was told once.
    const again = watching(waiting, LONG_MS);
    await clock.sleep(5 * POLL_MS);
    expect(again.isOver()).toBe(false);
  });

  test('from before they came wakes nobody', async () => {
    await append('acme');
    watch = watchOf();
    const waiting = watching(await joined(ACME));
    await clock.sleep(5 * POLL_MS);
    expect(waiting.isOver()).toBe(false);
  });
});

describe('a wait', () => {
  test('is over when its time is, or when whoever waits has gone', async () => {
    watch = watchOf();
    const waiting = await joined(ALL);
    const beganMs = clock.now();
    await waiting.next(100, nobody);
    expect(clock.now() - beganMs).toBeGreaterThanOrEqual(95);
    const gone = new AbortController();
    const left = watching(waiting, LONG_MS, gone.signal);
    gone.abort();
    await left.end;
  });

  test('of one who has all their places is refused, others are let in, and one who leaves makes room', async () => {
    watch = watchOf({ maxWaiting: 3, maxWaitingOfOne: 2 });
    const [first] = [await joined(ALL, 'alice'), await joined(ALL, 'alice')];
    expect(await watch.join(ALL, { subject: 'alice' })).toBeUndefined();
    await joined(ALL, 'bob');
    expect(await watch.join(ALL, { subject: 'carol' })).toBeUndefined();
    first.leave();
    first.leave();
    expect(watch.waiting).toBe(2);
    await joined(ALL, 'carol');
    expect(watch.waiting).toBe(3);
  });

  test('costs one look for all of them, and none when nobody waits', async () => {
    watch = watchOf();
    const all = await Promise.all([joined(ALL, 'a'), joined(ALL, 'b'), joined(ACME, 'c')]);
    looks = 0;
    await clock.sleep(10 * POLL_MS);
    expect(looks).toBeGreaterThan(2);
    expect(looks).toBeLessThanOrEqual(11);
    for (const one of all) one.leave();
    await clock.sleep(3 * POLL_MS);
    looks = 0;
    await clock.sleep(5 * POLL_MS);
    expect(looks).toBe(0);
    const late = watching(await joined(ACME));
    await append('acme');
    await late.end;
  });
});

describe('a store that is away', () => {
  test('ends every wait with its fault, and is asked anew by who comes next', async () => {
    watch = watchOf();
    const waits = [await joined(ALL), await joined(ACME)].map((one) => watching(one));
    fault = new MeteringError('METER_STORE_UNAVAILABLE', 'away');
    for (const { end } of waits) await expect(end).rejects.toBe(fault);
    await expect(watch.join(ALL, { subject: 'late' })).rejects.toBe(fault);
    expect(watch.waiting).toBe(2);
    fault = undefined;
    const back = watching(await joined(GLOBEX));
    await append('globex');
    await back.end;
  });
});

test('a stop ends all waits, now and later', async () => {
  watch = watchOf();
  const waiting = await joined(ALL);
  const { end } = watching(waiting);
  watch.stop();
  await end;
  expect(watch.isStopped).toBe(true);
  await waiting.next(LONG_MS, nobody);
});
