/** `GET /api/v1/periods` and `GET /api/v1/statements/{period}`: what is closed, and under which hashes. */
import { hash } from 'node:crypto';

import { z } from 'zod';

import { periodEnd, periodName, periodStart } from '../../../core/metering/period.ts';
import type { Clock } from '../../../core/runtime/clock.ts';
import { CSV } from '../../../core/runtime/csv.ts';
import { cutLines } from '../../ledger/cut.ts';
import { endpoint, refusal, type Answer } from '../endpoint/endpoint.ts';
import { instantText } from '../endpoint/parameters.ts';
import type { TenantScope } from '../identity/access.ts';
import { IMMUTABLE, isKnown } from './caching.ts';
import { askedPeriod, type ListedPeriod, type PeriodsReader } from './periods-reader.ts';

export interface PeriodsDeps {
  readonly clock: Clock;
  readonly periods: PeriodsReader;
}

const instant = z.string().meta({ format: 'date-time' });
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const ofPeriod = {
  period: z.string().meta({ description: 'A calendar month, UTC.', examples: ['2026-10'] }),
  from: instant,
  to: instant.meta({ description: 'Not in the period.' }),
  state: z.enum(['open', 'settling', 'closed']).meta({
    description: 'Open while its hours come in, settling once it is over, closed when its statements stand.',
  }),
};

const chainSchema = z
  .strictObject({
    hash: sha256,
    previousHash: z
      .union([sha256, z.literal('')])
      .meta({ description: 'Of the close before; empty for the first.' }),
    ruleVersion: z.int(),
    settingsHash: sha256,
    clusters: z.array(z.string()),
    waivers: z.array(z.strictObject({ cluster: z.string(), reason: z.string(), approvedBy: z.string() })),
    statements: z.int().meta({ description: 'How many were written.' }),
  })
  .meta({ description: 'A link of the chain of closes; for who reads all tenants.' });

const periodSchema = z.strictObject({ ...ofPeriod, close: chainSchema.optional() });

type PeriodJson = z.output<typeof periodSchema>;
type PeriodsJson = { data: PeriodJson[] };

export const LIST_PERIODS = endpoint({
  method: 'GET',
  path: '/api/v1/periods',
  operationId: 'listPeriods',
  capability: 'statements',
  tag: 'statements',
  summary: 'Billing periods and their states',
  description: 'Oldest first. A member of organizations sees the periods in which these have something.',
  answers: { 200: { description: 'All of them.', json: z.strictObject({ data: z.array(periodSchema) }) } },
  problems: [],
  answer: async ({ scope }, { periods, clock }: PeriodsDeps): Promise<Answer<PeriodsJson>> => {
    const found = await periods.periods(scope, clock.now());
    return { json: { data: found.map((one) => periodJson(scope, one)) } };
  },
});

const cutSchema = z
  .array(z.strictObject({ topic: z.string(), partition: z.int(), next: z.string() }))
  .meta({ description: 'The next offset of every partition: evidence, under no hash.' });

const statementsSchema = z.strictObject({
  ...ofPeriod,
  close: chainSchema.extend({ cut: cutSchema }).optional(),
  data: z
    .array(z.strictObject({ tenant: z.string(), hash: sha256, href: z.string() }))
    .meta({ description: 'Statements of a closed period, by tenant.' }),
});

type StatementsJson = z.output<typeof statementsSchema>;

export const LIST_STATEMENTS = endpoint({
  method: 'GET',
  path: '/api/v1/statements/{period}',
  operationId: 'listStatements',
  capability: 'statements',
  tag: 'statements',
  summary: 'The statements of a period',
  description:
    'Of a closed period: whose statements there are, their hashes, and the link of the chain that they ' +
    'hang on. It never changes and may be kept. Of another period the list is empty.',
  params: z.strictObject({ period: z.string() }),
  answers: {
    200: {
      description: 'The list; all of it.',
      json: statementsSchema,
      headers: { etag: 'Of a closed period: strong, one for each form.' },
    },
    304: { description: 'It is what `if-none-match` names.' },
  },
  problems: ['METER_NOT_FOUND'],
  answer: async (
    { params, scope, headers, mediaType },
    { periods }: PeriodsDeps,
  ): Promise<Answer<StatementsJson>> => {
    const period = askedPeriod(params.period);
    const found = period === undefined ? undefined : await periods.period(scope, period);
    if (found === undefined) return refusal('METER_NOT_FOUND', { detail: NO_PERIOD });
    const json = statementsJson(scope, found);
    if (found.close === undefined) return { json };
    const etag = etagOf(scope, found, mediaType);
    const kept = { ...IMMUTABLE, etag };
    return isKnown(headers, etag) ? { notModified: true, headers: kept } : { json, headers: kept };
  },
});

const NO_PERIOD =
  'There is no such period, or none of it that may be read here. Periods are months, such as 2026-10.';

function ofAll({ period, state }: ListedPeriod): Omit<PeriodJson, 'close'> {
  const [from, to] = [periodStart(period), periodEnd(period)].map(instantText) as [string, string];
  return { period: periodName(period), from, to, state };
}

/** Clusters, waivers and how many tenants there are is no business of one of them. */
function chainOf(scope: TenantScope, { close }: ListedPeriod): PeriodJson['close'] {
  if (close === undefined || scope.kind !== 'all') return undefined;
  const { previousHash, ruleVersion, settingsHash, clusters, waivers } = close;
  const statements = close.statements.length;
  return { hash: close.hash, previousHash, ruleVersion, settingsHash, clusters, waivers, statements };
}

function periodJson(scope: TenantScope, listed: ListedPeriod): PeriodJson {
  const close = chainOf(scope, listed);
  return { ...ofAll(listed), ...(close !== undefined && { close }) };
}

function statementsJson(scope: TenantScope, listed: ListedPeriod): StatementsJson {
  const chain = chainOf(scope, listed);
  const cut = cutLines(listed.close?.cut ?? []).map((line) => ({ ...line }));
  const name = periodName(listed.period);
  return {
    ...ofAll(listed),
    ...(chain !== undefined && { close: { ...chain, cut } }),
    data: listed.statements.map(([tenant, ofTenant]) => ({
      ...{ tenant, hash: ofTenant, href: `/api/v1/statements/${name}/${encodeURIComponent(tenant)}` },
    })),
  };
}

/** Of what the scope sees, and in which form: the hash of the close is over what others have, too. */
function etagOf(scope: TenantScope, { close, statements }: ListedPeriod, mediaType: string): string {
  const seen = scope.kind === 'all' ? (close?.hash ?? '') : hash('sha256', JSON.stringify(statements));
  return `"${mediaType === CSV ? hash('sha256', `${CSV}\n${seen}`) : seen}"`;
}
