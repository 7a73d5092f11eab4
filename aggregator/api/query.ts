/**
 * `GET|POST /api/v1/meters/{meter}/query`: usage of one meter by window and group. Quantities are decimal
 * strings, in JSON and in CSV alike.
 *
 * - With `limit`, or a cursor, an answer is a page in every form, and a header says where it goes on.
 * - JSON is whole otherwise: every row, or a problem that says what to do.
 * - CSV is whole where it is small and streamed where it is not; NDJSON is streamed. Either takes any number
 *   of rows, in constant memory, as fast as the caller reads. A fault on the way breaks the connection off
 *   before the answer's end: what came is right, and no HTTP client takes it for all of it.
 * - Minutes are made for the answer (`minutes/`) and are whole in every form: there are few of them.
 */
import { Readable } from 'node:stream';

import { z } from 'zod';

import type { MeterDefinition } from '../../core/metering/catalogue.ts';
import { WINDOW_SIZES } from '../../core/metering/windows.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { CSV, CSV_TYPE } from '../../core/runtime/csv.ts';
import { readCursor, refuseCursor, writeCursor, type Binding } from './endpoint/cursor.ts';
import { endpoint, refusal, type Answer, type Refusal } from './endpoint/endpoint.ts';
import { withParameters } from './endpoint/links.ts';
import { instantText, meter } from './endpoint/parameters.ts';
import type { RuleContext } from './endpoint/rules.ts';
import type { TenantScope } from './identity/access.ts';
import { AnswerTexts } from './usage/answer-texts.ts';
import { csvText, ndjson, rowJson, rowSchema, type Shown } from './usage/formats.ts';
import type { Minutes } from './minutes/minutes.ts';
import { MAX_GROUPS, UsageRows, type RowPlace } from './usage/rows.ts';
import {
  MAX_ROWS,
  planUsageQuery,
  usageBody,
  usageParameters,
  type UsageParameters,
  type UsageQuery,
} from './usage-query.ts';
import type { UsageReader } from './usage-reader.ts';
import { USAGE_RULES } from './usage-rules.ts';
import type { ReportRow } from './usage-report.ts';

export interface QueryDeps {
  readonly clock: Clock;
  readonly reader: UsageReader;
  readonly minutes: Minutes;
}

const usageSchema = z.strictObject({
  from: z.string().meta({ format: 'date-time' }),
  to: z.string().meta({ format: 'date-time' }),
  windowSize: z.enum(WINDOW_SIZES).optional(),
  windowTimeZone: z.string(),
  data: z.array(rowSchema),
  nextCursor: z.string().optional().meta({ description: 'For `cursor`, where there are more rows.' }),
});

type UsageJson = z.output<typeof usageSchema>;

const NDJSON = 'application/x-ndjson';
const ANY_NUMBER = 'Any number of rows; with `limit` a page.';

const declared = {
  path: '/api/v1/meters/{meter}/query',
  capability: 'usage',
  tag: 'usage',
  summary: 'Usage of one meter by window and group',
  params: z.strictObject({ meter }),
  answers: {
    200: {
      description: 'Rows by window, then by group: every one, or with `limit` a page.',
      json: usageSchema,
      media: {
        [CSV]: `The same rows, with a header; a value that there is not is empty. ${ANY_NUMBER}`,
        [NDJSON]: `The same rows, a JSON object a line. ${ANY_NUMBER}`,
      },
    },
  },
  problems: ['METER_UNKNOWN_METER', 'METER_RESULT_TOO_LARGE', 'METER_OVERLOADED'],
} as const;

const rules = USAGE_RULES.map(({ of, problem }) => ({
  of,
  problem: (given: UsageParameters, { deps: { clock, minutes } }: RuleContext<QueryDeps>) =>
    problem(given, { nowMs: clock.now(), maxMinutesMs: minutes.maxRangeMs }),
}));

