/**
 * Input: a request's parameters and the time it came. Output: a usage query, or every problem with it.
 *
 * `[from, to)` lies on quarters of an hour, the grain of usage. Without `to` it ends with the last full
 * hour, without `from` it begins 24 hours before its end. Without `windowSize` the range is one window.
 * Windows are cut at `from` and `to`, so their sum is the total of the range, whatever the zone.
 */
import { HOUR_MS, QUARTER_MS, startOfHour } from '../../core/metering/hour.ts';
import {
  isTimeZone,
  WINDOW_SIZES,
  windowsBetween,
  type Window,
  type WindowSize,
} from '../../core/metering/windows.ts';
import type { ParameterReader } from './parameters.ts';
import type { RequestProblem } from './problem.ts';
import { DIMENSIONS, type Dimension, type Filters } from './usage-reader.ts';

export interface UsageQuery {
  readonly fromMs: number;
  readonly toMs: number;
  readonly windowSize: WindowSize | undefined;
  readonly windowTimeZone: string;
  readonly windows: readonly Window[];
  readonly groupBy: readonly Dimension[];
  readonly filters: Filters;
}

export type ParsedUsageQuery =
  | { readonly ok: true; readonly query: UsageQuery }
  | { readonly ok: false; readonly problems: readonly RequestProblem[] };

const DAY_MS = 86_400_000;
const DEFAULT_RANGE_MS = DAY_MS;

/** A year and a month: enough to compare a month with the same one a year ago. */
export const MAX_RANGE_DAYS = 400;
/** Hours of half a year. */
export const MAX_WINDOWS = 5_000;
/** Before the first no cluster was metered; after the second the store's times end. */
const EARLIEST_MS = Date.UTC(2020, 0, 1);
const LATEST_MS = Date.UTC(2100, 0, 1);

export function parseUsageQuery(parameters: ParameterReader, nowMs: number): ParsedUsageQuery {
  const range = parseRange(parameters, nowMs);
  const windowSize = parseWindowSize(parameters);
  const windowTimeZone = parseTimeZone(parameters);
  const filters = parseFilters(parameters);
  const groupBy = parseGroupBy(parameters);
  parameters.refuseOthers();

  const { problems } = parameters;
  if (problems.length > 0 || range === undefined || windowTimeZone === undefined)
    return { ok: false, problems };
  const { fromMs, toMs } = range;
  const windows =
    windowSize === undefined
      ? [{ startMs: fromMs, endMs: toMs }]
      : windowsBetween(fromMs, toMs, windowSize, windowTimeZone);
  if (windows.length > MAX_WINDOWS) {
    const detail = `${windows.length} windows, at most ${MAX_WINDOWS}: shorten the range or enlarge them.`;
    return { ok: false, problems: [{ parameter: 'windowSize', code: 'too_many_windows', detail }] };
  }
  return { ok: true, query: { fromMs, toMs, windowSize, windowTimeZone, windows, groupBy, filters } };
}

interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

function parseRange(parameters: ParameterReader, nowMs: number): Range | undefined {
  const from = parseInstant(parameters, 'from');
  const to = parseInstant(parameters, 'to');
  if (from === 'wrong' || to === 'wrong') return undefined;
  const toMs = to ?? startOfHour(nowMs) + HOUR_MS;
  const fromMs = from ?? toMs - DEFAULT_RANGE_MS;
  if (fromMs >= toMs) {
    const given = to === undefined ? ` (without \`to\` the range ends at ${instantText(toMs)})` : '';
    parameters.report('from', 'empty_range', `\`from\` has to be before \`to\`${given}.`);
    return undefined;
  }
  if (toMs - fromMs > MAX_RANGE_DAYS * DAY_MS) {
    const detail = `At most ${MAX_RANGE_DAYS} days from \`from\` to \`to\`: ask year by year.`;
    parameters.report('to', 'range_too_long', detail);
    return undefined;
  }
  return { fromMs, toMs };
}

