/**
 * Windows of a query in any time zone, METERING 8: they follow one another without gap or overlap, begin at
 * `from` and end at `to` (the first and the last may be cut), and every edge lies on a quarter of an hour,
 * or of minutes on a whole minute, so sums over windows are exact. Days begin where the zone's own date does:
 * 2026-03-29 in Europe/Berlin is 23 hours long.
 *
 * - MINUTE is the same in every zone: offsets are quarters of an hour since 1972.
 * - DAY and MONTH begin at the first instant whose local date is theirs or later. Where midnight is skipped
 *   that is the instant of the change; a midnight that comes twice begins its day once.
 * - HOUR ends where the local clock would show the next full hour, so it is never longer than 60 minutes:
 *   Australia/Lord_Howe, which moves its clock by half an hour, has two short ones a year.
 */
import { DAY_MS, HOUR_MS, MINUTE_MS, QUARTER_MS } from './hour.ts';

export type WindowSize = 'MINUTE' | 'HOUR' | 'DAY' | 'MONTH';

export const WINDOW_SIZES: readonly WindowSize[] = ['MINUTE', 'HOUR', 'DAY', 'MONTH'];

/** `[startMs, endMs)`, ms since the epoch. */
export interface Window {
  readonly startMs: number;
  readonly endMs: number;
}

/** What edges of windows lie on, ms. */
export function grainOf(size: WindowSize | undefined): number {
  return size === 'MINUTE' ? MINUTE_MS : QUARTER_MS;
}

/** No local clock is further ahead of UTC than 14 hours or further behind than 12; with an hour to spare. */
const MOST_AHEAD_MS = 15 * HOUR_MS;
const MOST_BEHIND_MS = 13 * HOUR_MS;

/** The windows of `[fromMs, toMs)`; both edges have to lie on the grain of the size. */
export function windowsBetween(fromMs: number, toMs: number, size: WindowSize, timeZone: string): Window[] {
  for (const edge of [fromMs, toMs]) {
    if (edge % grainOf(size) !== 0) throw new RangeError(`${edge} is not on the grain of ${size}`);
  }
  const zone = Zone.of(timeZone);
  const windows: Window[] = [];
  for (let startMs = fromMs; startMs < toMs;) {
    const endMs = Math.min(nextEdge(zone, startMs, size), toMs);
    windows.push({ startMs, endMs });
    startMs = endMs;
  }
  return windows;
}

/** Whether `Intl` knows the zone: an IANA name (links and old names too) or `UTC`, but no bare offset. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    Zone.of(name);
    return true;
  } catch {
    return false;
  }
}

function nextEdge(zone: Zone, t: number, size: WindowSize): number {
  switch (size) {
    case 'MINUTE':
      return t + MINUTE_MS - modulo(t, MINUTE_MS);
    case 'HOUR':
      return nextHour(zone, t);
    case 'DAY':
      return nextDate(zone, t, (local) => local + DAY_MS - modulo(local, DAY_MS));
    case 'MONTH':
      return nextDate(zone, t, firstOfNextMonth);
  }
}

function nextHour(zone: Zone, t: number): number {
  return t + HOUR_MS - modulo(t + zone.offsetAt(t), HOUR_MS);
}

/** `following` gives the next local edge; one that t has passed already (a date come twice) is skipped. */
function nextDate(zone: Zone, t: number, following: (local: number) => number): number {
  let local = following(t + zone.offsetAt(t));
  let edge = zone.firstInstantAt(local);
  while (edge <= t) {
    local = following(local);
    edge = zone.firstInstantAt(local);
  }
  return edge;
}

function firstOfNextMonth(local: number): number {
  const date = new Date(local);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}

/** Zones, and instants of each, whose offsets are remembered: asking `Intl` costs microseconds each time. */
const MAX_ZONES = 32;
const MAX_OFFSETS = 10_000;

/** A time zone as its offset from UTC; local times are written as the UTC instant with the same digits. */
class Zone {
  static readonly #known = new Map<string, Zone>();
  readonly #format: Intl.DateTimeFormat;
  readonly #offsets = new Map<number, number>();

  private constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  }

  /** Throws a `RangeError` if there is none of that name. */
  static of(name: string): Zone {
    const known = Zone.#known.get(name);
    if (known !== undefined) return known;
    const zone = new Zone(name);
    if (Zone.#known.size >= MAX_ZONES) Zone.#known.clear();
    Zone.#known.set(name, zone);
    return zone;
  }

  /** Local time minus UTC, to the quarter of an hour (finer ones ended in 1972). */
  offsetAt(t: number): number {
    const known = this.#offsets.get(t);
    if (known !== undefined) return known;
    if (this.#offsets.size >= MAX_OFFSETS) this.#offsets.clear();
    const offset = this.#read(t);
    this.#offsets.set(t, offset);
    return offset;
  }

  #read(t: number): number {
    const name = this.#format.formatToParts(t).find((part) => part.type === 'timeZoneName')?.value ?? '';
    const match = /^GMT(?:([+-])(\d\d):(\d\d)(?::\d\d)?)?$/.exec(name);
    if (match === null) throw new RangeError(`${name} is not an offset`);
    const [, sign, hours, minutes] = match;
    if (sign === undefined) return 0;
    const size = Number(hours) * HOUR_MS + Math.round(Number(minutes) / 15) * QUARTER_MS;
    return sign === '-' ? -size : size;
  }

  /** The first instant on a quarter at which the local clock shows `local` or later. */
  firstInstantAt(local: number): number {
    const early = local - MOST_AHEAD_MS;
    const late = local + MOST_BEHIND_MS;
    const before = this.offsetAt(early);
    const after = this.offsetAt(late);
    if (before === after) return local - before;
    const change = this.#changeBetween(early, late, before);
    return local - before < change ? local - before : Math.max(change, local - after);
  }

  /** The first quarter at which the offset is no longer `before`; zones change at most once in a day. */
  #changeBetween(early: number, late: number, before: number): number {
    let low = Math.floor(early / QUARTER_MS);
    let high = Math.ceil(late / QUARTER_MS);
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.offsetAt(middle * QUARTER_MS) === before) low = middle;
      else high = middle;
    }
    return high * QUARTER_MS;
  }
}

function modulo(value: number, size: number): number {
  return ((value % size) + size) % size;
}
