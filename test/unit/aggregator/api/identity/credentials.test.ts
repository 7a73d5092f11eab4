import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { bearerToken } from '../../../../../aggregator/api/identity/credentials.ts';

test.each<readonly [readonly string[], string]>([
  [[], 'no_credentials'],
  [['cookie', 'authorization'], 'no_credentials'],
  [['x', 'authorization', 'y', 'Bearer a.b.c'], 'no_credentials'],
  [['authorization', ''], 'other_scheme'],
  [['authorization', 'Bearer'], 'other_scheme'],
  [['authorization', 'Bearera.b.c'], 'other_scheme'],
  [['authorization', 'Basic a.b.c'], 'other_scheme'],
  [['authorization', 'Bearer a.b'], 'malformed_credentials'],
  [['authorization', 'Bearer a.b.'], 'malformed_credentials'],
  [['authorization', 'Bearer a.b.c.d.e'], 'malformed_credentials'],
  [['authorization', 'Bearer a.b.c d'], 'malformed_credentials'],
  [['authorization', 'Bearer a.b.c='], 'malformed_credentials'],
  [['authorization', `Bearer ${'a'.repeat(17)}`], 'token_too_large'],
  [['authorization', 'Bearer a.b.c', 'AUTHORIZATION', 'Bearer a.b.c'], 'several_credentials'],
])('%j are refused: %s', (headers, reason) => {
  expect(bearerToken(headers, 16)).toEqual({ ok: false, reason });
});

test.each(['Bearer', 'bearer', 'BEARER', 'Bearer '])('one token of the scheme "%s" is taken', (scheme) => {
  const headers = ['accept', '*/*', 'Authorization', `${scheme} a.b-_9.c`];
  expect(bearerToken(headers, 16)).toEqual({ ok: true, token: 'a.b-_9.c' });
});

test('whatever is sent, what comes out has three parts and no more than may be', () => {
  const value = fc.oneof(
    fc.string(),
    fc.string().map((text) => `Bearer ${text}.${text}.${text}`),
  );
  fc.assert(
    fc.property(value, (text) => {
      const read = bearerToken(['authorization', text], 64);
      if (!read.ok) return;
      expect(read.token.length).toBeLessThanOrEqual(64);
      expect(read.token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    }),
  );
});
