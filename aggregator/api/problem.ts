/**
 * What the API says when it does not answer: RFC 9457 problem details, with every problem of a request in
 * one go. `code` and the codes in `problems` are stable: programs decide by them, people read `detail`.
 */
import type { FastifyReply } from 'fastify';
import { z } from 'zod';

import { MeteringError } from '../../core/runtime/errors.ts';

/** What can be wrong with a parameter. */
export const REQUEST_PROBLEM_CODES = [
  'unknown_parameter',
  'missing_parameter',
  'repeated_parameter',
  'empty_value',
  'unknown_value',
  'too_many_values',
  'not_text',
  'wrong_type',
  'bad_format',
  'not_a_time',
  'off_grain',
  'out_of_bounds',
  'empty_range',
  'range_too_long',
  'too_many_windows',
  'unknown_window_size',
  'minutes_not_kept',
  'too_many_samples',
  'unknown_time_zone',
  'unknown_group',
  'unknown_meter',
  'not_an_object',
  'invalid_cursor',
  'conflicting_parameters',
] as const;

export type RequestProblemCode = (typeof REQUEST_PROBLEM_CODES)[number];

export function isRequestProblemCode(code: unknown): code is RequestProblemCode {
  return REQUEST_PROBLEM_CODES.some((known) => known === code);
}

/** One thing wrong with a request: which parameter, and what to do. */
export interface RequestProblem {
  readonly parameter: string;
  readonly code: RequestProblemCode;
  readonly detail: string;
}

interface ProblemKind {
  readonly status: number;
  readonly title: string;
}

/** The catalogue: every kind of answer that is not one. */
const KINDS = {
  METER_REQUEST_INVALID: { status: 400, title: 'The request is not valid' },
  METER_REQUEST_MALFORMED: { status: 400, title: 'The request cannot be read' },
  METER_UNAUTHENTICATED: { status: 401, title: 'Who asks is not known' },
  METER_FORBIDDEN: { status: 403, title: 'Who asks may not read this' },
  METER_NOT_FOUND: { status: 404, title: 'There is nothing at this address' },
  METER_UNKNOWN_METER: { status: 404, title: 'There is no such meter' },
  METER_METHOD_NOT_ALLOWED: { status: 405, title: 'The API only reads' },
  METER_NOT_ACCEPTABLE: { status: 406, title: 'No acceptable representation' },
  METER_REQUEST_TIMEOUT: { status: 408, title: 'The request came too slowly' },
  METER_CURSOR_GONE: { status: 410, title: 'The cursor is not of this ledger' },
  METER_BODY_TOO_LARGE: { status: 413, title: 'The request body is too large' },
  METER_RESULT_TOO_LARGE: { status: 413, title: 'The result is too large' },
  METER_MEDIA_TYPE_UNSUPPORTED: { status: 415, title: 'The body is of another type than JSON' },
  METER_MISDIRECTED: { status: 421, title: 'The request was meant for another host' },
  METER_TOO_MANY_REQUESTS: { status: 429, title: 'Requests come too fast' },
  METER_HEADERS_TOO_LARGE: { status: 431, title: 'The headers are too large' },
  METER_INTERNAL: { status: 500, title: 'A fault of ours' },
  METER_UNAVAILABLE: { status: 503, title: 'Usage cannot be read right now' },
  METER_IDENTITY_UNAVAILABLE: { status: 503, title: 'Nobody can be told apart right now' },
  METER_TIMEOUT: { status: 503, title: 'The answer took too long' },
  METER_OVERLOADED: { status: 503, title: 'There is too much to do right now' },
} as const satisfies Readonly<Record<string, ProblemKind>>;

export type ProblemCode = keyof typeof KINDS;

const CODES = Object.keys(KINDS) as [ProblemCode, ...ProblemCode[]];

/** What is sent. */
export const problemSchema = z.strictObject({
  type: z.string().meta({ format: 'uri', description: 'One per code.' }),
  title: z.string(),
  status: z.int(),
  detail: z.string().meta({ description: 'What to do, for a person.' }),
  instance: z.string().meta({ description: 'The address that was asked.' }),
  code: z.enum(CODES).meta({ description: 'Stable: programs decide by it.' }),
  requestId: z.string().meta({ description: 'Under which the log tells more.' }),
  problems: z
    .array(
      z.strictObject({
        parameter: z.string().meta({ description: 'Empty for the body as a whole.' }),
        code: z.enum(REQUEST_PROBLEM_CODES),
        detail: z.string(),
      }),
    )
    .optional()
    .meta({ description: 'Everything that is wrong with the parameters.' }),
});

