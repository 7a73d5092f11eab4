import { expect, test } from 'vitest';

import { csv } from '../../../../core/runtime/csv.ts';
import { preferredType } from '../../../../aggregator/api/representation.ts';

const OFFERED = ['application/json', 'text/csv'];

test.each([
  [undefined, 'application/json'],
  ['*/*', 'application/json'],
  ['application/json', 'application/json'],
  ['text/csv', 'text/csv'],
  ['TEXT/CSV; charset=utf-8', 'text/csv'],
  ['text/*', 'text/csv'],
  ['text/html, application/xhtml+xml, */*;q=0.8', 'application/json'],
  ['application/json;q=0.5, text/csv', 'text/csv'],
  ['text/csv;q=0.5, application/json;q=0.5', 'application/json'],
  ['*/*, application/json;q=0', 'text/csv'],
  ['text/html', undefined],
  ['application/json;q=0', undefined],
  ['text/csv;q=much', undefined],
])('Accept: %s is answered as %s', (accept, expected) => {
  expect(preferredType(accept, OFFERED)).toBe(expected);
});

test('CSV quotes what would break a record and nothing else, and ends every record', () => {
  const records = [
    ['plain', 1, 2n ** 127n, true, undefined],
    ['a,b', 'say "x"', 'line\nbreak', 'cr\r', ' space '],
  ];
  expect(csv(['a', 'b', 'c', 'd', 'e'], records)).toBe(
    'a,b,c,d,e\r\n' +
      'plain,1,170141183460469231731687303715884105728,true,\r\n' +
      '"a,b","say ""x""","line\nbreak","cr\r", space \r\n',
  );
});
