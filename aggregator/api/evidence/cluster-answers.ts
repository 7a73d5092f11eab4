/** `GET /api/v1/watermarks` and `GET /api/v1/reconciliation`. */
import { z } from 'zod';

import { DAY_MS, HOUR_MS, startOfHour } from '../../../core/metering/hour.ts';
import { billableMeter } from '../../../core/metering/catalogue.ts';
import type { Clock } from '../../../core/runtime/clock.ts';
import { ratioOf } from '../../ledger/reconciliation.ts';
import { cursor, refuseCursor } from '../endpoint/cursor.ts';
import { endpoint, type Answer } from '../endpoint/endpoint.ts';
import { beginAt, nextCursor, pageOf } from '../endpoint/page.ts';
import { instantText, listOf, meterName, text, wholeHour } from '../endpoint/parameters.ts';
import type { RuleContext } from '../endpoint/rules.ts';
import type { RequestProblem } from '../problem.ts';
import type { ClusterReader, ReconciledHour, ReconciliationPlace } from './cluster-reader.ts';

const MAX_RANGE_MS = 400 * DAY_MS;
const DEFAULT_LIMIT = 1_000;
const MAX_LIMIT = 10_000;

export interface ClusterDeps {
  readonly clock: Clock;
  readonly clusters: ClusterReader;
}

const time = z.string().meta({ format: 'date-time' });

const watermarksSchema = z.strictObject({
  data: z.array(
    z.strictObject({
      cluster: z.string(),
      watermark: time.meta({ description: 'The newest successful scrape that was accepted.' }),
      settledBefore: time.meta({ description: 'Hours before it are in the ledger; they may be corrected.' }),
    }),
  ),
});

export const LIST_WATERMARKS = endpoint({
  method: 'GET',
  path: '/api/v1/watermarks',
  operationId: 'listWatermarks',
  capability: 'usage',
  tag: 'clusters',
  summary: 'How far each cluster has been seen',
  description: 'A member of organizations sees the clusters in which these have something.',
  answers: { 200: { description: 'By name.', json: watermarksSchema } },
  problems: [],
  answer: async (
    { scope },
    { clusters }: ClusterDeps,
  ): Promise<Answer<z.output<typeof watermarksSchema>>> => {
    const found = await clusters.watermarks(scope);
    const data = found.map(({ cluster, watermarkMs, settledBeforeMs }) => ({
      cluster,
      watermark: new Date(watermarkMs).toISOString(),
      settledBefore: instantText(settledBeforeMs),
    }));
    return { json: { data } };
  },
});

const integer = z.string().regex(/^(0|-?[1-9]\d*)$/);

const reconciliationSchema = z.strictObject({
  data: z.array(
    z.strictObject({
      hour: time,
      cluster: z.string(),
      meter: z.string(),
      unit: z.string(),
      measured: integer.meta({ description: 'Before anybody asked whose it is.' }),
      attributed: integer.meta({ description: 'To tenants that are organizations.' }),
      platform: integer,
      unattributed: integer,
      difference: integer.meta({ description: 'Measured, without the three; 0 where all is well.' }),
      compared: integer.nullable(),
      reference: integer
        .nullable()
        .meta({ description: 'What somebody else counted: nodes, or interfaces.' }),
      ratio: z.number().nullable().meta({ description: 'Of the two, to six decimals.' }),
    }),
  ),
  next: nextCursor,
});

type ReconciliationJson = z.output<typeof reconciliationSchema>;

export const LIST_RECONCILIATION = endpoint({
  method: 'GET',
  path: '/api/v1/reconciliation',
  operationId: 'listReconciliation',
  capability: 'platform',
  tag: 'clusters',
  summary: 'Whether all that was measured was given to somebody',
  description:
    'Settled hours by cluster and meter, the oldest first; the last 24 hours where nothing else is asked.',
  query: z.strictObject({
    from: wholeHour
      .optional()
      .describe('Begin of the first hour; 24 hours before the end if it is left out.'),
    to: wholeHour.optional().describe('End of the last hour; that of the running one if it is left out.'),
    cluster: listOf(text).optional(),
    meter: listOf(meterName).optional(),
    limit: z.int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
    after: cursor.optional(),
  }),
  rules: [
    {
      of: ['from', 'to'],
      problem: (given, { deps: { clock } }: RuleContext<ClusterDeps>) => rangeProblem(rangeOf(given, clock)),
    },
  ],
  answers: { 200: { description: 'A page.', json: reconciliationSchema } },
  problems: [],
  answer: async ({ query, url }, { clusters, clock }: ClusterDeps): Promise<Answer<ReconciliationJson>> => {
    const { limit, cluster, meter: meters } = query;
    const binding = { of: 'reconciliation', cluster, meters };
    const begin = beginAt(query.after, binding, decodedPlace);
    if (!begin.ok) return refuseCursor('after');
    const asked = { ...rangeOf(query, clock), clusters: cluster, meters, after: begin.at };
    const found = await clusters.reconciliation({ ...asked, limit: limit + 1 });
    const { rows, next, on } = pageOf(found, { limit, url, binding, placeOf });
    return { json: { data: rows.map(rowOf), ...next }, ...on };
  },
});

interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

interface GivenRange {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

function rangeOf({ from, to }: GivenRange, clock: Clock): Range {
  const toMs = to ?? startOfHour(clock.now()) + HOUR_MS;
  return { fromMs: from ?? toMs - DAY_MS, toMs };
}

function rangeProblem({ fromMs, toMs }: Range): RequestProblem | undefined {
  const detail = '`from` has to be before `to`, by at most 400 days.';
  if (fromMs >= toMs) return { parameter: 'from', code: 'empty_range', detail };
  return toMs - fromMs > MAX_RANGE_MS ? { parameter: 'from', code: 'range_too_long', detail } : undefined;
}

function rowOf({ hour, compared, reference, ...row }: ReconciledHour): ReconciliationJson['data'][number] {
  const held =
    compared === null || reference === null ? undefined : ([BigInt(compared), BigInt(reference)] as const);
  return {
    hour: instantText(hour),
    ...row,
    unit: billableMeter(row.meter)?.unit ?? '',
    ...{ compared, reference },
    ratio: held === undefined ? null : ratioOf({ compared: held[0], reference: held[1] }),
  };
}

function placeOf({ hour, cluster, meter }: ReconciledHour): readonly string[] {
  return [String(hour / HOUR_MS), cluster, meter];
}

function decodedPlace([hours = '', cluster, meter]: readonly string[]): ReconciliationPlace | undefined {
  if (!/^\d{1,7}$/.test(hours) || cluster === undefined || meter === undefined) return undefined;
  return { hour: Number(hours) * HOUR_MS, cluster, meter };
}
