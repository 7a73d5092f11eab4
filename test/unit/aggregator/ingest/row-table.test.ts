import { describe, expect, test } from 'vitest';
import { PointCursor } from '../../../../core/otlp/walker.ts';
import { RowTable } from '../../../../aggregator/ingest/row-table.ts';

type Hash = readonly [number, number, number, number];

function cursorOf([hash0, hash1, hash2, hash3]: Hash): PointCursor {
  return Object.assign(new PointCursor(), { hash0, hash1, hash2, hash3 });
}

describe('a table of rows', () => {
  test('tells apart rows that differ in any word of their key, though all begin in the same slot', () => {
    const table = new RowTable<string>();
    const keys: [Hash, number, number][] = [
      [[1, 2, 3, 4], 5, 6],
      [[1, 9, 3, 4], 5, 6],
      [[1, 2, 9, 4], 5, 6],
      [[1, 2, 3, 9], 5, 6],
      [[1 + 4096, 2, 3, 4], 5, 6],
      [[1, 2, 3, 4], 5 + 4096, 6],
      [[1, 2, 3, 4], 5, 6 + 4096],
      [[1, 2, 3, 4], 5, -6],
    ];
    keys.forEach(([hash, resource, metric], i) => table.add(cursorOf(hash), resource, metric, `row ${i}`));
    keys.forEach(([hash, resource, metric], i) => {
      expect(table.find(cursorOf(hash), resource, metric)).toBe(`row ${i}`);
    });
    expect(table.find(cursorOf([1, 2, 3, 5]), 5, 6)).toBeUndefined();
    expect(table.size).toBe(keys.length);
  });

  test('keeps every row while it grows, whether their slots are spread or all the same', () => {
    for (const spread of [0x9e3779b1, 0]) {
      const table = new RowTable<number>();
      const hash = (i: number): Hash => [Math.imul(i, spread), i, ~i, i ^ 0x55555555];
      const count = spread === 0 ? 3_000 : 20_000;
      for (let i = 0; i < count; i++) table.add(cursorOf(hash(i)), i % 7, i % 3, i);
      for (let i = 0; i < count; i++) expect(table.find(cursorOf(hash(i)), i % 7, i % 3)).toBe(i);
      expect(table.find(cursorOf(hash(count)), count % 7, count % 3)).toBeUndefined();
    }
  });

  test('is empty after it was cleared', () => {
    const table = new RowTable<number>();
    for (let i = 0; i < 5_000; i++) table.add(cursorOf([i, 0, 0, 0]), 0, 0, i);
    table.clear();
    expect(table.size).toBe(0);
    expect(table.find(cursorOf([7, 0, 0, 0]), 0, 0)).toBeUndefined();
    table.add(cursorOf([7, 0, 0, 0]), 0, 0, 70);
    expect(table.find(cursorOf([7, 0, 0, 0]), 0, 0)).toBe(70);
  });
});
