import { describe, expect, test } from 'vitest';

import { QueryReader, readObject } from '../../../../aggregator/api/endpoint/request.ts';
import { problemsOf } from '../../../../aggregator/api/endpoint/rules.ts';
import type { RequestProblem } from '../../../../aggregator/api/problem.ts';
import {
  planUsageQuery,
  usageBody,
  usageParameters,
  type UsageParameters,
  type UsageQuery,
} from '../../../../aggregator/api/usage-query.ts';
import { MAX_RANGE_DAYS, MAX_WINDOWS, USAGE_RULES } from '../../../../aggregator/api/usage-rules.ts';

const NOW_MS = Date.parse('2026-03-29T10:40:12.345Z');
const PLANNING = { nowMs: NOW_MS, maxMinutesMs: 6 * 3_600_000 };

type Parameters = Readonly<Record<string, string | string[]>>;

const RULES = USAGE_RULES.map(({ of, problem }) => ({
  of,
  problem: (given: UsageParameters) => problem(given, PLANNING),
}));

function read(parameters: Parameters): {
  readonly value: unknown;
  readonly found: readonly RequestProblem[];
} {
  const reading = new QueryReader(usageParameters).read(parameters);
  const found = problemsOf([reading], RULES, { deps: undefined, scope: { kind: 'all' } });
  return { value: reading.ok ? reading.value : undefined, found };
}

function parsed(parameters: Parameters): UsageQuery {
  const { value, found } = read(parameters);
  expect(found).toEqual([]);
  return planUsageQuery(value as UsageParameters, NOW_MS);
}

/** `parameter: code` of every problem. */
function problems(parameters: Parameters): string[] {
  return read(parameters).found.map((one) => `${one.parameter}: ${one.code}`);
}

function detail(parameters: Parameters): string {
  return read(parameters)
    .found.map((one) => one.detail)
    .join(' ');
}

describe('the range', () => {
  test('is the running hour and the 23 before it unless told otherwise', () => {
    const query = parsed({});
    expect(new Date(query.fromMs).toISOString()).toBe('2026-03-28T11:00:00.000Z');
    expect(new Date(query.toMs).toISOString()).toBe('2026-03-29T11:00:00.000Z');
    expect(query.windows).toEqual([{ startMs: query.fromMs, endMs: query.toMs }]);
  });

  test('without `from` is the day before `to`; without `to` it ends with the running hour', () => {
    expect(parsed({ to: '2026-01-02T03:15Z' }).fromMs).toBe(Date.parse('2026-01-01T03:15Z'));
    expect(parsed({ from: '2026-03-29T00:00Z' }).toMs).toBe(Date.parse('2026-03-29T11:00Z'));
  });

  test.each([
    ['2026-01-31T00:00:00Z', '2026-01-31T00:00:00.000Z'],
    ['2026-01-31t00:00z', '2026-01-31T00:00:00.000Z'],
    ['2026-01-31T01:00:00.000+01:00', '2026-01-31T00:00:00.000Z'],
    ['2026-01-31T05:45:00 05:45', '2026-01-31T00:00:00.000Z'],
  ])('takes %s, by its offset (an unescaped + is a space)', (from, expected) => {
    expect(new Date(parsed({ from, to: '2026-02-01T00:00Z' }).fromMs).toISOString()).toBe(expected);
  });

  test.each([
    '2026-01-31',
    '2026-01-31T00:00:00',
    '1767225600',
    'yesterday',
    '2026-02-30T00:00Z',
    '2026-01-01T25:00Z',
  ])('refuses %s: it is no instant', (from) => {
    expect(problems({ from, to: '2026-03-01T00:00Z' })).toEqual(['from: not_a_time']);
  });

  test('has to lie on quarters of an hour, and the nearest ones are named', () => {
    const off = { from: '2026-01-01T00:07Z', to: '2026-01-01T01:00:00.001Z' };
    expect(problems(off)).toEqual(['from: off_grain', 'to: off_grain']);
    expect(detail(off)).toContain('2026-01-01T00:00:00Z or 2026-01-01T00:15:00Z');
  });

  test('is neither empty nor backward', () => {
    const instant = '2026-01-01T00:00Z';
    expect(problems({ from: instant, to: instant })).toEqual(['from: empty_range']);
    expect(problems({ from: '2026-01-02T00:00Z', to: instant })).toEqual(['from: empty_range']);
    expect(detail({ from: '2027-01-01T00:00Z' })).toContain('2026-03-29T11:00:00Z');
  });

  test(`has at most ${MAX_RANGE_DAYS} days`, () => {
    expect(problems({ from: '2025-01-01T00:00Z', to: '2026-02-05T00:00Z' })).toEqual([]);
    expect(problems({ from: '2025-01-01T00:00Z', to: '2026-02-05T00:15Z' })).toEqual(['to: range_too_long']);
  });

  test('lies where usage can be', () => {
    expect(problems({ from: '1970-01-01T00:00Z', to: '9999-01-01T00:00Z' })).toEqual([
      'from: out_of_bounds',
      'to: out_of_bounds',
    ]);
  });
});

