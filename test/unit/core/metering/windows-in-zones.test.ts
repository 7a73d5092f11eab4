import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { HOUR_MS, QUARTER_MS } from '../../../../core/metering/hour.ts';
import { WINDOW_SIZES, windowsBetween } from '../../../../core/metering/windows.ts';

/**
 * Both hemispheres, half hours and quarters, midnight changes, a half-hour change, the date line, no change
 * at all.
 */
const ZONES = [
  'UTC',
  'Europe/Berlin',
  'Europe/London',
  'Europe/Dublin',
  'Atlantic/Azores',
  'America/New_York',
  'America/St_Johns',
  'America/Santiago',
  'America/Havana',
  'America/Sao_Paulo',
  'Africa/Casablanca',
  'Africa/Cairo',
  'Asia/Beirut',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Australia/Eucla',
  'Australia/Lord_Howe',
  'Pacific/Chatham',
  'Pacific/Kiritimati',
  'Pacific/Pago_Pago',
];

/** Minutes are too many for years of them; they know no zone. */
const SIZES = WINDOW_SIZES.filter((size) => size !== 'MINUTE');

const FIRST_QUARTER = Date.UTC(2024, 0, 1) / QUARTER_MS;
const LAST_QUARTER = Date.UTC(2030, 0, 1) / QUARTER_MS;

const range = fc
  .tuple(fc.integer({ min: FIRST_QUARTER, max: LAST_QUARTER }), fc.integer({ min: 1, max: 100 * 96 }))
  .map(([quarter, length]) => ({ fromMs: quarter * QUARTER_MS, toMs: (quarter + length) * QUARTER_MS }));

/** A quantity per quarter that no two ranges share by chance. */
function usageOf(fromMs: number, toMs: number): bigint {
  let sum = 0n;
  for (let t = fromMs; t < toMs; t += QUARTER_MS)
    sum += (BigInt(t / QUARTER_MS) * 2_654_435_761n) % 1_000_003n;
  return sum;
}

/**
 * Date and hour as a calendar on the wall shows them, by another way than the offset that windows are made
 * of.
 */
function localParts(t: number, timeZone: string): { date: string; month: string; clock: string } {
  const text = new Date(t).toLocaleString('sv-SE', { timeZone });
  return { date: text.slice(0, 10), month: text.slice(0, 7), clock: text.slice(11, 16) };
}

describe.each(ZONES)('%s', (timeZone) => {
  test.each(SIZES)('the sum of %s windows is the total of the range', (size) => {
    fc.assert(
      fc.property(range, ({ fromMs, toMs }) => {
        const windows = windowsBetween(fromMs, toMs, size, timeZone);
        const sum = windows.reduce((total, w) => total + usageOf(w.startMs, w.endMs), 0n);
        expect(sum).toBe(usageOf(fromMs, toMs));
      }),
      { numRuns: 10 },
    );
  });

  test.each(SIZES)('%s windows follow one another from the start to the end, on quarters', (size) => {
    fc.assert(
      fc.property(range, ({ fromMs, toMs }) => {
        const windows = windowsBetween(fromMs, toMs, size, timeZone);
        expect(windows.map((w) => w.startMs)).toEqual([fromMs, ...windows.slice(0, -1).map((w) => w.endMs)]);
        expect(windows.at(-1)!.endMs).toBe(toMs);
        expect(windows.every((w) => w.endMs > w.startMs && w.startMs % QUARTER_MS === 0)).toBe(true);
        if (size === 'HOUR') expect(windows.every((w) => w.endMs - w.startMs <= HOUR_MS)).toBe(true);
      }),
      { numRuns: 10 },
    );
  });

  test('every day of six years is one window, and only its own date is in it', () => {
    const windows = windowsBetween(FIRST_QUARTER * QUARTER_MS, LAST_QUARTER * QUARTER_MS, 'DAY', timeZone);
    const dates = windows.map((w) => localParts(w.startMs, timeZone).date);
    expect(new Set(dates).size).toBe(dates.length);
    for (const [index, { endMs }] of windows.entries()) {
      expect(localParts(endMs - 1, timeZone).date).toBe(dates[index]);
    }
    expect(windows.every((w) => w.endMs - w.startMs <= 25 * HOUR_MS)).toBe(true);
  });

  test('every month of six years is one window', () => {
    const windows = windowsBetween(FIRST_QUARTER * QUARTER_MS, LAST_QUARTER * QUARTER_MS, 'MONTH', timeZone);
    const months = windows.map((w) => localParts(w.startMs, timeZone).month);
    expect(new Set(months).size).toBe(months.length);
    expect(windows.map((w) => localParts(w.endMs - 1, timeZone).month)).toEqual(months);
  });
});
