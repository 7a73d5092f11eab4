import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  cursor,
  readCursor,
  refuseCursor,
  writeCursor,
} from '../../../../../aggregator/api/endpoint/cursor.ts';

const BINDING = { operation: 'listLedger', tenant: ['acme'], meter: undefined };

describe('a cursor', () => {
  test('comes back as the place that it stands for, whatever the place is', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 6 }), (place) => {
        const written = writeCursor(place, BINDING);
        expect(written).toMatch(/^[\w-]+$/);
        expect(readCursor(written, BINDING)).toEqual(place);
      }),
    );
  });

  test('is good for the question that it came from, however its filters are ordered, and no other', () => {
    const written = writeCursor(['41'], BINDING);
    expect(readCursor(written, { tenant: ['acme'], operation: 'listLedger' })).toEqual(['41']);
    for (const other of [
      { ...BINDING, tenant: ['globex'] },
      { ...BINDING, tenant: ['acme', 'globex'] },
      { ...BINDING, operation: 'listPeriods' },
      { operation: 'listLedger' },
      {},
    ]) {
      expect(readCursor(written, other)).toBeUndefined();
    }
  });

  test('that is cut, changed or made up is none', () => {
    const written = writeCursor(['41', 'x'], BINDING);
    const other = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const [, digest] = JSON.parse(Buffer.from(written, 'base64url').toString()) as [number, string];
    const wrong = [
      '',
      'x',
      written.slice(0, -3),
      other([2, digest, ['41', 'x']]),
      other([1, 'AAAAAAAAAAAAAAAA', ['41', 'x']]),
      other([1, digest, [41]]),
      other([1, digest, '41']),
      other([1, digest, ['41'], 'more']),
      other({ 0: 1, 1: digest, 2: [] }),
      other(null),
    ];
    for (const text of wrong) expect(readCursor(text, BINDING), text).toBeUndefined();
    expect(readCursor(other([1, digest, ['42']]), BINDING)).toEqual(['42']);
  });

  test('is refused as a parameter with a code of its own, and text that cannot be one at once', () => {
    expect(refuseCursor('after').options.problems).toMatchObject([
      { parameter: 'after', code: 'invalid_cursor' },
    ]);
    expect(cursor.safeParse('a b').success).toBe(false);
    expect(cursor.safeParse('x'.repeat(5_000)).success).toBe(false);
  });

  test('is taken back whatever it stands for, with every name as long as Kubernetes allows', () => {
    const place = ['4102444800000', ...[63, 200, 63, 317, 381, 253].map((length) => 'x'.repeat(length))];
    const written = writeCursor(place, BINDING);
    expect(cursor.parse(written)).toBe(written);
    expect(readCursor(written, BINDING)).toEqual(place);
  });
});