describe('windows', () => {
  test('are hours, days or months of a zone, in either case of letters', () => {
    const day = {
      from: '2026-03-29T00:00+01:00',
      to: '2026-03-30T00:00+02:00',
      windowTimeZone: 'Europe/Berlin',
    };
    expect(parsed({ ...day, windowSize: 'hour' }).windows).toHaveLength(23);
    expect(parsed({ ...day, windowSize: 'DAY' }).windows).toHaveLength(1);
    expect(parsed({ ...day, windowSize: 'Month' }).windows).toHaveLength(1);
  });

  test('of a week there are none, and what there is instead is named', () => {
    expect(problems({ windowSize: 'WEEK' })).toEqual(['windowSize: unknown_window_size']);
    expect(detail({ windowSize: 'WEEK' })).toContain('MINUTE, HOUR, DAY, MONTH');
  });

  test('need a zone of the IANA database', () => {
    expect(problems({ windowTimeZone: 'Europe/Atlantis' })).toEqual(['windowTimeZone: unknown_time_zone']);
    expect(problems({ windowTimeZone: '+01:00' })).toEqual(['windowTimeZone: unknown_time_zone']);
  });

  test(`are at most ${MAX_WINDOWS}`, () => {
    const year = { from: '2025-01-01T00:00Z', to: '2026-01-01T00:00Z' };
    expect(problems({ ...year, to: '2026-01-03T00:00Z', windowSize: 'HOUR' })).toEqual([
      'windowSize: too_many_windows',
    ]);
    expect(parsed({ ...year, windowSize: 'DAY' }).windows).toHaveLength(365);
  });
});

describe('minutes', () => {
  const windowSize = 'MINUTE';

  test('are the running one and the 59 before it unless told otherwise', () => {
    const query = parsed({ windowSize });
    expect(new Date(query.fromMs).toISOString()).toBe('2026-03-29T09:41:00.000Z');
    expect(new Date(query.toMs).toISOString()).toBe('2026-03-29T10:41:00.000Z');
    expect(query.windows).toHaveLength(60);
    expect(parsed({ windowSize, to: '2026-03-29T10:07Z' }).fromMs).toBe(Date.parse('2026-03-29T09:07Z'));
    expect(parsed({ windowSize, from: '2026-03-29T10:38Z' }).windows).toHaveLength(3);
  });

  test('lie on whole minutes, the same in every zone', () => {
    const range = { windowSize, from: '2026-03-29T10:07+05:45', to: '2026-03-29T10:11+05:45' };
    const query = parsed({ ...range, windowTimeZone: 'Asia/Kathmandu' });
    expect(query.windows).toEqual(parsed(range).windows);
    expect(query.windows.map(({ startMs, endMs }) => endMs - startMs)).toEqual(Array(4).fill(60_000));
    const off = { windowSize, from: '2026-03-29T10:07:30Z', to: '2026-03-29T10:08:00.5Z' };
    expect(problems(off)).toEqual(['from: off_grain', 'to: off_grain']);
    expect(detail(off)).toContain('2026-03-29T10:07:00Z or 2026-03-29T10:08:00Z');
  });

  test('are of so many hours at once, and not of rates, which are hourly', () => {
    const range = { windowSize, from: '2026-03-29T00:00Z', to: '2026-03-29T06:00Z' };
    expect(parsed(range).windows).toHaveLength(360);
    expect(problems({ ...range, to: '2026-03-29T06:01Z' })).toEqual(['to: range_too_long']);
    expect(detail({ ...range, to: '2026-03-29T06:01Z' })).toContain('At most 6 hours');
    expect(problems({ ...range, aggregation: 'max' })).toEqual(['aggregation: conflicting_parameters']);
  });
});

