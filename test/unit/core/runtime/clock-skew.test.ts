import { expect, test } from 'vitest';
import { skewFinding } from '../../../../core/runtime/clock-skew.ts';

test.each([
  [0, 'ok', "it is 0 s ahead of this machine's clock"],
  [1_999, 'ok', "it is 1.999 s ahead of this machine's clock"],
  [2_000, 'warn', "it is 2 s ahead of this machine's clock"],
  [-2_000, 'warn', "it is 2 s behind this machine's clock"],
  [600_000, 'warn', "it is 600 s ahead of this machine's clock"],
  [600_001, 'fail', "it is 600.001 s ahead of this machine's clock"],
  [-600_001, 'fail', "it is 600.001 s behind this machine's clock"],
])('%d ms: %s', (aheadMs, level, seen) => {
  expect(skewFinding('clock', 'it', aheadMs)).toMatchObject({ level, seen });
});
