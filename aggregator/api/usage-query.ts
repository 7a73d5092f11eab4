/**
 * Input: a request's parameters and the time it came. Output: a usage query. What parameters have to be
 * together stands in `usage-rules.ts`.
 *
 * `[from, to)` lies on quarters of an hour, the grain of usage. Without `to` it ends with the running hour,
 * without `from` it begins 24 hours before its end. Without `windowSize` the range is one window. Windows are
 * cut at `from` and `to`, so their sum is the total of the range, whatever the zone.
 *
 * Of minutes the range lies on whole ones, is some hours long at most, ends with the running minute and
 * begins an hour before its end, unless told otherwise.
 */
import { z } from 'zod';

import { DAY_MS, HOUR_MS, MINUTE_MS, startOfHour } from '../../core/metering/hour.ts';
import {
  isTimeZone,
  WINDOW_SIZES,
  windowsBetween,
  type Window,
  type WindowSize,
} from '../../core/metering/windows.ts';
import { cursor } from './endpoint/cursor.ts';
import { listOf, moment, text } from './endpoint/parameters.ts';
import { complain } from './endpoint/request.ts';
import { UNITS, type Unit } from './usage/formats.ts';
import type { Rate } from './usage/rates.ts';
import { DIMENSIONS, type Dimension, type Filters } from './usage/dimensions.ts';

export interface UsageQuery {
  readonly fromMs: number;
  readonly toMs: number;
  readonly windowSize: WindowSize | undefined;
  readonly windowTimeZone: string;
  readonly windows: readonly Window[];
  readonly groupBy: readonly Dimension[];
  readonly filters: Filters;
  readonly aggregation: Aggregation;
  readonly unit: Unit;
  /** Of the groups only those that used most. */
  readonly top: number | undefined;
  /** Rows of a page; undefined: all of them. */
  readonly limit: number | undefined;
  readonly cursor: string | undefined;
}

type Aggregation = 'sum' | Rate;

const AGGREGATIONS: readonly Aggregation[] = ['sum', 'max', 'p95', 'avg'];

/** Some 30 MB of JSON: more is to be asked for in pages, or streamed. */
export const MAX_ROWS = 100_000;
/** More is no list of the largest ones. */
const MAX_TOP = 100;

const windowSize = z
  .string()
  .meta({
    enum: [...WINDOW_SIZES],
    description:
      'Without it the range is one window. MINUTE: of hours whose samples are kept, a few at once.',
  })
  .transform((given, context): WindowSize => {
    const size = WINDOW_SIZES.find((known) => known === given.toUpperCase());
    if (size !== undefined) return size;
    const supported = `Supported: ${WINDOW_SIZES.join(', ')}; or none, for one window over the whole range.`;
    return complain(context, 'unknown_window_size', supported);
  });

const windowTimeZone = z
  .string()
  .meta({
    description: 'A name of the IANA time zone database, in which days and months begin.',
    examples: ['Europe/Berlin'],
  })
  .refine(isTimeZone, {
    error: 'Give a name of the IANA time zone database, such as Europe/Berlin or UTC.',
    params: { problem: 'unknown_time_zone' },
  });

/** In the order of the key, whatever order they are asked in, so that equal questions get equal answers. */
const groupBy = listOf(
  text.meta({
    description: 'What usage is told apart by; several with commas between, or repeated.',
    examples: ['tenant,namespace'],
  }),
).transform((values, context): readonly Dimension[] => {
  const names = values.flatMap((value) => value.split(',')).map((name) => name.trim());
  const unknown = names.filter((name) => !DIMENSIONS.some((dimension) => dimension === name));
  if (unknown.length === 0) return DIMENSIONS.filter((dimension) => names.includes(dimension));
  const listed = unknown.map((name) => `"${name}"`).join(', ');
  return complain(context, 'unknown_group', `${listed}: group by ${DIMENSIONS.join(', ')}.`);
});

const filter = listOf(text).optional();

const aggregation = z.enum(AGGREGATIONS).meta({
  description:
    'The sum of a window, or of its hourly rate the largest, the 95th percentile or the average. ' +
    'Hours that were neither scraped nor used in count for nothing.',
});

const unit = z.enum(UNITS).meta({
  description:
    'Whole numbers of the base unit, or decimals of the one people read (core-hours, GiB-hours, GiB), ' +
    'rounded half to even to billionths, with the base figure beside them.',
});

