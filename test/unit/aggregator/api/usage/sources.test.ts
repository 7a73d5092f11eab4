import { expect, test } from 'vitest';

import { planSources } from '../../../../../aggregator/api/usage/sources.ts';
import { windowsBetween } from '../../../../../core/metering/windows.ts';

const ms = (text: string): number => Date.parse(text);
const MARCH = [ms('2026-03-01T00:00Z'), ms('2026-04-01T00:00Z')] as const;

function described(...parameters: Parameters<typeof planSources>): { days: string[]; hours: string[] } {
  const { days, hours } = planSources(...parameters);
  const text = (t: number, length: number): string => new Date(t).toISOString().slice(5, length);
  return {
    days: days.map((day) => text(day, 10)),
    hours: hours.map(({ startMs, endMs }) => `${text(startMs, 13)}/${text(endMs, 13)}`),
  };
}

test('a settled month in UTC is its days alone', () => {
  const { days, hours } = planSources(windowsBetween(...MARCH, 'DAY', 'UTC'), []);
  expect(days).toHaveLength(31);
  expect(hours).toEqual([]);
});

test('a day with an open hour is read by the hour, and the others as days', () => {
  const windows = windowsBetween(ms('2026-03-01T00:00Z'), ms('2026-03-04T00:00Z'), 'MONTH', 'UTC');
  expect(described(windows, [ms('2026-03-02T23:00Z')])).toEqual({
    days: ['03-01', '03-03'],
    hours: ['03-02T00/03-03T00'],
  });
});

test('a month of another zone is days but for its ends', () => {
  const windows = windowsBetween(
    ms('2026-03-01T00:00+01:00'),
    ms('2026-04-01T00:00+02:00'),
    'MONTH',
    'Europe/Berlin',
  );
  const { days, hours } = described(windows, []);
  expect([days.at(0), days.at(-1), days.length]).toEqual(['03-01', '03-30', 30]);
  expect(hours).toEqual(['02-28T23/03-01T00', '03-31T00/03-31T22']);
});

test('days of another zone are read by the hour, in one run', () => {
  const windows = windowsBetween(
    ms('2026-03-01T00:00+05:45'),
    ms('2026-03-08T00:00+05:45'),
    'DAY',
    'Asia/Kathmandu',
  );
  expect(described(windows, [])).toEqual({ days: [], hours: ['02-28T18/03-07T19'] });
});

test('a range on quarters reads the hours that it touches', () => {
  expect(described([{ startMs: ms('2026-03-01T10:15Z'), endMs: ms('2026-03-02T00:45Z') }], [])).toEqual({
    days: [],
    hours: ['03-01T10/03-02T01'],
  });
});

test('days that are torn into too many runs are not used', () => {
  const open = Array.from({ length: 200 }, (_, i) => ms('2026-01-01T05:00Z') + i * 2 * 86_400_000);
  const year = [{ startMs: ms('2026-01-01T00:00Z'), endMs: ms('2027-01-01T00:00Z') }];
  expect(described(year, open)).toEqual({ days: [], hours: ['01-01T00/01-01T00'] });
});
