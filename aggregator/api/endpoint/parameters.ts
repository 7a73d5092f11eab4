/** Schemas of parameters that endpoints share. */
import { z } from 'zod';

import { HOUR_MS, MINUTE_MS, QUARTER_MS } from '../../../core/metering/hour.ts';
import { billableMeter, METERS, type MeterDefinition } from '../../../core/metering/catalogue.ts';
import { suggestion } from '../../../core/runtime/suggestion.ts';
import { LONGEST } from '../usage/dimensions.ts';
import { complain } from './request.ts';

/** Longer lists are no filter but a report: leave the filter out and group instead. */
export const MAX_VALUES_PER_PARAMETER = 100;
/** Whatever an answer names can be asked for. */
const MAX_VALUE_LENGTH = Math.max(...Object.values(LONGEST));
/** Before the first no cluster was metered; after the second the store's times end. */
const EARLIEST_MS = Date.UTC(2020, 0, 1);
const LATEST_MS = Date.UTC(2100, 0, 1);

/** Text with something in it. */
export const text = z
  .string()
  .max(MAX_VALUE_LENGTH, `Values have at most ${MAX_VALUE_LENGTH} characters.`)
  .regex(/\S/);

/** `a=1&a=2`, or in a body one text or a list. Sorted, each value once; an absent filter is no filter. */
export function listOf(item: z.ZodType<string, string>): z.ZodType<readonly string[], string | string[]> {
  const advice = 'Ask in several requests, or group and leave the filter out.';
  const tooMany = `At most ${MAX_VALUES_PER_PARAMETER} values. ${advice}`;
  return z
    .union([
      item,
      z.array(item).min(1, 'Give a value or leave it out.').max(MAX_VALUES_PER_PARAMETER, tooMany),
    ])
    .transform((values) => [...new Set([values].flat())].sort());
}

/** RFC 3339; seconds and their fraction may be left out, the offset may not: a local time is no instant. */
const RFC3339 = /^\d{4}-\d\d-(\d\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/i;

/** An instant on whatever grain, as ms. */
export const moment = z
  .string()
  .meta({ format: 'date-time', examples: ['2026-01-31T00:00:00Z'] })
  .transform((given, context) => {
    // A `+` that was not escaped arrives as a space; in an instant nothing else can have been meant.
    const written = given.replace(' ', '+').toUpperCase();
    const ms = RFC3339.test(written) && isDate(written) ? Date.parse(written) : Number.NaN;
    if (Number.isNaN(ms)) {
      const advice = 'Give an RFC 3339 instant with its offset, such as 2026-01-31T00:00:00Z';
      return complain(context, 'not_a_time', `${advice} or ...T00:00:00+01:00.`);
    }
    if (ms < EARLIEST_MS || ms > LATEST_MS) {
      const bounds = `${instantText(EARLIEST_MS)} and ${instantText(LATEST_MS)}`;
      return complain(context, 'out_of_bounds', `Give an instant between ${bounds}.`);
    }
    return ms;
  });

/** The start of an hour, for what is told of whole hours, as ms. */
export const wholeHour = moment.transform((ms, context) => {
  const detail = offGrain(ms, HOUR_MS);
  return detail === undefined ? ms : complain(context, 'off_grain', detail);
});

const WHY: Readonly<Record<number, string>> = {
  [MINUTE_MS]: 'Minutes are whole ones',
  [QUARTER_MS]: 'Usage is kept by quarters of an hour',
  [HOUR_MS]: 'Whole hours are told of here',
};

/** What is wrong with an instant that does not lie on the grain; undefined where it does. */
export function offGrain(ms: number, grainMs: number): string | undefined {
  if (ms % grainMs === 0) return undefined;
  const before = Math.floor(ms / grainMs) * grainMs;
  const why = WHY[grainMs] ?? 'It lies between';
  return `${why}: take ${instantText(before)} or ${instantText(before + grainMs)}.`;
}

/** `Date.parse` takes 30 February for 2 March. */
function isDate(written: string): boolean {
  const date = written.slice(0, 10);
  const ms = Date.parse(`${date}T00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(date);
}

/** Whole seconds, in UTC: `2026-01-31T00:00:00Z`. */
export function instantText(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

const METER_NAMES = METERS.map(({ name }) => name);

/** A meter of the catalogue. */
export const meter = z
  .string()
  .meta({ enum: METER_NAMES, description: 'Name of a meter of the catalogue.' })
  .transform((name, context): MeterDefinition => {
    const found = billableMeter(name);
    if (found !== undefined) return found;
    const known = `the meters are ${METER_NAMES.join(', ')}`;
    const detail = `"${name}" is no meter${suggestion(name, METER_NAMES)}; ${known}.`;
    return complain(context, 'unknown_meter', detail);
  });

export const meterName = meter.transform(({ name }) => name);
