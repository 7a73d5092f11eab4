import { describe, expect, test } from 'vitest';

import { isTimeZone, windowsBetween, type WindowSize } from '../../../../core/metering/windows.ts';

const HOUR_MS = 3_600_000;

function at(text: string): number {
  return Date.parse(text);
}

/** Edges in UTC, from the first start to the last end. */
function edges(from: string, to: string, size: WindowSize, timeZone: string): string[] {
  const windows = windowsBetween(at(from), at(to), size, timeZone);
  const starts = windows.map(({ startMs }) => startMs);
  return [...starts, windows.at(-1)!.endMs].map((ms) => new Date(ms).toISOString().slice(0, 16));
}

function hours(from: string, to: string, size: WindowSize, timeZone: string): number[] {
  return windowsBetween(at(from), at(to), size, timeZone).map((w) => (w.endMs - w.startMs) / HOUR_MS);
}

describe('days', () => {
  test('begin at local midnight', () => {
    expect(edges('2026-01-01T00:00+01:00', '2026-01-03T00:00+01:00', 'DAY', 'Europe/Berlin')).toEqual([
      '2025-12-31T23:00',
      '2026-01-01T23:00',
      '2026-01-02T23:00',
    ]);
  });

  test('have 23 hours when the clock goes forward and 25 when it goes back', () => {
    expect(hours('2026-03-28T00:00+01:00', '2026-03-31T00:00+02:00', 'DAY', 'Europe/Berlin')).toEqual([
      24, 23, 24,
    ]);
    expect(hours('2026-10-24T00:00+02:00', '2026-10-27T00:00+01:00', 'DAY', 'Europe/Berlin')).toEqual([
      24, 25, 24,
    ]);
  });

  test('begin with the change where midnight is skipped', () => {
    // Beirut, 2026-03-29: 00:00 does not exist, the day begins at 01:00+03:00.
    expect(edges('2026-03-28T00:00+02:00', '2026-03-30T00:00+03:00', 'DAY', 'Asia/Beirut')).toEqual([
      '2026-03-27T22:00',
      '2026-03-28T22:00',
      '2026-03-29T21:00',
    ]);
  });

  test('begin once where the hour before midnight comes twice', () => {
    // Beirut, 2026-10-24 24:00+03:00 is 23:00+02:00 of the same day again.
    expect(hours('2026-10-24T00:00+03:00', '2026-10-26T00:00+02:00', 'DAY', 'Asia/Beirut')).toEqual([25, 24]);
  });

  test('begin once where the clock goes back over midnight', () => {
    // St. John's, 2010-11-07: at 00:01-02:30 it was 23:01-03:30 of the day before again.
    const both = ['2010-11-06T00:00-02:30', '2010-11-08T00:00-03:30'] as const;
    expect(hours(...both, 'DAY', 'America/St_Johns')).toEqual([24, 25]);
    expect(hours('2010-11-06T23:15-03:30', both[1], 'DAY', 'America/St_Johns')).toEqual([24.75]);
  });

  test('that a zone left out have no window', () => {
    // Samoa moved across the date line: there was no 2011-12-30.
    expect(hours('2011-12-29T00:00-10:00', '2012-01-01T00:00+14:00', 'DAY', 'Pacific/Apia')).toEqual([
      24, 24,
    ]);
  });

  test('start on a quarter in zones with half hours and quarters', () => {
    expect(edges('2026-06-01T00:00Z', '2026-06-02T00:00Z', 'DAY', 'Asia/Kathmandu')).toEqual([
      '2026-06-01T00:00',
      '2026-06-01T18:15',
      '2026-06-02T00:00',
    ]);
  });
});

describe('months', () => {
  test('begin on the first local midnight, over a change of the clock and over the year', () => {
    expect(edges('2025-12-01T00:00+01:00', '2026-05-01T00:00+02:00', 'MONTH', 'Europe/Berlin')).toEqual([
      '2025-11-30T23:00',
      '2025-12-31T23:00',
      '2026-01-31T23:00',
      '2026-02-28T23:00',
      '2026-03-31T22:00',
      '2026-04-30T22:00',
    ]);
  });

  test('are cut at from and to', () => {
    expect(edges('2026-01-10T06:15Z', '2026-02-03T18:30Z', 'MONTH', 'UTC')).toEqual([
      '2026-01-10T06:15',
      '2026-02-01T00:00',
      '2026-02-03T18:30',
    ]);
  });
});

describe('hours', () => {
  test('begin at local full hours', () => {
    expect(edges('2026-06-01T00:00Z', '2026-06-01T02:00Z', 'HOUR', 'Asia/Kolkata')).toEqual([
      '2026-06-01T00:00',
      '2026-06-01T00:30',
      '2026-06-01T01:30',
      '2026-06-01T02:00',
    ]);
  });

  test('of a night with a change of an hour are 60 minutes each', () => {
    expect(hours('2026-10-25T00:00+02:00', '2026-10-25T04:00+01:00', 'HOUR', 'Europe/Berlin')).toEqual([
      1, 1, 1, 1, 1,
    ]);
  });

  test('are short at a change of half an hour, never longer than 60 minutes', () => {
    // Lord Howe, 2026-04-05: at 02:00+11:00 it is 01:30+10:30 again.
    expect(hours('2026-04-05T00:00+11:00', '2026-04-05T03:00+10:30', 'HOUR', 'Australia/Lord_Howe')).toEqual([
      1, 1, 0.5, 1,
    ]);
    // 2026-10-04: at 02:00+10:30 it is 02:30+11:00.
    expect(hours('2026-10-04T00:00+10:30', '2026-10-04T04:00+11:00', 'HOUR', 'Australia/Lord_Howe')).toEqual([
      1, 1, 0.5, 1,
    ]);
  });
});

describe('minutes', () => {
  test('are whole ones, over a change of the clock too, and the same in every zone', () => {
    // Lord Howe, 2026-04-05: at 02:00+11:00 it is 01:30+10:30 again.
    const range = [at('2026-04-05T01:58+11:00'), at('2026-04-05T02:02+11:00')] as const;
    const windows = windowsBetween(...range, 'MINUTE', 'Australia/Lord_Howe');
    expect(windows.map(({ startMs, endMs }) => [startMs - range[0], endMs - startMs])).toEqual([
      [0, 60_000],
      [60_000, 60_000],
      [120_000, 60_000],
      [180_000, 60_000],
    ]);
    expect(windowsBetween(...range, 'MINUTE', 'UTC')).toEqual(windows);
  });
});

test('an empty range has no windows', () => {
  expect(windowsBetween(0, 0, 'DAY', 'UTC')).toEqual([]);
});

test('an edge off the grain is refused as a bug', () => {
  expect(() => windowsBetween(1, HOUR_MS, 'HOUR', 'UTC')).toThrow(RangeError);
  expect(() => windowsBetween(0, HOUR_MS + 60_000, 'HOUR', 'UTC')).toThrow(RangeError);
  expect(() => windowsBetween(0, HOUR_MS + 30_000, 'MINUTE', 'UTC')).toThrow(RangeError);
});

test('time zones are IANA names; offsets, nonsense and nothing are not', () => {
  expect(['UTC', 'Europe/Berlin', 'America/Argentina/Ushuaia', 'Etc/GMT+5'].filter(isTimeZone)).toHaveLength(
    4,
  );
  expect(['', '+01:00', 'Europe/Atlantis', 'local', "x'; DROP TABLE"].filter(isTimeZone)).toEqual([]);
});