export function problemKind<Code extends ProblemCode>(code: Code): (typeof KINDS)[Code] {
  return KINDS[code];
}

export interface ProblemOptions {
  readonly detail: string;
  readonly problems?: readonly RequestProblem[];
  /** Seconds after which the same request may succeed. */
  readonly retryAfterSeconds?: number;
  readonly allow?: string;
}

/** Some statuses may be kept by whoever likes, unless told otherwise: 404, 405, 410. */
export const NOT_KEPT = 'no-store';

export const PROBLEM_TYPE = 'application/problem+json';

/** Long enough for a store to come back, short enough for a person to wait. */
const RETRY_AFTER_SECONDS = 5;
/** Long enough for a line of queries to pass. */
const OVERLOADED_SECONDS = 2;

/** Answers with a problem; nothing of the figures asked for is sent beside it. */
export function sendProblem(reply: FastifyReply, code: ProblemCode, options: ProblemOptions): FastifyReply {
  if (options.retryAfterSeconds !== undefined) reply.header('retry-after', options.retryAfterSeconds);
  if (options.allow !== undefined) reply.header('allow', options.allow);
  const { url, id: requestId } = reply.request;
  // Serialized here: fastify would add a charset, which this media type does not have.
  return reply
    .code(KINDS[code].status)
    .type(PROBLEM_TYPE)
    .header('cache-control', NOT_KEPT)
    .send(Buffer.from(problemText(code, { ...options, instance: withoutToken(url), requestId })));
}

interface ProblemText extends Pick<ProblemOptions, 'detail' | 'problems'> {
  readonly instance: string;
  readonly requestId: string;
}

export function problemText(
  code: ProblemCode,
  { detail, instance, requestId, problems }: ProblemText,
): string {
  const { status, title } = KINDS[code];
  const type = `urn:gh0stmeter:problem:${code}`;
  const listed = problems !== undefined && { problems };
  return JSON.stringify({ type, title, status, detail, instance, code, requestId, ...listed });
}

/** A token has no place in an address; one that stands there all the same is not repeated. */
function withoutToken(url: string): string {
  return url.replace(/([?&](?:access|id|refresh)_token=)[^&]*/gi, '$1');
}

export interface Trouble extends ProblemOptions {
  readonly code: ProblemCode;
}

/** What a thrown error is to the one who asked. Texts of libraries and of the store stay in our log. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof MeteringError) return operatingTrouble(error);
  switch (frameworkCode(error)) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return {
        code: 'METER_BODY_TOO_LARGE',
        detail: 'Shorten the lists in the body or ask in several requests.',
      };
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return { code: 'METER_MEDIA_TYPE_UNSUPPORTED', detail: 'Send the body as application/json.' };
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return { code: 'METER_REQUEST_MALFORMED', detail: 'The body has to be one whole JSON object.' };
    case 'FST_ERR_BAD_URL':
      return { code: 'METER_REQUEST_MALFORMED', detail: 'The path is not well-formed: check its %-escapes.' };
    case 'FST_ERR_HANDLER_TIMEOUT':
      return { code: 'METER_TIMEOUT', detail: 'Ask for a shorter range, fewer groups or larger windows.' };
    case 'FST_ERR_ROUTE_MISSING_CONTENT_TYPE':
      return { code: 'METER_MEDIA_TYPE_UNSUPPORTED', detail: 'Send the body as application/json.' };
    case undefined:
    default:
      return { code: 'METER_INTERNAL', detail: 'The log tells more under this request id.' };
  }
}

/** True for what whoever runs the service has to look at: not the faults of a request, nor their number. */
export function isOurs({ code }: Trouble): boolean {
  return KINDS[code].status >= 500 && code !== 'METER_OVERLOADED';
}

function operatingTrouble(error: MeteringError): Trouble {
  switch (error.code) {
    case 'METER_QUERY_TIMEOUT':
    case 'METER_QUERY_LIMIT':
      return { code: 'METER_TIMEOUT', detail: 'Ask for a shorter range, fewer groups or larger windows.' };
    case 'METER_OVERLOADED':
      return {
        code: 'METER_OVERLOADED',
        detail: 'More is asked than can be answered in time; nothing was begun. Try again.',
        retryAfterSeconds: OVERLOADED_SECONDS,
      };
    case 'METER_STORE_UNAVAILABLE':
    case 'METER_STORE_BUSY':
    case 'METER_LOG_UNAVAILABLE':
      return {
        code: 'METER_UNAVAILABLE',
        detail: 'The store is away or busy; nothing is lost. Try again.',
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      };
    default:
      return { code: 'METER_INTERNAL', detail: 'The log tells more under this request id.' };
  }
}

function frameworkCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
