/**
 * What the parameters of a usage query have to be together. Each rule says one thing, and all that apply are
 * told at once: `from` = `to` beside `top=3&limit=1` is an empty range, a `top` without groups, and one that
 * comes in pages.
 */
import { DAY_MS, HOUR_MS } from '../../core/metering/hour.ts';
import { grainOf, windowsBetween } from '../../core/metering/windows.ts';
import { instantText, offGrain } from './endpoint/parameters.ts';
import type { RequestProblem } from './problem.ts';
import { rangeOf, type UsageParameters } from './usage-query.ts';

/** A year and a month: enough to compare a month with the same one a year ago. */
export const MAX_RANGE_DAYS = 400;
/** Hours of a leap year. */
export const MAX_WINDOWS = 8_784;

interface Planning {
  readonly nowMs: number;
  /** The longest range of minutes. */
  readonly maxMinutesMs: number;
}

interface UsageRule {
  readonly of: readonly (keyof UsageParameters)[];
  readonly problem: (given: UsageParameters, planning: Planning) => RequestProblem | undefined;
}

const RANGE = ['from', 'to', 'windowSize'] as const;

export const USAGE_RULES: readonly UsageRule[] = [
  { of: ['from', 'windowSize'], problem: (given) => grainProblem('from', given) },
  { of: ['to', 'windowSize'], problem: (given) => grainProblem('to', given) },
  { of: RANGE, problem: emptyRange },
  { of: RANGE, problem: longRange },
  { of: [...RANGE, 'windowTimeZone'], problem: manyWindows },
  { of: ['windowSize', 'aggregation'], problem: rateOfMinutes },
  { of: ['top', 'groupBy'], problem: topOfNothing },
  { of: ['top', 'limit', 'cursor'], problem: topInPages },
];

function grainProblem(
  parameter: 'from' | 'to',
  { windowSize, ...given }: UsageParameters,
): RequestProblem | undefined {
  const detail = offGrain(given[parameter] ?? 0, grainOf(windowSize));
  return detail === undefined ? undefined : { parameter, code: 'off_grain', detail };
}

function emptyRange(given: UsageParameters, { nowMs }: Planning): RequestProblem | undefined {
  const { fromMs, toMs } = rangeOf(given, nowMs);
  if (fromMs < toMs) return undefined;
  const ends = given.to === undefined ? ` (without \`to\` the range ends at ${instantText(toMs)})` : '';
  const detail = `\`from\` has to be before \`to\`${ends}.`;
  return { parameter: 'from', code: 'empty_range', detail };
}

function longestOf({ windowSize }: UsageParameters, { maxMinutesMs }: Planning): number {
  return windowSize === 'MINUTE' ? maxMinutesMs : MAX_RANGE_DAYS * DAY_MS;
}

function lengthOf(given: UsageParameters, { nowMs }: Planning): number {
  const { fromMs, toMs } = rangeOf(given, nowMs);
  return toMs - fromMs;
}

function longRange(given: UsageParameters, planning: Planning): RequestProblem | undefined {
  const longestMs = longestOf(given, planning);
  if (lengthOf(given, planning) <= longestMs) return undefined;
  const detail =
    given.windowSize === 'MINUTE'
      ? `At most ${longestMs / HOUR_MS} hours of minutes at once: shorten the range, or take HOUR.`
      : `At most ${MAX_RANGE_DAYS} days from \`from\` to \`to\`: ask year by year.`;
  return { parameter: 'to', code: 'range_too_long', detail };
}

function manyWindows(given: UsageParameters, planning: Planning): RequestProblem | undefined {
  const { windowSize: size, windowTimeZone: zone } = given;
  // Of minutes, days and months no range has so many.
  if (size !== 'HOUR') return undefined;
  const lengthMs = lengthOf(given, planning);
  // Most ranges are far from it; both ends may cut an hour.
  const least = Math.floor(lengthMs / HOUR_MS);
  if (least + 2 <= MAX_WINDOWS) return undefined;
  // Those of a range that is too long are not made to be counted.
  const isLong = lengthMs > longestOf(given, planning);
  const { fromMs, toMs } = rangeOf(given, planning.nowMs);
  const count = isLong ? least : windowsBetween(fromMs, toMs, size, zone).length;
  if (count <= MAX_WINDOWS) return undefined;
  const detail = `${count} windows, at most ${MAX_WINDOWS}: shorten the range or enlarge them.`;
  return { parameter: 'windowSize', code: 'too_many_windows', detail };
}

function rateOfMinutes({ windowSize, aggregation }: UsageParameters): RequestProblem | undefined {
  if (windowSize !== 'MINUTE' || aggregation === 'sum') return undefined;
  const detail = 'Rates are by the hour, of a minute there is none: take `sum`, or larger windows.';
  return { parameter: 'aggregation', code: 'conflicting_parameters', detail };
}

function topOfNothing({ top, groupBy = [] }: UsageParameters): RequestProblem | undefined {
  if (top === undefined || groupBy.length > 0) return undefined;
  const detail = 'The largest of what? Give `groupBy` beside it.';
  return { parameter: 'top', code: 'conflicting_parameters', detail };
}

function topInPages({ top, limit, cursor }: UsageParameters): RequestProblem | undefined {
  if (top === undefined || (limit === undefined && cursor === undefined)) return undefined;
  const detail = 'The largest groups come at once: leave out `limit` and `cursor`.';
  return { parameter: 'top', code: 'conflicting_parameters', detail };
}
