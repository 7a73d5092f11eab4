import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { partitionOfKey } from '../../../../../core/eventlog/embedded/partitioner.ts';

describe('the partition of a key', () => {
  test('never changes from one release to the next', () => {
    const keys = ['', 'a', 'node-1', 'runtime-dev', 'runtime-prod'];
    expect(keys.map((key) => partitionOfKey(Buffer.from(key), 4))).toEqual([1, 0, 3, 2, 0]);
  });

  test('is one of the partitions, whatever the key', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.integer({ min: 1, max: 256 }), (key, partitions) => {
        const partition = partitionOfKey(key, partitions);
        expect(Number.isInteger(partition) && partition >= 0 && partition < partitions).toBe(true);
      }),
    );
  });

  test('spreads similar keys evenly', () => {
    const counts = [0, 0, 0, 0];
    for (let n = 0; n < 4000; n++) {
      const partition = partitionOfKey(Buffer.from(`node-${n}`), counts.length);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(850);
  });
});
