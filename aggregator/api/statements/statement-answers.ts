/**
 * `GET /api/v1/statements/{period}/{tenant}`: what one tenant is billed from. Of a closed period the bytes
 * that its close wrote, for ever; of an open one what there would be in it now, as JSON, and kept by nobody.
 */
import { z } from 'zod';

import { CSV, CSV_TYPE } from '../../../core/runtime/csv.ts';
import { endpoint, refusal, type Answer } from '../endpoint/endpoint.ts';
import { renderProvisional } from '../../ledger/statements/json.ts';
import type { StatementFormat } from '../../ledger/statements/render.ts';
import { IMMUTABLE, isKnown } from './caching.ts';
import { askedPeriod, type FoundStatement } from './periods-reader.ts';
import type { PeriodsDeps } from './period-answers.ts';

const JSON_TYPE = 'application/json';
/** `text/csv` is the plain table; the FOCUS extract is CSV, too, and has a name of its own. */
export const FOCUS_TYPE = 'application/vnd.gh0stcloud.focus+csv';
const PARQUET_TYPE = 'application/vnd.apache.parquet';

const FORMATS: Readonly<Record<string, StatementFormat>> = {
  [JSON_TYPE]: 'json',
  [CSV]: 'csv',
  [FOCUS_TYPE]: 'focus',
  [PARQUET_TYPE]: 'parquet',
};

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  [CSV]: CSV_TYPE,
  [FOCUS_TYPE]: `${FOCUS_TYPE}; charset=utf-8`,
};

/** What a statement is, docs/statements.md says; its bytes are not made here. */
const statementSchema = z.looseObject({ period: z.string(), tenant: z.string() });

type StatementAnswer = Answer<z.output<typeof statementSchema>>;

const NO_STATEMENT = 'There is no such statement, or none that may be read here.';

export const GET_STATEMENT = endpoint({
  method: 'GET',
  path: '/api/v1/statements/{period}/{tenant}',
  operationId: 'getStatement',
  capability: 'statements',
  tag: 'statements',
  summary: 'One statement',
  description:
    'Of a closed period: the bytes that the close wrote, or another form of them, with a strong tag; the ' +
    'tag of the JSON is the hash of the statement. Of an open period: `provisional`, JSON alone, and ' +
    'another one in a minute.',
  params: z.strictObject({ period: z.string(), tenant: z.string() }),
  answers: {
    200: {
      description: 'The statement.',
      json: statementSchema,
      media: {
        [CSV]: 'Lines, corrections, coverage and waivers in one table. Closed periods.',
        [FOCUS_TYPE]: 'An unpriced usage extract in the columns of FOCUS 1.2. Closed periods.',
        [PARQUET_TYPE]: { bytes: 'The table, typed. Closed periods.' },
      },
      headers: { etag: 'Of a closed period: strong, one for each form.' },
    },
    304: { description: 'It is what `if-none-match` names.' },
  },
  problems: ['METER_NOT_FOUND', 'METER_NOT_ACCEPTABLE'],
  answer: async (
    { params, scope, headers, mediaType },
    { periods }: PeriodsDeps,
  ): Promise<StatementAnswer> => {
    const period = askedPeriod(params.period);
    const format = FORMATS[mediaType] ?? 'json';
    const { tenant } = params;
    const found =
      period === undefined ? undefined : await periods.statement(scope, { period, tenant, format });
    if (found === undefined) return refusal('METER_NOT_FOUND', { detail: NO_STATEMENT });
    if (found.kind === 'closed') return await closedAnswer(found, { mediaType, headers });
    if (format !== 'json') {
      const detail = 'The period is not closed: what there is of it is provisional, and application/json.';
      return refusal('METER_NOT_ACCEPTABLE', { detail });
    }
    const body = renderProvisional(found.statement, found.state);
    return { content: body, mediaType: JSON_TYPE };
  },
});

async function closedAnswer(
  found: Extract<FoundStatement, { kind: 'closed' }>,
  { mediaType, headers }: { readonly mediaType: string; readonly headers: Parameters<typeof isKnown>[0] },
): Promise<StatementAnswer> {
  // The tag of the JSON is known without its bytes.
  if (mediaType === JSON_TYPE && isKnown(headers, found.etag))
    return { notModified: true, headers: { ...IMMUTABLE, etag: found.etag } };
  const { body, etag } = await found.take();
  if (isKnown(headers, etag)) return { notModified: true, headers: { ...IMMUTABLE, etag } };
  return { content: body, mediaType: CONTENT_TYPES[mediaType] ?? mediaType, headers: { ...IMMUTABLE, etag } };
}
