import { describe, expect, test } from 'vitest';

import { BoundedStore } from '../../../../../aggregator/api/limits/bounded-store.ts';
import { Slots } from '../../../../../aggregator/api/limits/slots.ts';
import type { ReadOptions, UsageStore } from '../../../../../aggregator/store/usage-store.ts';
import { nextTurn } from '../../../../../core/runtime/clock.ts';
import { StepClock } from '../../../../support/step-clock.ts';

interface Query {
  readonly options: ReadOptions;
  readonly end: () => void;
  readonly fail: () => void;
}

/** A store in which every query ends when it is told to. */
function queries(): { readonly store: UsageStore; readonly under: Query[] } {
  const under: Query[] = [];
  const begin = (options: ReadOptions): Promise<readonly never[]> =>
    new Promise((resolve, reject) => {
      under.push({ options, end: () => resolve([]), fail: () => reject(new Error('away')) });
    });
  const store = {
    rows: (_sql: string, _parameters: unknown, options: ReadOptions) => begin(options),
    async *rowBinary(_sql: string, _parameters: unknown, options: ReadOptions) {
      yield Buffer.from('1');
      await begin(options);
      yield Buffer.from('2');
    },
  } as unknown as UsageStore;
  return { store, under };
}

function bounded(config: { readonly slots?: number; readonly waiting?: number } = {}) {
  const clock = new StepClock(0);
  const slots = new Slots({ slots: 2, waiting: 1, waitMs: 100, ...config }, { clock });
  const { store, under } = queries();
  return { clock, slots, under, store: new BoundedStore({ queryTimeoutMs: 1_000 }, { store, slots }) };
}

const settled = () =>
  new Promise((resolve) => process.nextTick(() => queueMicrotask(() => resolve(undefined))));

describe('a query of the API', () => {
  test('always has an end: the shorter of what is allowed and what was asked for', async () => {
    const { store, under } = bounded({ slots: 9 });
    const asked = [
      store.rows('SELECT 1'),
      store.rows('SELECT 1', {}, {}),
      store.rows('SELECT 1', {}, { timeoutMs: 50 }),
      store.rows('SELECT 1', {}, { timeoutMs: 1_000_000 }),
    ];
    await settled();
    expect(under.map(({ options }) => options.timeoutMs)).toEqual([1_000, 1_000, 50, 1_000]);
    for (const query of under) query.end();
    await Promise.all(asked);
  });

  test('writes nothing, whatever a reader tries', async () => {
    const { store } = bounded();
    for (const write of [store.command(), store.insert(), store.insertBlock()]) {
      await expect(write).rejects.toThrow(/the API writes nothing/);
    }
  });

  test('beyond the slots waits its turn; beyond the line it is refused at once', async () => {
    const { store, slots, under } = bounded();
    const [first, second, third] = [store.rows('1'), store.rows('2'), store.rows('3')];
    await settled();
    expect([under.length, slots.waiting]).toEqual([2, 1]);
    await expect(store.rows('4')).rejects.toMatchObject({ code: 'METER_OVERLOADED', retryable: true });
    under[0]?.end();
    await first;
    await settled();
    expect([under.length, slots.waiting, slots.taken]).toEqual([3, 0, 2]);
    for (const query of under) query.end();
    await Promise.all([second, third]);
    expect(slots.taken).toBe(0);
  });

  test('that waits too long is refused, and takes no slot afterwards', async () => {
    const { store, slots, under, clock } = bounded({ slots: 1 });
    const first = store.rows('1');
    const second = expect(store.rows('2')).rejects.toMatchObject({ code: 'METER_OVERLOADED' });
    await settled();
    clock.step(100);
    await second;
    expect(slots.waiting).toBe(0);
    under[0]?.end();
    await first;
    expect([slots.taken, under.length]).toEqual([0, 1]);
  });

  test('gives its slot back when it fails, and when a stream is read to the end or left', async () => {
    const { store, slots, under } = bounded();
    const failed = expect(store.rows('1')).rejects.toThrow('away');
    await settled();
    under[0]?.fail();
    await failed;
    expect(slots.taken).toBe(0);
    for await (const chunk of store.rowBinary('2')) {
      expect([slots.taken, chunk.toString()]).toEqual([1, '1']);
      break;
    }
    expect(slots.taken).toBe(0);
    const chunks: string[] = [];
    const read = (async () => {
      for await (const chunk of store.rowBinary('3')) chunks.push(chunk.toString());
    })();
    await nextTurn();
    under.at(-1)?.end();
    await read;
    expect([chunks, slots.taken, under.at(-1)?.options.timeoutMs]).toEqual([['1', '2'], 0, 1_000]);
  });
});