/** RFC 3339; seconds and their fraction may be left out, the offset may not: a local time is no instant. */
const RFC3339 = /^\d{4}-\d\d-(\d\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/i;

function parseInstant(parameters: ParameterReader, name: string): number | 'wrong' | undefined {
  // A `+` that was not escaped arrives as a space; in an instant nothing else can have been meant.
  const text = parameters.one(name)?.replace(' ', '+').toUpperCase();
  if (text === undefined) return undefined;
  const ms = RFC3339.test(text) && isDate(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) {
    const detail =
      'Give an RFC 3339 instant with its offset, such as 2026-01-31T00:00:00Z or ...T00:00:00+01:00.';
    parameters.report(name, 'not_a_time', detail);
    return 'wrong';
  }
  if (ms % QUARTER_MS !== 0) {
    const before = Math.floor(ms / QUARTER_MS) * QUARTER_MS;
    const near = `${instantText(before)} or ${instantText(before + QUARTER_MS)}`;
    parameters.report(name, 'off_grain', `Usage is kept by quarters of an hour: take ${near}.`);
    return 'wrong';
  }
  if (ms < EARLIEST_MS || ms > LATEST_MS) {
    const bounds = `${instantText(EARLIEST_MS)} and ${instantText(LATEST_MS)}`;
    parameters.report(name, 'out_of_bounds', `Give an instant between ${bounds}.`);
    return 'wrong';
  }
  return ms;
}

/** `Date.parse` takes 30 February for 2 March. */
function isDate(text: string): boolean {
  const date = text.slice(0, 10);
  const ms = Date.parse(`${date}T00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(date);
}

function parseWindowSize(parameters: ParameterReader): WindowSize | undefined {
  const text = parameters.one('windowSize')?.toUpperCase();
  const size = WINDOW_SIZES.find((known) => known === text);
  if (text === undefined || size !== undefined) return size;
  const supported = `Supported: ${WINDOW_SIZES.join(', ')}; or none, for one window over the whole range.`;
  if (text === 'MINUTE') {
    const why = 'Usage is kept by quarters of an hour, so there are no minutes.';
    parameters.report('windowSize', 'window_size_not_supported', `${why} ${supported}`);
  } else parameters.report('windowSize', 'unknown_window_size', supported);
  return undefined;
}

function parseTimeZone(parameters: ParameterReader): string | undefined {
  const name = parameters.one('windowTimeZone') ?? 'UTC';
  if (isTimeZone(name)) return name;
  const detail = 'Give a name of the IANA time zone database, such as Europe/Berlin or UTC.';
  parameters.report('windowTimeZone', 'unknown_time_zone', detail);
  return undefined;
}

/** `tenant=a&tenant=b` is either; `filterGroupBy[tenant]=a` beside it has to hold as well. */
function parseFilters(parameters: ParameterReader): Filters {
  const filters: Partial<Record<Dimension, readonly string[]>> = {};
  for (const dimension of DIMENSIONS) {
    const plain = parameters.list(dimension);
    const grouped = parameters.list(`filterGroupBy[${dimension}]`);
    const values = plain === undefined ? grouped : plain.filter((value) => grouped?.includes(value) ?? true);
    if (values !== undefined) filters[dimension] = values;
  }
  return filters;
}

/** In the order of the key, whatever order they are asked in, so that equal questions get equal answers. */
function parseGroupBy(parameters: ParameterReader): readonly Dimension[] {
  const names = (parameters.list('groupBy') ?? [])
    .flatMap((value) => value.split(','))
    .map((name) => name.trim());
  const unknown = names.filter((name) => !DIMENSIONS.some((dimension) => dimension === name));
  if (unknown.length > 0) {
    const detail = `${unknown.map((name) => `"${name}"`).join(', ')}: group by ${DIMENSIONS.join(', ')}.`;
    parameters.report('groupBy', 'unknown_group', detail);
  }
  return DIMENSIONS.filter((dimension) => names.includes(dimension));
}

/** Whole seconds, in UTC: `2026-01-31T00:00:00Z`. */
export function instantText(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
