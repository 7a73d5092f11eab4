/**
 * METERING.md 8: an interval is cut at every quarter of an hour and at every change of owner inside it.
 * Worked: 10 units on 09:59:57 -> 10:00:04 are 4 and 6.
 */
import type { Interval } from './interval.ts';
import { ascending } from './grouping.ts';
import { note, type Notes } from './notes.ts';
import { ownerFrom, type Ownership } from './owners.ts';

export interface Share {
  readonly owner: string;
  /** Where the share begins. */
  readonly from: bigint;
  /** Start of the hour in ms; quarter 0 to 3 of it. */
  readonly hour: bigint;
  readonly quarter: number;
  readonly quantity: bigint;
}

const QUARTER_MS = 900_000n;
const HOUR_MS = 3_600_000n;
const DAY_MS = 86_400_000n;

/** `further`: where else it is cut; shares nest, so none of the others' sums is another by it. */
export function sharesOf(
  interval: Interval,
  owners: Ownership,
  notes: Notes,
  further: readonly bigint[] = [],
): Share[] {
  const { from, to, quantity } = interval;
  const changes = [...owners.changes.map(({ t }) => t), ...further].filter((t) => from < t && t < to);
  const bounds = [...new Set([from, ...quartersInside(from, to), ...changes, to])].sort(ascending);
  noteBoundaries(interval, owners, notes);
  // F(b) = floor(D x (b - from) / (to - from)), F(to) = D.
  const upTo = (bound: bigint): bigint => (quantity * (bound - from)) / (to - from);
  return bounds.slice(1).map((end, index) => {
    const begin = bounds[index] ?? from;
    const hour = (begin / HOUR_MS) * HOUR_MS;
    return {
      owner: ownerFrom(begin, owners),
      from: begin,
      hour,
      quarter: Number((begin - hour) / QUARTER_MS),
      quantity: upTo(end) - upTo(begin),
    };
  });
}

function quartersInside(from: bigint, to: bigint): bigint[] {
  const quarters: bigint[] = [];
  for (let t = (from / QUARTER_MS + 1n) * QUARTER_MS; t < to; t += QUARTER_MS) quarters.push(t);
  return quarters;
}

function noteBoundaries({ from, to }: Interval, owners: Ownership, notes: Notes): void {
  const onHour = to % HOUR_MS === 0n;
  const onChange = owners.changes.some(({ t }) => t === to);
  note(notes, 'ends_on_hour', onHour);
  note(notes, 'ends_on_owner_change', onChange);
  note(notes, 'ends_on_hour_and_owner_change', onHour && onChange);
  note(
    notes,
    'starts_on_owner_change',
    owners.changes.some(({ t }) => t === from),
  );
  note(
    notes,
    'owner_change_inside',
    owners.changes.some(({ t }) => from < t && t < to),
  );
  note(notes, 'before_first_sighting', owners.firstSeen !== undefined && from < owners.firstSeen);
  note(notes, 'split_over_hours', from / HOUR_MS !== (to - 1n) / HOUR_MS);
  note(notes, 'split_over_days', to - from > DAY_MS);
}
