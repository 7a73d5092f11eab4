/** Hours, days and months of any time zone give the same sum, and it is the model's. */
import { StoreUsageReader } from '../../aggregator/api/usage-reader.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { WINDOW_SIZES, windowsBetween, type Window } from '../../core/metering/windows.ts';
import type { ModelRow } from '../model/model.ts';
import { DAY, MINUTE } from './traffic.ts';

/**
 * With days of 23, 24 and 25 hours, offsets of half and quarter hours, and a clock that moves by half an
 * hour.
 */
export const ZONES = [
  ...['Europe/Berlin', 'Europe/London', 'Europe/Lisbon', 'America/New_York', 'America/St_Johns'],
  ...['America/Santiago', 'America/Sao_Paulo', 'America/Havana', 'America/Los_Angeles', 'Pacific/Chatham'],
  ...['Australia/Lord_Howe', 'Australia/Adelaide', 'Australia/Eucla', 'Asia/Kathmandu', 'Asia/Kolkata'],
  ...['Asia/Tehran', 'Asia/Beirut', 'Pacific/Apia', 'Pacific/Kiritimati', 'Africa/Cairo'],
] as const;

const QUARTER = 15 * MINUTE;
/** Of what is stored. */
const SIZES = WINDOW_SIZES.filter((size) => size !== 'MINUTE');
const LIMIT = 1_000_000;
/** The end of a month and the weeks before it. */
const LONGEST_RANGE_MS = 38 * DAY;

export async function zoneDifferences(
  store: UsageStore,
  rows: readonly ModelRow[],
  zones: readonly string[],
): Promise<string[]> {
  const reader = new StoreUsageReader({ queryTimeoutMs: 60_000 }, { store });
  const hours = rows.map(({ hour }) => hour);
  if (hours.length === 0) return ['the world has no usage'];
  const toMs = Math.max(...hours) + DAY;
  const fromMs = Math.max(Math.floor(Math.min(...hours) / DAY) * DAY, toMs - LONGEST_RANGE_MS);
  const found: string[] = [];
  const standing = await reader.standing({ kind: 'all' });
  for (const zone of zones) {
    for (const size of SIZES) {
      const windows = windowsBetween(fromMs, toMs, size, zone);
      const asked = { meter: 'cpu', windows, groupBy: ['tenant'], filters: {} } as const;
      const request = { ...asked, standing, limit: LIMIT };
      const read = new Map(
        (await reader.usage({ kind: 'all' }, request))
          .filter(({ value }) => value !== 0n)
          .map(({ windowStartMs, group, value }) => [
            `${String(windowStartMs)} ${group.tenant ?? ''}`,
            value,
          ]),
      );
      const model = sums(rows, windows);
      const wrong = [...new Set([...read.keys(), ...model.keys()])].find(
        (key) => read.get(key) !== model.get(key),
      );
      if (wrong !== undefined)
        found.push(
          `${size} of ${zone} ${wrong}: the model says ${String(model.get(wrong))}, not ${String(read.get(wrong))}`,
        );
    }
  }
  return found;
}

/** By window and tenant, quarter by quarter. */
function sums(rows: readonly ModelRow[], windows: readonly Window[]): Map<string, bigint> {
  const sum = new Map<string, bigint>();
  for (const { hour, tenant, meter, quarters } of rows) {
    if (meter !== 'cpu') continue;
    quarters.forEach((quantity, i) => {
      const t = hour + i * QUARTER;
      const window = windowAt(windows, t);
      if (quantity === 0n || window === undefined) return;
      const key = `${String(window.startMs)} ${tenant}`;
      sum.set(key, (sum.get(key) ?? 0n) + quantity);
    });
  }
  return sum;
}

function windowAt(windows: readonly Window[], t: number): Window | undefined {
  let [low, high] = [0, windows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((windows[middle]?.endMs ?? Infinity) <= t) low = middle + 1;
    else high = middle;
  }
  const found = windows[low];
  return found !== undefined && found.startMs <= t ? found : undefined;
}
