/** Statements to write down: one that is written out in the tests, and any. */
import * as fc from 'fast-check';
import type { Statement } from '../../../../../aggregator/ledger/statement.ts';
import { METERS } from '../../../../../core/metering/catalogue.ts';

export const HOUR = 3_600_000;
export const OCTOBER = Date.UTC(2026, 9, 1);
export const sha = (digit: string): string => digit.repeat(64);

/**
 * A month of a shop: two lines, a correction downwards of the last hour of September, a gap in coverage, a
 * waiver.
 */
export const SHOP: Statement = {
  period: '2026-10',
  tenant: 'acme',
  ruleVersion: 1,
  settingsHash: sha('a'),
  previousCloseHash: sha('b'),
  waivers: [{ cluster: 'dev-1', reason: 'rebuilt, "not" in use', approvedBy: 'ops@example.org' }],
  coverage: [
    { cluster: 'prod-1', meter: 'cpu', coveredMs: 2_678_400_000n, expectedMs: 2_678_400_000n },
    { cluster: 'prod-1', meter: 'memory', coveredMs: 2_678_399_000n, expectedMs: 2_678_400_000n },
  ],
  lines: [
    {
      ...{ cluster: 'prod-1', namespace: 'shop', meter: 'cpu', quantity: 60_000_000_000n, hours: 1 },
      ...{ missingMs: 0n, samples: 120n, flags: 0, hoursHash: sha('c') },
    },
    {
      ...{ cluster: 'prod-1', namespace: 'shop', meter: 'memory', hours: 744 },
      // 16 GiB for the whole of October: beyond 64 bits.
      ...{ quantity: 16n * 2n ** 30n * 744n * 3_600_000n, missingMs: 30_000n, samples: 89_280n, flags: 33 },
      hoursHash: sha('d'),
    },
  ],
  corrections: [
    {
      ...{ id: 'e'.repeat(32), hour: OCTOBER - HOUR, cluster: 'prod-1', namespace: 'shop', meter: 'egress' },
      ...{ before: 1_073_741_825n, after: 1n },
    },
  ],
};

const name = fc.constantFrom('shop', 'shop-2', 'a', 'kube-system', 'straße', '商店', '\u{10ffff}', '\ufffd');
/** What operators write: anything but NUL and half characters. */
const words = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !text.includes('\0'));
const meter = fc.constantFrom(...METERS.map((each) => each.name));
/** Far beyond 64 bits, and as much as a Parquet column takes of requests with nine digits after the point. */
const wide = fc.bigInt({ min: -(2n ** 95n), max: 2n ** 95n });
const natural = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const hash = fc.stringMatching(/^[0-9a-f]{64}$/);
const count = fc.nat();

const line = fc.record({
  ...{ cluster: name, namespace: name, meter, quantity: wide, hours: count, missingMs: natural },
  ...{ samples: natural, flags: fc.nat({ max: 63 }), hoursHash: hash },
});
const correction = fc.record({
  id: fc.stringMatching(/^[0-9a-f]{32}$/),
  hour: fc.integer({ min: -2000, max: -1 }).map((n) => OCTOBER + n * HOUR),
  ...{ cluster: name, namespace: name, meter, before: wide, after: wide },
});
const coverage = fc.record({ cluster: name, meter, coveredMs: natural, expectedMs: natural });

/** Rows of every kind, in no order. */
export const anyStatement: fc.Arbitrary<Statement> = fc.record({
  period: fc.constantFrom('2026-10', '2024-02', '2031-12'),
  ...{ tenant: name, ruleVersion: count, settingsHash: hash },
  previousCloseHash: fc.oneof(hash, fc.constant('')),
  waivers: fc.array(fc.record({ cluster: name, reason: words, approvedBy: words }), { maxLength: 4 }),
  coverage: fc.uniqueArray(coverage, { selector: (row) => JSON.stringify([row.meter, row.cluster]) }),
  lines: fc.uniqueArray(line, { selector: (row) => JSON.stringify([row.meter, row.cluster, row.namespace]) }),
  corrections: fc.uniqueArray(correction, {
    selector: (row) => JSON.stringify([row.hour, row.meter, row.cluster, row.namespace]),
  }),
});

/** The same rows the other way round. */
export function reversed(statement: Statement): Statement {
  const { waivers, coverage: covered, lines, corrections } = statement;
  return {
    ...statement,
    waivers: waivers.toReversed(),
    coverage: covered.toReversed(),
    lines: lines.toReversed(),
    corrections: corrections.toReversed(),
  };
}

/** RFC 4180 once more: the records of a CSV text, the header first. */
export function csvRecords(text: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  for (const match of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gy)) {
    record.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    if (match[3] === ',') continue;
    records.push(record);
    record = [];
  }
  return records;
}