const shared = {
  from: moment
    .optional()
    .describe('Begin of the range; 24 hours before its end if it is left out, of minutes an hour.'),
  to: moment
    .optional()
    .describe('End of the range, not in it; the end of the running hour, or minute, if it is left out.'),
  windowSize: windowSize.optional(),
  windowTimeZone: windowTimeZone.default('UTC'),
  groupBy: groupBy.optional(),
  aggregation: aggregation.default('sum'),
  unit: unit.default('base'),
  top: z
    .int()
    .min(1)
    .max(MAX_TOP)
    .optional()
    .describe('Only so many groups: those that used most in the range, and those first.'),
  limit: z
    .int()
    .min(1)
    .max(MAX_ROWS)
    .optional()
    .describe('Rows of a page, in any form. Without it all rows come at once.'),
  cursor: cursor.optional(),
  tenant: filter.describe('Only usage of these tenants.'),
  cluster: filter.describe('Only usage in these clusters.'),
  namespace: filter.describe('Only usage in these namespaces.'),
  workload: filter.describe('Only usage of these workloads, such as `Deployment/web`.'),
  destination: filter.describe('Only egress to these destinations.'),
  storageClass: filter.describe('Only storage of these classes.'),
};

const BOTH = 'Has to hold beside the filter of the same name.';

/** As a query string has them. */
export const usageParameters = z
  .strictObject({
    ...shared,
    'filterGroupBy[tenant]': filter.describe(BOTH),
    'filterGroupBy[cluster]': filter.describe(BOTH),
    'filterGroupBy[namespace]': filter.describe(BOTH),
    'filterGroupBy[workload]': filter.describe(BOTH),
    'filterGroupBy[destination]': filter.describe(BOTH),
    'filterGroupBy[storageClass]': filter.describe(BOTH),
  })
  .transform((given) => ({
    ...given,
    filterGroupBy: {
      tenant: given['filterGroupBy[tenant]'],
      cluster: given['filterGroupBy[cluster]'],
      namespace: given['filterGroupBy[namespace]'],
      workload: given['filterGroupBy[workload]'],
      destination: given['filterGroupBy[destination]'],
      storageClass: given['filterGroupBy[storageClass]'],
    },
  }));

/** As a body has them. */
export const usageBody = z.strictObject({
  ...shared,
  filterGroupBy: z
    .strictObject({
      ...{ tenant: filter, cluster: filter, namespace: filter },
      ...{ workload: filter, destination: filter, storageClass: filter },
    })
    .prefault({})
    .describe('Filters that have to hold beside those of the same names.'),
});

export type UsageParameters = Readonly<z.output<typeof usageBody>>;

export function planUsageQuery(given: UsageParameters, nowMs: number): UsageQuery {
  const { windowSize: size, windowTimeZone: zone, groupBy = [] } = given;
  const { fromMs, toMs } = rangeOf(given, nowMs);
  const windows =
    size === undefined ? [{ startMs: fromMs, endMs: toMs }] : windowsBetween(fromMs, toMs, size, zone);
  const { aggregation: told, unit: shownIn, top, cursor: after } = given;
  // Who goes on goes on page by page.
  const limit = given.limit ?? (after === undefined ? undefined : MAX_ROWS);
  const range = { fromMs, toMs, windowSize: size, windowTimeZone: zone, windows };
  const shown = { aggregation: told, unit: shownIn, top, limit, cursor: after };
  return { ...range, groupBy, filters: filtersOf(given), ...shown };
}

export function rangeOf(
  { windowSize, from, to }: Pick<UsageParameters, 'windowSize' | 'from' | 'to'>,
  nowMs: number,
): { readonly fromMs: number; readonly toMs: number } {
  const isMinutes = windowSize === 'MINUTE';
  const toMs = to ?? (isMinutes ? nowMs - (nowMs % MINUTE_MS) + MINUTE_MS : startOfHour(nowMs) + HOUR_MS);
  return { fromMs: from ?? toMs - (isMinutes ? HOUR_MS : DAY_MS), toMs };
}

/** `tenant=a&tenant=b` is either; `filterGroupBy[tenant]=a` beside it has to hold as well. */
function filtersOf(given: UsageParameters): Filters {
  const filters: Partial<Record<Dimension, readonly string[]>> = {};
  for (const dimension of DIMENSIONS) {
    const plain = given[dimension];
    const grouped = given.filterGroupBy[dimension];
    const values = plain === undefined ? grouped : plain.filter((value) => grouped?.includes(value) ?? true);
    if (values !== undefined) filters[dimension] = values;
  }
  return filters;
}
