/**
 * `GET /api/v1/quotas` and `GET /api/v1/breaches`. Quotas are declared in a file; what is used of them is
 * read when it is asked for. Nothing is compared here: a breach is what the ledger says was one.
 */
import { z } from 'zod';

import { DAY_MS, HOUR_MS, startOfHour } from '../../../core/metering/hour.ts';
import { periodEnd, periodOf, periodStart } from '../../../core/metering/period.ts';
import type { Clock } from '../../../core/runtime/clock.ts';
import { invariant } from '../../../core/runtime/errors.ts';
import { publicEntry, breachSchema } from '../../ledger/public-entry.ts';
import { baseLimit, QUOTA_WINDOWS, type Quota, type QuotaWindow } from '../../ledger/quota.ts';
import { presentedText } from '../../ledger/statements/presented.ts';
import { cursor, refuseCursor } from '../endpoint/cursor.ts';
import { endpoint, refusal, type Answer } from '../endpoint/endpoint.ts';
import { FEED_HEADERS } from '../endpoint/completed.ts';
import { beginAt, goingOn, nextCursor, pageOf } from '../endpoint/page.ts';
import { instantText } from '../endpoint/parameters.ts';
import type { LedgerReader } from '../feed/ledger-reader.ts';
import { ledgerCursor, PLACE_IN_LEDGER, shownTo } from '../feed/list-ledger.ts';
import { positionOf, START } from '../feed/position.ts';
import type { TenantScope } from '../identity/access.ts';
import { mayRead } from '../identity/tenant-conditions.ts';
import type { TenantReader } from './tenant-reader.ts';

const DEFAULT_LIMIT = 500;
const MAX_LIMIT = 5_000;

export interface QuotaDeps {
  readonly clock: Clock;
  readonly tenants: TenantReader;
  readonly ledger: LedgerReader;
  /** As the file says now. */
  readonly quotas: () => readonly Quota[];
}

const natural = z.string().regex(/^\d+$/);

const quotaSchema = z.strictObject({
  tenant: z.string(),
  meter: z.string(),
  unit: z.string(),
  window: z.enum(QUOTA_WINDOWS),
  from: z.string().meta({ format: 'date-time', description: 'Of the running window.' }),
  to: z.string().meta({ format: 'date-time' }),
  limit: natural.meta({ description: 'In base units.' }),
  presentedLimit: z.string(),
  presentedUnit: z.string(),
  thresholds: z.array(z.int()).meta({ description: 'Per cent of the limit.' }),
  used: natural.meta({ description: 'In this window until now, open hours included: provisional.' }),
});

type QuotaJson = z.output<typeof quotaSchema>;

const quotasSchema = z.strictObject({ data: z.array(quotaSchema), next: nextCursor });

export const LIST_QUOTAS = endpoint({
  method: 'GET',
  path: '/api/v1/quotas',
  operationId: 'listQuotas',
  capability: 'quotas',
  tag: 'quotas',
  summary: 'Declared quotas, and what is used of them',
  description:
    'By tenant, meter and window. They are declared in Git; nothing is enforced or alerted on here.',
  query: z.strictObject({
    limit: z.int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
    after: cursor.optional(),
  }),
  answers: { 200: { description: 'A page.', json: quotasSchema } },
  problems: [],
  answer: async ({ query, scope, url }, deps: QuotaDeps): Promise<Answer<z.output<typeof quotasSchema>>> => {
    const binding = { of: 'quotas' };
    const begin = beginAt(query.after, binding, ([key]) => key);
    if (!begin.ok) return refuseCursor('after');
    const { at = '' } = begin;
    const found = ownQuotas(scope, deps.quotas()).filter(([key]) => key > at);
    const paging = { limit: query.limit, url, binding, placeOf: ([key]: Keyed) => [key] };
    const { rows, next, on } = pageOf(found, paging);
    const quotas = rows.map(([, quota]) => quota);
    return { json: { data: await withUsage(scope, quotas, deps), ...next }, ...on };
  },
});

type Keyed = readonly [key: string, quota: Quota];

