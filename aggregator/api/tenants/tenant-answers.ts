/** `GET /api/v1/tenants` and `GET /api/v1/tenants/{tenant}/usage`: who there is, and a month at a glance. */
import { z } from 'zod';

import { METERS } from '../../../core/metering/catalogue.ts';
import { periodEnd, periodName, periodOf, periodStart } from '../../../core/metering/period.ts';
import { PLATFORM_TENANT, UNATTRIBUTED_TENANT } from '../../../core/metering/settings.ts';
import type { Clock } from '../../../core/runtime/clock.ts';
import { presentedText } from '../../ledger/statements/presented.ts';
import { cursor, refuseCursor } from '../endpoint/cursor.ts';
import { endpoint, type Answer } from '../endpoint/endpoint.ts';
import { beginAt, nextCursor, pageOf } from '../endpoint/page.ts';
import { instantText } from '../endpoint/parameters.ts';
import { complain } from '../endpoint/request.ts';
import { askedPeriod } from '../statements/periods-reader.ts';
import type { KnownTenant, TenantReader, TenantUsage } from './tenant-reader.ts';

const DEFAULT_LIMIT = 1_000;
const MAX_LIMIT = 10_000;

export interface TenantDeps {
  readonly clock: Clock;
  readonly tenants: TenantReader;
}

const day = z.string().meta({ format: 'date' });

const tenantsSchema = z.strictObject({
  data: z.array(
    z.strictObject({
      tenant: z.string(),
      kind: z.enum(['organization', 'platform', 'unattributed']).meta({
        description: 'Whose usage it is: an organization, the platform itself, or what nobody owns.',
      }),
      firstDay: day.meta({ description: 'With settled usage, UTC.' }),
      lastDay: day,
    }),
  ),
  next: nextCursor,
});

type TenantsJson = z.output<typeof tenantsSchema>;

export const LIST_TENANTS = endpoint({
  method: 'GET',
  path: '/api/v1/tenants',
  operationId: 'listTenants',
  capability: 'usage',
  tag: 'usage',
  summary: 'Tenants that have settled usage',
  description: 'By name. A member of organizations sees these.',
  query: z.strictObject({
    limit: z.int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
    after: cursor.optional(),
  }),
  answers: { 200: { description: 'A page.', json: tenantsSchema } },
  problems: [],
  answer: async ({ query, scope, url }, { tenants }: TenantDeps): Promise<Answer<TenantsJson>> => {
    const binding = { of: 'tenants' };
    const begin = beginAt(query.after, binding, ([name]) => name);
    if (!begin.ok) return refuseCursor('after');
    const { limit } = query;
    const found = await tenants.tenants(scope, { after: begin.at ?? '', limit: limit + 1 });
    const paging = { limit, url, binding, placeOf: ({ tenant }: KnownTenant) => [tenant] };
    const { rows, next, on } = pageOf(found, paging);
    return { json: { data: rows.map((row) => ({ ...row, kind: kindOf(row) })), ...next }, ...on };
  },
});

function kindOf({ tenant }: KnownTenant): 'organization' | 'platform' | 'unattributed' {
  if (tenant === PLATFORM_TENANT) return 'platform';
  return tenant === UNATTRIBUTED_TENANT ? 'unattributed' : 'organization';
}

const natural = z.string().regex(/^\d+$/);

const usageSchema = z.strictObject({
  tenant: z.string(),
  period: z.string(),
  from: z.string().meta({ format: 'date-time' }),
  to: z.string().meta({ format: 'date-time' }),
  data: z.array(
    z.strictObject({
      meter: z.string(),
      quantity: natural.meta({ description: 'In base units: settled and open together.' }),
      unit: z.string(),
      presentedQuantity: z.string(),
      presentedUnit: z.string(),
      settledQuantity: natural.meta({ description: 'What of it is in the ledger.' }),
    }),
  ),
});

type UsageJson = z.output<typeof usageSchema>;

const period = z
  .string()
  .transform(
    (name, context) =>
      askedPeriod(name) ?? complain(context, 'bad_format', 'Periods are months, such as 2026-10.'),
  );

export const GET_TENANT_USAGE = endpoint({
  method: 'GET',
  path: '/api/v1/tenants/{tenant}/usage',
  operationId: 'getTenantUsage',
  capability: 'usage',
  tag: 'usage',
  summary: 'A month of one tenant, meter by meter',
  description:
    'Without `period`, the running month until now. Corrections of closed months stand in statements; ' +
    'windows, groups and coverage are told by the query of a meter. Of a tenant without usage, the list is ' +
    'empty.',
  params: z.strictObject({ tenant: z.string().min(1) }),
  query: z.strictObject({
    period: period.optional().meta({ description: 'A month, UTC.', examples: ['2026-10'] }),
  }),
  answers: { 200: { description: 'In the order of the catalogue.', json: usageSchema } },
  problems: [],
  answer: async ({ params, query, scope }, { tenants, clock }: TenantDeps): Promise<Answer<UsageJson>> => {
    const { tenant } = params;
    const { period = periodOf(clock.now()) } = query;
    const [fromMs, toMs] = [periodStart(period), periodEnd(period)];
    const found = await tenants.usage(scope, { fromMs, toMs, tenants: [tenant] });
    const data = METERS.flatMap(({ name }) => found.filter((row) => row.meter === name)).map(usageRow);
    const [from, to] = [instantText(fromMs), instantText(toMs)];
    return { json: { tenant, period: periodName(period), from, to, data } };
  },
});

function usageRow({ meter, settled, open }: TenantUsage): UsageJson['data'][number] {
  const quantity = settled + open;
  return {
    meter,
    quantity: quantity.toString(),
    ...presentedText(quantity, meter),
    settledQuantity: settled.toString(),
  };
}
