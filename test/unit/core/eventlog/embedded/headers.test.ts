import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { decodeHeaders, encodeHeaders } from '../../../../../core/eventlog/embedded/headers.ts';

describe('the blob of headers', () => {
  test('is as documented', () => {
    expect(Buffer.from(encodeHeaders({ a: Uint8Array.of(1) })!).toString('hex')).toBe('01000000010000006101');
  });

  test('is not there without headers', () => {
    expect(encodeHeaders({})).toBeNull();
    expect(decodeHeaders(null)).toEqual({});
  });

  test('gives back every name and value', () => {
    const entries = fc.uniqueArray(fc.tuple(fc.string({ unit: 'grapheme' }), fc.uint8Array()), {
      selector: ([name]) => name,
    });
    fc.assert(
      fc.property(entries, (headers) => {
        const decoded = decodeHeaders(encodeHeaders(Object.fromEntries(headers)));
        const plain = Object.entries(decoded).map(([name, value]) => [name, [...value]]);
        expect(plain).toEqual(Object.entries(Object.fromEntries(headers)).map(([n, v]) => [n, [...v]]));
      }),
    );
  });
});
