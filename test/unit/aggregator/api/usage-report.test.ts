import { expect, test } from 'vitest';

import type { UsageSum } from '../../../../aggregator/api/usage-reader.ts';
import {
  hasMoreRows,
  SETTLE_MS,
  usageReport,
  type ReportInput,
} from '../../../../aggregator/api/usage-report.ts';

const WINDOWS = [
  { startMs: 0, endMs: 1000 },
  { startMs: 1000, endMs: 2000 },
];

interface Given extends Partial<Omit<ReportInput, 'standing' | 'figures'>> {
  readonly sums?: readonly Omit<UsageSum, 'revision'>[];
  readonly watermarks?: ReadonlyMap<string, number>;
}

function input({ sums = [], watermarks = new Map(), ...changes }: Given): ReportInput {
  return {
    windows: WINDOWS,
    groupBy: [],
    filters: {},
    figures: { aggregation: 'sum', sums: sums.map((sum) => ({ revision: 1, ...sum })) },
    coverage: [],
    standing: { watermarks, closedBefore: 0, states: new Map() },
    ...changes,
  };
}

function covered(windowStartMs: number, cluster: string, coveredMs: number): ReportInput['coverage'][number] {
  return { windowStartMs, cluster, coveredMs, expectedMs: 900 };
}

test('nothing scraped gives no value; scraped and nothing used gives 0', () => {
  const rows = usageReport(input({ coverage: [covered(1000, 'a', 1)] }));
  expect(rows.map((row) => row.value)).toEqual([undefined, 0n]);
  expect(rows.map((row) => row.coverage.coveredMs)).toEqual([0, 1]);
});

test('usage is shown even where coverage is not known yet', () => {
  expect(usageReport(input({ sums: [{ windowStartMs: 0, group: {}, value: 5n }] }))[0]?.value).toBe(5n);
});

test('a group met once has a row in every window', () => {
  const report = input({
    groupBy: ['tenant'],
    sums: [
      { windowStartMs: 0, group: { tenant: 'b' }, value: 1n },
      { windowStartMs: 1000, group: { tenant: 'a' }, value: 2n },
    ],
    coverage: [covered(0, 'x', 900), covered(1000, 'x', 900)],
  });
  expect(usageReport(report).map((row) => [row.window.startMs, row.group.tenant, row.value])).toEqual([
    [0, 'a', 0n],
    [0, 'b', 1n],
    [1000, 'a', 2n],
    [1000, 'b', 0n],
  ]);
  expect([3, 4].map((limit) => hasMoreRows(report, limit))).toEqual([true, false]);
});

test('names that join to the same text stay apart', () => {
  const report = input({
    groupBy: ['tenant', 'namespace'],
    sums: [
      { windowStartMs: 0, group: { tenant: 'a', namespace: 'b-c' }, value: 1n },
      { windowStartMs: 0, group: { tenant: 'a-b', namespace: 'c' }, value: 2n },
    ],
  });
  expect(usageReport(report).filter((row) => row.value !== undefined)).toHaveLength(2);
});

test('groups without any usage have no rows', () => {
  expect(usageReport(input({ groupBy: ['tenant'], coverage: [covered(0, 'x', 900)] }))).toEqual([]);
});

test('a window is complete when every cluster in question has passed it by the time to settle', () => {
  const complete = (changes: Given): boolean[] => usageReport(input(changes)).map((row) => row.complete);
  const passed = 1000 + SETTLE_MS;
  expect(complete({ watermarks: new Map([['a', passed]]) })).toEqual([true, false]);
  expect(complete({ watermarks: new Map([['a', passed - 1]]) })).toEqual([false, false]);
  expect(
    complete({
      watermarks: new Map([
        ['a', passed],
        ['b', 0],
      ]),
    }),
  ).toEqual([false, false]);
  expect(
    complete({
      watermarks: new Map([
        ['a', passed],
        ['b', 0],
      ]),
      filters: { cluster: ['a'] },
    }),
  ).toEqual([true, false]);
  expect(complete({ watermarks: new Map([['a', passed]]), filters: { cluster: ['a', 'new'] } })).toEqual([
    false,
    false,
  ]);
  expect(complete({})).toEqual([false, false]);
});

test('a window of closed periods is complete, whatever was seen of its clusters', () => {
  const watermarks = new Map([['gone', 0]]);
  for (const changes of [{ watermarks }, {}, { filters: { cluster: ['never-seen'] } }]) {
    const report = input(changes);
    const told = usageReport({ ...report, standing: { ...report.standing, closedBefore: 1500 } });
    expect(told.map((row) => row.complete)).toEqual([true, false]);
  }
});

test('coverage of a cluster is its own, of a sum that of all', () => {
  const coverage = [covered(0, 'a', 900), covered(0, 'b', 300)];
  const sums = [
    { windowStartMs: 0, group: { cluster: 'a' }, value: 1n },
    { windowStartMs: 0, group: { cluster: 'b' }, value: 1n },
  ];
  const byCluster = usageReport(input({ groupBy: ['cluster'], sums, coverage })).slice(0, 2);
  expect(byCluster.map((row) => row.coverage)).toEqual([
    { coveredMs: 900, expectedMs: 900 },
    { coveredMs: 300, expectedMs: 900 },
  ]);
  expect(usageReport(input({ coverage }))[0]?.coverage).toEqual({ coveredMs: 1200, expectedMs: 1800 });
});
