import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { statementHash } from '../../../../../aggregator/ledger/statements/canonical.ts';
import { plainText, renderCsv } from '../../../../../aggregator/ledger/statements/csv.ts';
import { anyStatement, csvRecords, reversed, sha, SHOP } from './statements.ts';

const HEADER =
  'record,period,tenant,cluster,namespace,meter,hour,quantity,unit,presented_quantity,presented_unit,before,after,' +
  'hours,missing_ms,samples,flags,flag_names,covered_ms,expected_ms,complete,correction_id,hours_hash,reason,' +
  'approved_by,statement_hash';

test('a month is one table: lines, corrections, coverage, waivers', () => {
  const hash = statementHash(SHOP);
  const shop = '2026-10,acme,prod-1,shop';
  expect(renderCsv(SHOP).split('\r\n')).toEqual([
    HEADER,
    `line,${shop},cpu,,60000000000,core-ns,0.016666667,core-hour,,,1,0,120,0,,,,,,${sha('c')},,,${hash}`,
    `line,${shop},memory,,46014561622425600000,byte-ms,11904,GiB-hour,,,744,30000,89280,33,reset missing,,,,,` +
      `${sha('d')},,,${hash}`,
    `correction,${shop},egress,2026-09-30T23:00:00Z,-1073741824,byte,-1,GiB,1073741825,1,,,,,,,,,` +
      `${'e'.repeat(32)},,,,${hash}`,
    `coverage,2026-10,acme,prod-1,,cpu,,,,,,,,,,,,,2678400000,2678400000,true,,,,,${hash}`,
    `coverage,2026-10,acme,prod-1,,memory,,,,,,,,,,,,,2678399000,2678400000,false,,,,,${hash}`,
    `waiver,2026-10,acme,dev-1,,,,,,,,,,,,,,,,,,,,"rebuilt, ""not"" in use",ops@example.org,${hash}`,
    '',
  ]);
});

test('every record has a field for every column, whatever operators wrote', () => {
  fc.assert(
    fc.property(anyStatement, (statement) => {
      const [header, ...records] = csvRecords(renderCsv(statement));
      const { lines, corrections, coverage, waivers } = statement;
      expect(header?.join()).toBe(HEADER);
      expect(records.length).toBe(lines.length + corrections.length + coverage.length + waivers.length);
      for (const record of records) expect(record.length).toBe(header?.length);
      const reasons = records.filter(([kind]) => kind === 'waiver').map((record) => record.at(-3));
      expect(reasons.sort()).toEqual(waivers.map(({ reason }) => plainText(reason)).sort());
    }),
  );
});

test('the bytes do not depend on the order in which rows were read', () => {
  fc.assert(
    fc.property(anyStatement, (statement) => {
      expect(renderCsv(reversed(statement))).toBe(renderCsv(statement));
    }),
    { numRuns: 30 },
  );
});

test('no text begins like a formula; negative numbers stay numbers', () => {
  const forged = ['=HYPERLINK("x")', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1'];
  const waivers = forged.map((reason) => ({ cluster: 'dev-1', reason, approvedBy: reason }));
  const records = csvRecords(renderCsv({ ...SHOP, waivers }));
  const texts = records.filter(([kind]) => kind === 'waiver').flatMap((record) => record.slice(-3, -1));
  expect(texts.length).toBe(12);
  expect(texts.filter((text) => !text.startsWith("'"))).toEqual([]);
  expect(records.find(([kind]) => kind === 'correction')?.[7]).toBe('-1073741824');
  expect(plainText("it's = fine")).toBe("it's = fine");
});
