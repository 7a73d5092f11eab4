import { expect, test } from 'vitest';
import { Scratch } from '../../../../core/runtime/scratch.ts';

test('the same memory is given to one after the other, and more of it to whoever needs more', () => {
  const scratch = new Scratch(1024);
  const first = scratch.take(100);
  expect(first.length).toBeGreaterThanOrEqual(100);
  expect(scratch.take(60)).toBe(first);
  const larger = scratch.take(900);
  expect(larger.length).toBeGreaterThanOrEqual(900);
  expect(larger.length).toBeLessThanOrEqual(1024);
  expect(scratch.take(100)).toBe(larger);
});

test('what is larger than is kept belongs to its taker alone', () => {
  const scratch = new Scratch(1024);
  const kept = scratch.take(1024);
  expect(scratch.take(1025)).toHaveLength(1025);
  expect(scratch.take(1025)).not.toBe(scratch.take(1025));
  expect(scratch.take(1)).toBe(kept);
});