describe('groups and filters', () => {
  test('groups come as a list, repeated or both, and in one order', () => {
    expect(parsed({ groupBy: ['namespace, tenant', 'cluster'] }).groupBy).toEqual([
      'tenant',
      'cluster',
      'namespace',
    ]);
    expect(problems({ groupBy: 'tenant,pod' })).toEqual(['groupBy: unknown_group']);
  });

  test('filters hold together; a dimension that is not filtered is absent', () => {
    const query = parsed({ tenant: ['b', 'a', 'b'], 'filterGroupBy[tenant]': ['a', 'c'], cluster: 'north' });
    expect(query.filters).toEqual({ tenant: ['a'], cluster: ['north'] });
  });

  test('filters have at most 100 values, none longer than the longest name in a cluster', () => {
    const names = Array.from({ length: 101 }, (_, index) => `t${index}`);
    expect(problems({ tenant: names })).toEqual(['tenant: too_many_values']);
    expect(problems({ tenant: names.slice(0, 100) })).toEqual([]);
    const longest = ['k', 'n', 'x'].map((part, i) => part.repeat([63, 63, 253][i] ?? 0)).join('/');
    expect(problems({ destination: longest })).toEqual([]);
    expect(problems({ destination: `${longest}x` })).toEqual(['destination: out_of_bounds']);
  });
});

describe('problems', () => {
  test('are told all at once', () => {
    const wrong = {
      from: ['2026-01-01T00:00Z', '2026-01-02T00:00Z'],
      to: 'tomorrow',
      windowSize: 'WEEK',
      windowTimeZone: 'Mars/Olympus',
      tenant: '',
      groupBy: 'pod',
      windowsize: 'DAY',
    };
    expect(problems(wrong).sort()).toEqual([
      'from: repeated_parameter',
      'groupBy: unknown_group',
      'tenant: empty_value',
      'to: not_a_time',
      'windowSize: unknown_window_size',
      'windowTimeZone: unknown_time_zone',
      'windowsize: unknown_parameter',
    ]);
    expect(detail(wrong)).toContain('did you mean "windowSize"?');
  });

  test('of parameters together are told at once, beside those of others by themselves', () => {
    const instant = '2026-01-01T00:00Z';
    expect(problems({ from: instant, to: instant, top: '3', limit: '1', foo: '1' })).toEqual([
      'foo: unknown_parameter',
      'from: empty_range',
      'top: conflicting_parameters',
      'top: conflicting_parameters',
    ]);
    const long = { from: '2024-01-01T00:07Z', to: '2026-01-01T00:00Z', windowSize: 'HOUR' };
    expect(problems({ ...long, top: '3', cursor: 'garbage' })).toEqual([
      ...['cursor: invalid_cursor', 'from: off_grain', 'to: range_too_long', 'windowSize: too_many_windows'],
      'top: conflicting_parameters',
    ]);
    expect(
      problems({ windowSize: 'MINUTE', from: instant, to: '2026-01-02T00:00Z', aggregation: 'avg' }),
    ).toEqual(['to: range_too_long', 'aggregation: conflicting_parameters']);
  });

  test('of parameters together are not told where one of them is wrong by itself, or given twice', () => {
    expect(problems({ from: 'tomorrow', to: '2020-01-01T00:00Z' })).toEqual(['from: not_a_time']);
    expect(problems({ from: '2027-01-01T00:00Z', to: 'tomorrow' })).toEqual(['to: not_a_time']);
    const twice = ['2027-01-01T00:00Z', '2026-01-01T00:00Z'];
    expect(problems({ from: twice, to: '2026-01-02T00:00Z' })).toEqual(['from: repeated_parameter']);
  });

  test('of a body name its parameters as a query string would', () => {
    const wrong = { tenant: [1], filterGroupBy: { cluster: 'a', pod: 'b' }, windowSize: 1 };
    expect(readObject(usageBody, wrong)).toMatchObject({
      ok: false,
      problems: [
        { parameter: 'windowSize', code: 'not_text' },
        { parameter: 'tenant', code: 'not_text' },
        { parameter: 'filterGroupBy[pod]', code: 'unknown_parameter' },
      ],
    });
    for (const body of [[], 'text', 7, null, undefined]) {
      expect(readObject(usageBody, body)).toMatchObject({
        ok: false,
        problems: [{ parameter: '', code: 'not_an_object' }],
      });
    }
  });

  test('of a body do not hide each other, and a good one is read as the query string is', () => {
    const given = { from: '2026-01-01T00:00Z', tenant: 'a', groupBy: ['tenant', 'cluster'] };
    const body = readObject(usageBody, { ...given, filterGroupBy: { cluster: ['b'] } });
    const query = new QueryReader(usageParameters).read({ ...given, 'filterGroupBy[cluster]': 'b' });
    expect(body.ok && query.ok).toBe(true);
    const plan = (value: unknown): unknown => planUsageQuery(value as UsageParameters, NOW_MS);
    expect(plan(body.ok && body.value)).toEqual(plan(query.ok && query.value));
  });
});
