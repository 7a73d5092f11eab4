import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decimalText,
  definitionOf,
  toBillionths,
} from '../../../../../aggregator/ledger/statements/presented.ts';
import { METERS } from '../../../../../core/metering/catalogue.ts';

const presented = (quantity: bigint, meter: string): string =>
  decimalText(toBillionths(quantity, definitionOf(meter)));

test.each([
  ['cpu', 3_600_000_000_000n, '1'],
  ['cpu', 60_000_000_000n, '0.016666667'],
  ['cpu', 1n, '0'],
  ['cpu', -1n, '0'],
  ['cpu', 5_400_000_000_000n, '1.5'],
  ['memory', 4n * 2n ** 30n * 744n * 3_600_000n, '2976'],
  ['egress', 1n, '0.000000001'],
  ['egress', 1_073_741_824n, '1'],
  ['egress', -1_610_612_736n, '-1.5'],
  ['http_requests', 12_345n, '12345'],
  ['http_requests', 0n, '0'],
])('%s: %d base units are %s', (meter, quantity, text) => {
  expect(presented(quantity, meter)).toBe(text);
});

test('a half is rounded to the even neighbour, on both sides of nothing', () => {
  const half = { presented: { unit: 'x', baseUnits: 2_000_000_000n } };
  expect([1n, 3n, 5n, -1n, -3n, -5n].map((quantity) => toBillionths(quantity, half))).toEqual([
    ...[0n, 2n, 2n, 0n, -2n, -2n],
  ]);
});

test('what is presented is within half a billionth of the base quantity', () => {
  const quantity = fc.bigInt({ min: -(2n ** 127n), max: 2n ** 127n });
  fc.assert(
    fc.property(quantity, fc.constantFrom(...METERS), (base, meter) => {
      const { baseUnits } = meter.presented;
      const error = toBillionths(base, meter) * baseUnits - base * 1_000_000_000n;
      expect(2n * (error < 0n ? -error : error)).toBeLessThanOrEqual(baseUnits);
    }),
  );
});

test('a decimal is read back as what it was made from', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 100n), max: 2n ** 100n }), (billionths) => {
      const text = decimalText(billionths);
      expect(text).toMatch(/^(0|-?[1-9]\d*|-?(0|[1-9]\d*)\.\d{0,8}[1-9])$/);
      const [whole = '', fraction = ''] = text.split('.');
      expect(BigInt(whole + fraction.padEnd(9, '0'))).toBe(billionths);
    }),
  );
});

test('a meter that is not in the catalogue is a bug', () => {
  expect(() => definitionOf('gpu')).toThrow('meter gpu');
});
