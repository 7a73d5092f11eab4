import { describe, expect, test } from 'vitest';

import { AnswerTexts } from '../../../../../aggregator/api/usage/answer-texts.ts';
import type { Standing } from '../../../../../aggregator/api/usage/standing.ts';
import type { ReportInput } from '../../../../../aggregator/api/usage-report.ts';

const HOUR = 3_600_000;
const BEGIN = Date.UTC(2026, 10, 1);
const windows = [0, 1].map((i) => ({ startMs: BEGIN + i * HOUR, endMs: BEGIN + (i + 1) * HOUR }));
const sums = windows.map(({ startMs }) => ({ windowStartMs: startMs, group: {}, value: 5n, revision: 1 }));
const coverage = windows.map(({ startMs }) => {
  return { windowStartMs: startMs, cluster: 'north', coveredMs: HOUR, expectedMs: HOUR };
});

function standing(watermark: number, changed: Partial<Standing> = {}): ReportInput['standing'] {
  return { watermarks: new Map([['north', watermark]]), closedBefore: 0, states: new Map(), ...changed };
}

function asked(changed: Partial<ReportInput> = {}): ReportInput {
  const figures = { aggregation: 'sum', sums } as const;
  const told = { figures, coverage, standing: standing(BEGIN + 1.5 * HOUR) };
  return { windows, groupBy: [], filters: {}, ...told, ...changed };
}

/** Texts, and how often one was written. */
function writing(): {
  readonly of: (input: ReportInput, form?: string) => string;
  readonly times: () => number;
} {
  const texts = new AnswerTexts();
  let times = 0;
  const write = (rows: readonly object[]): string => {
    times++;
    return JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  };
  const of = (input: ReportInput, form = 'json'): string => texts.textOf(input, [form], write).toString();
  return { of, times: () => times };
}

describe('a whole answer', () => {
  test('is written once for the same figures, while watermarks move within a window', () => {
    const { of, times } = writing();
    const first = of(asked());
    expect(of(asked({ standing: standing(BEGIN + 1.7 * HOUR) }))).toBe(first);
    expect(times()).toBe(1);
  });

  test.each([
    ['another form', {}, 'csv'],
    ['other figures', { figures: { aggregation: 'sum', sums: [...sums] } }, 'json'],
    ['other coverage', { coverage: coverage.map((one) => ({ ...one, coveredMs: 1 })) }, 'json'],
    ['a window that has settled', { standing: standing(BEGIN + 3 * HOUR) }, 'json'],
    ['a watermark that is gone', { standing: standing(0) }, 'json'],
    ['a cluster that came', { standing: standing(0, { watermarks: new Map([['south', 1]]) }) }, 'json'],
    ['a period that is closed', { standing: standing(0, { closedBefore: BEGIN + 720 * HOUR }) }, 'json'],
    ['a period that settles', { standing: standing(0, { states: new Map([[202611, 'settling']]) }) }, 'json'],
    ['groups in another order', { groups: [{}], isRanked: true }, 'json'],
  ] as const)('is written anew for %s', (_, changed, form) => {
    const { of, times } = writing();
    of(asked());
    of(asked(changed), form);
    expect(times()).toBe(2);
  });

  test('of one rate is none of another', () => {
    const used = [{ windowStartMs: BEGIN, group: {}, revision: 1, hours: [{ startMs: BEGIN, value: 9n }] }];
    const { of } = writing();
    const rate = (aggregation: 'max' | 'avg', hourly = coverage): string =>
      of(
        asked({
          windows: [{ startMs: BEGIN, endMs: BEGIN + 2 * HOUR }],
          figures: { aggregation, used, hourly },
        }),
      );
    expect(rate('max')).toContain('"value":"9"');
    expect(rate('avg')).toContain('"value":"4"');
    expect(rate('avg', coverage.slice(0, 1))).toContain('"value":"9"');
  });

  test('of many more rows than figures is not kept', () => {
    const many = Array.from({ length: 50 }, (_, i) => ({
      ...{ startMs: BEGIN + i * HOUR, endMs: BEGIN + (i + 1) * HOUR },
    }));
    const { of, times } = writing();
    of(asked({ windows: many }));
    of(asked({ windows: many }));
    expect(times()).toBe(2);
  });
});