function ownQuotas(scope: TenantScope, quotas: readonly Quota[]): Keyed[] {
  return quotas
    .filter(({ tenant }) => mayRead(scope, tenant))
    .map((quota): Keyed => [JSON.stringify([quota.tenant, quota.meter, quota.window]), quota])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** One reading for each kind of window, of the tenants that have such a quota. */
async function withUsage(
  scope: TenantScope,
  quotas: readonly Quota[],
  { tenants, clock }: QuotaDeps,
): Promise<QuotaJson[]> {
  const used = new Map<string, bigint>();
  for (const [window, declared] of Map.groupBy(quotas, (quota) => quota.window)) {
    const names = [...new Set(declared.map(({ tenant }) => tenant))];
    const found = await tenants.usage(scope, { ...runningWindow(window, clock.now()), tenants: names });
    for (const row of found)
      used.set(JSON.stringify([row.tenant, row.meter, window]), row.settled + row.open);
  }
  return quotas.map((quota) => {
    const key = JSON.stringify([quota.tenant, quota.meter, quota.window]);
    return quotaJson(quota, { ...runningWindow(quota.window, clock.now()), used: used.get(key) ?? 0n });
  });
}

interface Running {
  readonly fromMs: number;
  readonly toMs: number;
}

/** UTC, as periods are. */
function runningWindow(window: QuotaWindow, nowMs: number): Running {
  switch (window) {
    case 'hour':
      return { fromMs: startOfHour(nowMs), toMs: startOfHour(nowMs) + HOUR_MS };
    case 'day': {
      const fromMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
      return { fromMs, toMs: fromMs + DAY_MS };
    }
    case 'month':
      return { fromMs: periodStart(periodOf(nowMs)), toMs: periodEnd(periodOf(nowMs)) };
  }
}

function quotaJson(quota: Quota, { fromMs, toMs, used }: Running & { readonly used: bigint }): QuotaJson {
  const { tenant, meter, window, thresholds } = quota;
  const limit = baseLimit(quota);
  invariant(limit !== undefined, 'a declared limit was validated');
  const { unit, presentedQuantity: presentedLimit, presentedUnit } = presentedText(limit, meter);
  return {
    ...{ tenant, meter, unit, window, from: instantText(fromMs), to: instantText(toMs) },
    ...{ limit: limit.toString(), presentedLimit, presentedUnit, thresholds: [...thresholds] },
    used: used.toString(),
  };
}

const breachesSchema = z.strictObject({
  data: z.array(breachSchema),
  next: z.string().meta({ description: 'To be handed in as `after`; there is always one.' }),
  more: z.boolean().meta({ description: 'The page was full.' }),
});

type BreachesJson = z.output<typeof breachesSchema>;

export const LIST_BREACHES = endpoint({
  method: 'GET',
  path: '/api/v1/breaches',
  operationId: 'listBreaches',
  capability: 'quotas',
  tag: 'quotas',
  summary: 'Quotas that were reached',
  description: 'Entries of kind `breach` of the ledger, in its order; to be followed as the ledger is.',
  query: z.strictObject({
    limit: z.int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
    after: cursor.optional(),
  }),
  answers: { 200: { description: 'A page, perhaps empty.', json: breachesSchema, headers: FEED_HEADERS } },
  problems: ['METER_CURSOR_GONE'],
  answer: async ({ query, scope, url }, { ledger }: QuotaDeps): Promise<Answer<BreachesJson>> => {
    const begin = beginAt(query.after, PLACE_IN_LEDGER, positionOf);
    if (!begin.ok) return refuseCursor('after');
    const asked = { after: begin.at ?? START, limit: query.limit, kinds: ['breach'] as const };
    const page = await ledger.page(scope, asked);
    if (page === undefined) {
      const detail =
        'This cursor was not handed out by this ledger to somebody who reads what you read now: begin ' +
        'without `after`.';
      return refusal('METER_CURSOR_GONE', { detail });
    }
    const data = page.entries.map((entry) => breachSchema.parse(shownTo(scope, publicEntry(entry))));
    const next = ledgerCursor(page.end);
    return { json: { data, next, more: page.isFull }, ...goingOn(url, next) };
  },
});
