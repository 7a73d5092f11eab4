import { expect, test } from 'vitest';
import { Random } from '../../../../collectors/simulator/random.ts';

test('a seed repeats its numbers, another gives others', () => {
  const draw = (seed: string): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 20 }, () => random.int(0, 1_000_000));
  };
  expect(draw('a')).toEqual(draw('a'));
  expect(draw('a')).not.toEqual(draw('b'));
});

test('every number of a range comes about as often as any other', () => {
  const random = new Random('even');
  const counts = [0, 0, 0, 0, 0, 0, 0];
  for (let index = 0; index < 70_000; index += 1) counts[random.int(3, 9) - 3]! += 1;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test('a uuid is one of version 4', () => {
  expect(new Random('u').uuid()).toMatch(
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
});

test('nothing is picked from nothing', () => {
  const nothing: readonly string[] = [];
  expect(new Random('n').pick(nothing)).toBeUndefined();
});
