import { expect, test } from 'vitest';
import { renderCsv } from '../../../../../aggregator/ledger/statements/csv.ts';
import { GH0STCLOUD, renderFocus } from '../../../../../aggregator/ledger/statements/focus.ts';
import { renderJson } from '../../../../../aggregator/ledger/statements/json.ts';
import { renderParquet } from '../../../../../aggregator/ledger/statements/parquet.ts';
import { renderStatement, STATEMENT_FORMATS } from '../../../../../aggregator/ledger/statements/render.ts';
import { SHOP } from './statements.ts';

test.each([
  ['json', 'application/json', 'json', Buffer.from(renderJson(SHOP))],
  ['csv', 'text/csv; charset=utf-8; header=present', 'csv', Buffer.from(renderCsv(SHOP))],
  [
    'focus',
    'text/csv; charset=utf-8; header=present',
    'focus.csv',
    Buffer.from(renderFocus(SHOP, GH0STCLOUD)),
  ],
  ['parquet', 'application/vnd.apache.parquet', 'parquet', Buffer.from(renderParquet(SHOP))],
] as const)('%s is handed out as %s', (format, contentType, fileExtension, body) => {
  const rendered = renderStatement(SHOP, format);
  expect({ ...rendered, body: Buffer.from(rendered.body) }).toEqual({ contentType, fileExtension, body });
});

test('there is no form but these', () => {
  expect(STATEMENT_FORMATS).toEqual(['json', 'csv', 'focus', 'parquet']);
});

test('a FOCUS file names the issuer that it is given', () => {
  const issuer = { ...GH0STCLOUD, billingCurrency: 'CHF' };
  expect(Buffer.from(renderStatement(SHOP, 'focus', issuer).body).toString()).toContain(',CHF,');
});
