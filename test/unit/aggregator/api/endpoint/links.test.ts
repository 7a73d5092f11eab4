import { describe, expect, test } from 'vitest';

import { withParameters } from '../../../../../aggregator/api/endpoint/links.ts';

describe('the address of the next page', () => {
  test('is the one that was asked, with another cursor', () => {
    expect(withParameters('/ledger?limit=2&after=a', { after: 'b' })).toBe('/ledger?limit=2&after=b');
    expect(withParameters('/ledger', { after: 'b' })).toBe('/ledger?after=b');
  });

  test('has all that was asked, also behind a question mark that was not escaped', () => {
    const next = withParameters('/query?workload=Job/what?&tenant=acme&limit=1', { cursor: 'c' });
    expect([...new URL(next, 'http://any').searchParams]).toEqual([
      ['workload', 'Job/what?'],
      ['tenant', 'acme'],
      ['limit', '1'],
      ['cursor', 'c'],
    ]);
  });
});