export const QUERY_METER = endpoint({
  ...declared,
  method: 'GET',
  operationId: 'queryMeter',
  description: 'The range is cut into windows; their sum is the total of the range, in any time zone.',
  query: usageParameters,
  rules,
  answer: ({ params, query, scope, mediaType, url, signal }, deps: QueryDeps) =>
    answerQuery({ ...params, given: query, scope, mediaType, url, signal }, deps),
});

export const QUERY_METER_BY_POST = endpoint({
  ...declared,
  method: 'POST',
  operationId: 'queryMeterByPost',
  description: 'The same for filters that are too long for an address. Nothing is changed by it.',
  body: usageBody,
  rules,
  answer: ({ params, body, scope, mediaType, signal }, deps: QueryDeps) =>
    answerQuery({ ...params, given: body, scope, mediaType, url: undefined, signal }, deps),
});

/** Each lives with the figures that it tells. */
const TEXTS = new AnswerTexts();

interface AskedUsage {
  readonly meter: MeterDefinition;
  readonly given: UsageParameters;
  readonly scope: TenantScope;
  readonly mediaType: string;
  /** Where the address says all that is asked. */
  readonly url: string | undefined;
  readonly signal: AbortSignal;
}

async function answerQuery(asked: AskedUsage, deps: QueryDeps): Promise<Answer<UsageJson>> {
  const { clock, reader, minutes } = deps;
  const query = planUsageQuery(asked.given, clock.now());
  if (query.windowSize !== 'MINUTE') return await answerFrom(reader, asked, query);
  const { scope, meter: of, signal } = asked;
  return await minutes.answer({ ...query, scope, meter: of.name }, { reader, signal }, (made) =>
    answerFrom(made, asked, query),
  );
}

async function answerFrom(
  reader: UsageReader,
  asked: AskedUsage,
  query: UsageQuery,
): Promise<Answer<UsageJson>> {
  const { meter: of, scope, mediaType } = asked;
  const rows = await UsageRows.begin({ ...query, meter: of.name }, { scope, reader });
  const { groupBy, aggregation, unit } = query;
  const shown = { meter: of, groupBy, aggregation, unit };
  if (query.limit !== undefined) return await pageOf(asked, query, { rows, shown });
  if (query.windowSize === 'MINUTE') return await inPieces(asked, query, { rows, shown });
  if (mediaType === NDJSON) return await streamed(rows, NDJSON, (batch) => ndjson(shown, batch));
  const all = await rows.atMost(MAX_ROWS);
  if (mediaType === CSV) {
    if (all === undefined)
      return await streamed(rows, CSV_TYPE, (batch, isFirst) => csvText(shown, batch, isFirst));
    const content = TEXTS.textOf(all, [mediaType, of.name, unit], (made) => csvText(shown, made, true));
    return { content, mediaType: CSV_TYPE };
  }
  if (all === undefined) {
    const isTooLarge = aggregation === 'sum' || (await rows.areMoreThan(MAX_ROWS));
    return isTooLarge ? tooLarge() : await inPieces(asked, query, { rows, shown });
  }
  const form = [mediaType, of.name, unit, query.windowSize, query.windowTimeZone];
  return { content: TEXTS.textOf(all, form, (made) => JSON.stringify(jsonOf(query, shown, made))) };
}

interface Told {
  readonly rows: UsageRows;
  readonly shown: Shown;
}

/** All rows, which are made some at a time. */
async function inPieces(
  { mediaType }: AskedUsage,
  query: UsageQuery,
  { rows, shown }: Told,
): Promise<Answer<UsageJson>> {
  const all = await rows.page(undefined, MAX_ROWS);
  if (all === undefined) return tooManyGroups();
  if (all.more) {
    const detail = `More than ${MAX_ROWS} rows: shorten the range, group by less, or page by \`limit\`.`;
    return refusal('METER_RESULT_TOO_LARGE', { detail });
  }
  return textOf(mediaType, shown, all.rows) ?? { json: jsonOf(query, shown, all.rows) };
}

