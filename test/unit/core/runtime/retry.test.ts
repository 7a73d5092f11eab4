import { expect, test } from 'vitest';
import type { Clock } from '../../../../core/runtime/clock.ts';
import { MeteringError } from '../../../../core/runtime/errors.ts';
import type { FactSink } from '../../../../core/runtime/facts.ts';
import { retried } from '../../../../core/runtime/retry.ts';

const AWAY = new MeteringError('METER_STORE_UNAVAILABLE', 'away', { retryable: true });

function attempts(results: readonly (Error | 'done')[], stopAfter = Infinity) {
  const stopping = new AbortController();
  const waits: number[] = [];
  const told: unknown[] = [];
  const clock: Clock = {
    now: () => 0,
    sleep: async (ms) => {
      waits.push(ms);
      if (waits.length >= stopAfter) stopping.abort();
    },
  };
  const facts: FactSink = { event: (name, fields) => void told.push([name, fields]) };
  let next = 0;
  const work = async (): Promise<void> => {
    const result = results[next++];
    if (result instanceof Error) throw result;
  };
  const done = retried(work, { operation: 'store', clock, facts, signal: stopping.signal });
  return { done, waits, told, tries: () => next };
}

test('what works at once is done once', async () => {
  const { done, waits, tries } = attempts(['done']);
  expect(await done).toBe(true);
  expect([waits, tries()]).toEqual([[], 1]);
});

test('a fault that passes is waited for, twice as long each time and at most ten seconds, and told', async () => {
  const { done, waits, told } = attempts([...Array<Error>(9).fill(AWAY), 'done']);
  expect(await done).toBe(true);
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
  expect(told[1]).toEqual(['retrying', { operation: 'store', attempt: 2, waitMs: 200, error: AWAY }]);
});

test.each([
  ['a fault that does not pass', new MeteringError('METER_STORE_REJECTED', 'no')],
  ['a bug', new TypeError('x is not a function')],
])('%s is thrown at once', async (_, error) => {
  const { done, tries } = attempts([error, 'done']);
  await expect(done).rejects.toBe(error);
  expect(tries()).toBe(1);
});

test('told to stop while it waits, it does not try again', async () => {
  const { done, tries } = attempts([AWAY, AWAY, AWAY, AWAY], 2);
  expect(await done).toBe(false);
  expect(tries()).toBe(2);
});
