import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  placeOf,
  positionOf,
  START,
  type LedgerPosition,
} from '../../../../../aggregator/api/feed/position.ts';

const HOUR_MS = 3_600_000;
const ID = '0123456789abcdef'.repeat(2);
const TENANTS = 'abcdefghijklmn_-';

const id = fc.stringMatching(/^[0-9a-f]{32}$/);
const positions: fc.Arbitrary<LedgerPosition> = fc.oneof(
  fc.constant(START),
  fc.record({
    kind: fc.constant('place' as const),
    seq: fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }),
    id,
  }),
  fc.record({
    kind: fc.constant('entry' as const),
    hour: fc.nat(1_190_000).map((n) => n * HOUR_MS),
    id,
    copy: fc.nat(1_000_000),
    tenants: fc.stringMatching(/^[\w-]{16}$/),
  }),
);

test('a position comes back as what it was, whatever it was', () => {
  fc.assert(
    fc.property(positions, (position) => {
      expect(positionOf(placeOf(position))).toEqual(position);
    }),
  );
});

test('two positions that are written alike are one', () => {
  fc.assert(
    fc.property(positions, positions, (a, b) => {
      if (JSON.stringify(placeOf(a)) === JSON.stringify(placeOf(b))) expect(a).toEqual(b);
      else expect(a).not.toEqual(b);
    }),
  );
});

test.each([
  ['nothing', []],
  ['another kind', ['end']],
  ['a start with more', ['start', '1']],
  ['a place without its entry', ['place', '3']],
  ['place 0, where nothing stands', ['place', '0', ID]],
  ['a place with a leading zero', ['place', '03', ID]],
  ['a place below 0', ['place', '-3', ID]],
  ['a place that is no whole number', ['place', '3.5', ID]],
  ['a place past 64 bits', ['place', (1n << 64n).toString(), ID]],
  ['an id in capitals', ['place', '3', ID.toUpperCase()]],
  ['an id that is too short', ['place', '3', ID.slice(1)]],
  ['an id with a quote', ['place', '3', `${ID.slice(1)}'`]],
  ['a place with more', ['place', '3', ID, '0']],
  ['an entry without its copy', ['entry', '490000', ID]],
  ['an entry without its tenants', ['entry', '490000', ID, '0']],
  ['an entry with other text for them', ['entry', '490000', ID, '0', TENANTS.slice(1)]],
  ['an hour past the store', ['entry', '1190001', ID, '0', TENANTS]],
  ['an hour before the epoch', ['entry', '-1', ID, '0', TENANTS]],
  ['an hour in another notation', ['entry', '4e5', ID, '0', TENANTS]],
  ['more copies than there can be', ['entry', '490000', ID, '1000001', TENANTS]],
])('%s is no position', (_, place) => {
  expect(positionOf(place)).toBeUndefined();
});
