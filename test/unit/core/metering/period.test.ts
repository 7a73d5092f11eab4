import { describe, expect, test } from 'vitest';
import {
  nextPeriod,
  parsePeriod,
  periodEnd,
  periodName,
  periodOf,
  periodStart,
} from '../../../../core/metering/period.ts';

describe('a period', () => {
  test('is a calendar month, UTC, and begins with its first millisecond', () => {
    expect(periodOf(Date.UTC(2026, 9, 1))).toBe(202610);
    expect(periodOf(Date.UTC(2026, 9, 1) - 1)).toBe(202609);
    expect(periodStart(202610)).toBe(Date.UTC(2026, 9, 1));
    expect(periodEnd(202610)).toBe(Date.UTC(2026, 10, 1));
  });

  test('ends where the next begins, over the turn of a year too', () => {
    expect(nextPeriod(202612)).toBe(202701);
    expect(periodEnd(202612)).toBe(periodStart(202701));
    expect(nextPeriod(202601)).toBe(202602);
  });

  test('has a name that is read back', () => {
    expect(periodName(202610)).toBe('2026-10');
    expect(parsePeriod('2026-10')).toBe(202610);
  });

  test.each(['2026-13', '2026-00', '2026-1', '202610', '1926-10', '2026-10-01', ''])('is not %j', (name) => {
    expect(parsePeriod(name)).toBeUndefined();
  });
});