/** Undefined where they are to be JSON. */
function textOf(
  mediaType: string,
  shown: Shown,
  rows: readonly ReportRow[],
): { readonly content: string; readonly mediaType: string } | undefined {
  if (mediaType === NDJSON) return { content: ndjson(shown, rows), mediaType };
  return mediaType === CSV ? { content: csvText(shown, rows, true), mediaType: CSV_TYPE } : undefined;
}

async function pageOf(
  { meter: { name }, mediaType, url }: AskedUsage,
  query: UsageQuery,
  { rows, shown }: Told,
): Promise<Answer<UsageJson>> {
  const { limit = MAX_ROWS, cursor, windows: _, ...rest } = query;
  const binding: Binding = { operation: 'queryMeter', meter: name, ...rest };
  const after = cursor === undefined ? undefined : placeOf(readCursor(cursor, binding), query);
  if (cursor !== undefined && after === undefined) return refuseCursor('cursor');
  const page = await rows.page(after, limit);
  if (page === undefined) return tooManyGroups();
  const last = page.more ? page.rows.at(-1) : undefined;
  const nextCursor = last && writeCursor(placeText(last, query), binding);
  // A cursor is of a range: where it was left out, the next page is of the same one all the same.
  const range = { from: instantText(query.fromMs), to: instantText(query.toMs) };
  const links =
    nextCursor === undefined || url === undefined
      ? {}
      : { next: withParameters(url, { ...range, cursor: nextCursor }) };
  const told = textOf(mediaType, shown, page.rows) ?? {
    json: { ...jsonOf(query, shown, page.rows), ...(nextCursor !== undefined && { nextCursor }) },
  };
  return { ...told, links, nextCursor };
}

function placeText({ window, group }: ReportRow, { groupBy }: UsageQuery): string[] {
  return [String(window.startMs), ...groupBy.map((dimension) => group[dimension] ?? '')];
}

function placeOf(place: readonly string[] | undefined, { groupBy }: UsageQuery): RowPlace | undefined {
  const [start, ...values] = place ?? [];
  if (start === undefined || !/^\d{1,15}$/.test(start) || values.length !== groupBy.length) return undefined;
  const group = Object.fromEntries(groupBy.map((dimension, i) => [dimension, values[i] ?? '']));
  return { windowStartMs: Number(start), group };
}

/** What goes wrong before the first batch is a problem; what goes wrong later breaks off. */
async function streamed(
  rows: UsageRows,
  mediaType: string,
  text: (batch: readonly ReportRow[], isFirst: boolean) => string,
): Promise<Answer<UsageJson>> {
  const batches = await rows.batches();
  if (batches === undefined) return tooManyGroups();
  const first = await batches.next();
  const begin = text(first.done === true ? [] : first.value, true);
  async function* texts(): AsyncGenerator<string> {
    yield begin;
    if (batches !== undefined) for await (const batch of batches) yield text(batch, false);
  }
  // One text at a time: the next batch is read when the caller has taken this one.
  return { content: Readable.from(texts(), { objectMode: true, highWaterMark: 1 }), mediaType };
}

function tooLarge(): Refusal {
  const detail = `More than ${MAX_ROWS} rows: ask for pages by \`limit\`, or for CSV or NDJSON as a stream.`;
  return refusal('METER_RESULT_TOO_LARGE', { detail });
}

function tooManyGroups(): Refusal {
  const detail = `More than ${MAX_GROUPS} groups: filter, group by less, or ask for the \`top\` ones.`;
  return refusal('METER_RESULT_TOO_LARGE', { detail });
}

function jsonOf(query: UsageQuery, shown: Shown, rows: readonly ReportRow[]): UsageJson {
  return {
    from: instantText(query.fromMs),
    to: instantText(query.toMs),
    ...(query.windowSize !== undefined && { windowSize: query.windowSize }),
    windowTimeZone: query.windowTimeZone,
    data: rows.map((row) => rowJson(shown, row)),
  };
}
