/** `GET /api/v1/explain`: a number walked down to the samples it is made of, and where these came from. */
import { z } from 'zod';

import type { Explanation } from '../../ledger/explain.ts';
import { cursor, refuseCursor, writeCursor } from '../endpoint/cursor.ts';
import { endpoint, refusal, type Answer } from '../endpoint/endpoint.ts';
import { beginAt, goingOn, nextCursor } from '../endpoint/page.ts';
import { meter, text, wholeHour } from '../endpoint/parameters.ts';
import type { RuleContext } from '../endpoint/rules.ts';
import { BUSY_RETRY_SECONDS } from '../limits/on-demand.ts';
import type { RequestProblem } from '../problem.ts';
import type { Explainer } from './explainer.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
/** As many intervals as an explanation keeps. */
const MAX_SKIP = 100_000;

export interface ExplainDeps {
  readonly explainer: Explainer;
}

const integer = z.string().regex(/^(0|-?[1-9]\d*)$/);
const amount = {
  quantity: integer,
  quarters: z.tuple([integer, integer, integer, integer]).readonly(),
  missingMs: integer,
};
const amountSchema = z.strictObject(amount);
const state = z.enum(['provisional', 'settled', 'closed']);

const sampleSchema = z.strictObject({
  t: z.string(),
  value: z.string(),
  start: z.string().optional(),
  baseline: z.string().optional(),
  podEnded: z.literal(true).optional(),
  log: z.strictObject({ topic: z.string(), partition: z.int(), offset: z.string() }).optional().meta({
    description: 'Where it came from, to who reads all tenants; absent where it is past its retention.',
  }),
});

const intervalSchema = z.strictObject({
  unitHour: z.string(),
  rule: z.string(),
  from: z.string(),
  to: z.string(),
  quantity: z.string(),
  missing: z.strictObject({ from: z.string(), to: z.string() }).optional(),
  share: amountSchema,
  flags: z.array(z.string()).readonly(),
  evidence: z.strictObject({
    meteringFrom: z.string().optional(),
    absentAt: z.string().optional(),
    containerStart: z.string().optional(),
    processStart: z.string().optional(),
  }),
  before: sampleSchema.optional(),
  at: sampleSchema,
});

const seriesSchema = z.strictObject({
  series: z.string().meta({
    description: 'An id, 32 hex digits; `(another tenant)` where labels that name others are not told.',
  }),
  metric: z.string(),
  labels: z.record(z.string(), z.string()),
  ...amount,
  intervals: z.array(intervalSchema).readonly(),
  intervalsNotShown: z.int(),
});

const keySchema = z.strictObject({
  cluster: z.string(),
  tenant: z.string(),
  namespace: z.string(),
  state,
  revision: z.int().optional(),
  samples: z.string(),
  flags: z.array(z.string()).readonly(),
  coverage: z.strictObject({ coveredMs: z.string(), expectedMs: z.string() }).optional(),
  atClose: amountSchema.optional(),
  ...amount,
  sum: amountSchema,
  equal: z.boolean(),
  withoutSamples: z.array(z.strictObject({ ...amount, unitHour: z.string() })).readonly(),
  series: z.array(seriesSchema).readonly(),
  seriesNotShown: z.int(),
});

const explanationSchema = z.strictObject({
  meter: z.string(),
  unit: z.string(),
  hour: z.string(),
  asked: z.strictObject({
    tenant: z.string().optional(),
    cluster: z.string().optional(),
    namespace: z.string().optional(),
  }),
  state,
  ...amount,
  atClose: z.strictObject({ ...amount, period: z.string() }).optional(),
  sum: amountSchema.meta({ description: 'All intervals added up, shown or not.' }),
  equal: z.boolean().meta({ description: 'Whether the sum is the number, quarter by quarter.' }),
  keys: z.array(keySchema).readonly(),
  intervals: z.strictObject({ shown: z.int(), total: z.int() }),
  reservations: z.array(z.string()).readonly(),
  next: nextCursor,
});

type ExplanationJson = z.output<typeof explanationSchema>;

const NAME_ONE: RequestProblem = {
  parameter: 'tenant',
  code: 'missing_parameter',
  detail: 'Name one of your organizations.',
};

export const EXPLAIN_NUMBER = endpoint({
  method: 'GET',
  path: '/api/v1/explain',
  operationId: 'explainNumber',
  capability: 'explain',
  tag: 'ledger',
  summary: 'How a number came about',
  description:
    'One hour of a meter: keys, series, intervals with the rule that judged each, the samples at their ' +
    'ends and where these stand in the log, computed anew and held against the number. A member of several ' +
    'organizations names the tenant. What belongs to others in the same hour is not shown.',
  query: z.strictObject({
    meter,
    hour: wholeHour.meta({ description: 'Start of the hour.', examples: ['2026-10-01T09:00:00Z'] }),
    tenant: text.optional(),
    cluster: text.optional(),
    namespace: text.optional(),
    limit: z
      .int()
      .min(1)
      .max(MAX_LIMIT)
      .default(DEFAULT_LIMIT)
      .meta({ description: 'Intervals that are shown.' }),
    after: cursor.optional(),
  }),
  rules: [
    {
      of: ['tenant'],
      problem: ({ tenant }, { scope }: RuleContext<ExplainDeps>) =>
        tenant === undefined && scope.kind === 'tenants' && scope.tenants.length > 1 ? NAME_ONE : undefined,
    },
  ],
  answers: { 200: { description: 'The explanation.', json: explanationSchema } },
  problems: ['METER_OVERLOADED'],
  answer: async (
    { query, scope, url, signal },
    { explainer }: ExplainDeps,
  ): Promise<Answer<ExplanationJson>> => {
    const { after, meter: definition, ...asked } = query;
    const { tenant, cluster, namespace } = asked;
    const binding = { of: definition.name, hour: asked.hour, tenant, cluster, namespace };
    const begin = beginAt(after, binding, skipOf);
    if (!begin.ok) return refuseCursor('after');
    const { at: skip = 0 } = begin;
    const explanation = await explainer.explain(scope, { ...asked, meter: definition.name, skip, signal });
    if (explanation === 'busy') {
      const detail = 'As many explanations are being made as may. Ask again in a moment.';
      return refusal('METER_OVERLOADED', { detail, retryAfterSeconds: BUSY_RETRY_SECONDS });
    }
    const upTo = skip + explanation.intervals.shown;
    const hasMore = explanation.intervals.shown > 0 && upTo < explanation.intervals.total;
    if (!hasMore) return { json: explanationJson(explanation) };
    const next = writeCursor([String(upTo)], binding);
    return { json: { ...explanationJson(explanation), next }, ...goingOn(url, next) };
  },
});

function skipOf([skip = '']: readonly string[]): number | undefined {
  return /^\d{1,6}$/.test(skip) && Number(skip) <= MAX_SKIP ? Number(skip) : undefined;
}

/** Of nothing, nothing is told, not even that its month is closed. */
function explanationJson({ atClose, ...rest }: Explanation): ExplanationJson {
  return { ...rest, ...(atClose !== undefined && rest.keys.length > 0 && { atClose }) };
}
