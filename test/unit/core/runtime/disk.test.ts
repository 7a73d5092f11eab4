import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { diskFinding, spaceAt } from '../../../../core/runtime/disk.ts';

const GIB = 1024 ** 3;

test.each([
  [15, 'ok'],
  [14.9, 'warn'],
  [5, 'warn'],
  [4.9, 'fail'],
  [0, 'fail'],
] as const)('%d %% free: %s', (freeGib, level) => {
  const finding = diskFinding('disk', { freeBytes: freeGib * GIB, totalBytes: 100 * GIB });
  expect(finding).toMatchObject({
    level,
    seen: `${freeGib.toFixed(1)} of 100.0 GiB are free (${Math.floor(freeGib)} %)`,
  });
  expect(finding.advice === undefined).toBe(level === 'ok');
});

test('of a directory, what its disk has', async () => {
  const { freeBytes, totalBytes } = await spaceAt(tmpdir());
  expect(freeBytes).toBeGreaterThan(0);
  expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
});
