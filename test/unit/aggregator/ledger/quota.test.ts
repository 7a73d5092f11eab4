import { describe, expect, test } from 'vitest';

import { baseLimit, quotaSchema, quotasSchema } from '../../../../aggregator/ledger/quota.ts';

const QUOTA = { tenant: 'acme', meter: 'cpu', window: 'month', limit: '1000' };

const problemsOf = (given: unknown): readonly string[] =>
  quotaSchema.safeParse(given).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ??
  [];

describe('a quota', () => {
  test('is in the unit people read, and speaks at 80 and 100 per cent, unless told otherwise', () => {
    expect(quotaSchema.parse(QUOTA)).toEqual({ ...QUOTA, unit: 'presented', thresholds: [80, 100] });
  });

  test.each([
    ['cpu', '0.5', 'presented', 1_800_000_000_000n],
    ['cpu', '1000', 'presented', 3_600_000_000_000_000n],
    ['cpu', '0.000000000001', 'base', undefined],
    ['cpu', '7', 'base', 7n],
    ['cpu', '7.0', 'base', 7n],
    ['cpu', '7.5', 'base', undefined],
    ['memory', '1', 'presented', 1_073_741_824n * 3_600_000n],
    // Past 2^53, which no number of JSON holds.
    ['cpu', '9007199254740993', 'base', 9_007_199_254_740_993n],
    ['egress', '0.5', 'presented', 536_870_912n],
    // A third of a byte is none.
    ['egress', '0.0000000001', 'presented', undefined],
    ['cpu', '0', 'presented', undefined],
    ['cpu', '0.000', 'base', undefined],
    ['nothing', '1', 'base', undefined],
  ] as const)('of %s with limit %s %s is %s base units', (meter, limit, unit, expected) => {
    expect(baseLimit({ meter, limit, unit })).toBe(expected);
    const isTaken = problemsOf({ ...QUOTA, meter, limit, unit }).length === 0;
    expect(isTaken).toBe(expected !== undefined);
  });

  test.each([
    [{ limit: 1000 }, 'limit'],
    [{ limit: '1e3' }, 'limit'],
    [{ limit: '-1' }, 'limit'],
    [{ limit: '01' }, 'limit'],
    [{ limit: '1.' }, 'limit'],
    [{ limit: '9'.repeat(31) }, 'limit'],
    [{ meter: 'cpuu' }, 'meter'],
    [{ tenant: '' }, 'tenant'],
    [{ window: 'week' }, 'window'],
    [{ unit: 'cores' }, 'unit'],
    [{ thresholds: [0] }, 'thresholds.0'],
    [{ thresholds: [1_001] }, 'thresholds.0'],
    [{ thresholds: [80.5] }, 'thresholds.0'],
    [{ thresholds: Array.from({ length: 11 }, (_, i) => i + 1) }, 'thresholds'],
    [{ limits: '1' }, ''],
  ])('with %j is refused, and says where', (change, where) => {
    const problems = problemsOf({ ...QUOTA, ...change });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^${where}: `));
  });
});

describe('quotas', () => {
  test('are one for a tenant, meter and window', () => {
    const other = [{ meter: 'memory' }, { window: 'day' }, { tenant: 'globex' }].map((one) => ({
      ...QUOTA,
      ...one,
    }));
    expect(quotasSchema.safeParse([QUOTA, ...other]).success).toBe(true);
    const { error } = quotasSchema.safeParse([QUOTA, ...other, { ...QUOTA, limit: '2' }]);
    expect(error?.issues).toMatchObject([{ path: [4], message: 'is declared already, as number 0' }]);
  });
});
