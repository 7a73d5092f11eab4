import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { compareKeys, keyOf } from '../../../../../aggregator/api/usage/dimensions.ts';

test('keys are in the order of the bytes of their values, as in the store', () => {
  const text = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(text, text, fc.string(), (a, b, shared) => {
      for (const [one, other] of [
        [a, b],
        [shared + a, shared + b],
        [a, a + b],
      ] as const) {
        const wanted = Buffer.compare(Buffer.from(one), Buffer.from(other));
        expect(Math.sign(compareKeys(one, other))).toBe(wanted);
      }
    }),
    { examples: [['\uffee', '\u{1f600}', 'x']] },
  );
});

test('groups whose values only together are the same text have different keys', () => {
  const names = ['tenant', 'namespace'] as const;
  expect(keyOf(names, { tenant: 'ab', namespace: 'c' })).not.toBe(
    keyOf(names, { tenant: 'a', namespace: 'bc' }),
  );
});
