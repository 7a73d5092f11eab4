/**
 * What happens around every endpoint, in this order: the path has to name something (404), an acceptable
 * representation has to be there (406), parameters have to be valid (400, all problems at once); then the
 * endpoint answers, and nothing that it says is kept by anybody unless it says that it may be, and then only
 * for whoever asked.
 */
import { Readable } from 'node:stream';

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { CSV, CSV_TYPE } from '../../../core/runtime/csv.ts';
import { principalOf, scopeOf } from '../identity.ts';
import { NOT_KEPT, sendProblem, type RequestProblem } from '../problem.ts';
import { preferredType } from '../representation.ts';
import { inTime, type AnswerTime } from './answer-time.ts';
import { NEXT_CURSOR } from './completed.ts';
import { deprecationHeaders, deprecationLinks, type DeprecationNotice } from './deprecation.ts';
import type { Answer, Declaration, Endpoint } from './endpoint.ts';
import { linkHeader } from './links.ts';
import { QueryReader, readObject, type Reading } from './request.ts';
import { problemsOf } from './rules.ts';
import { csvOf, type Table } from './table.ts';

/** What all paths begin with; the plugin that asks who is there is registered under it. */
export const PREFIX = '/api';

export const JSON_TYPE = 'application/json';

/** Of two in one browser each has an answer of their own, though it may be kept for a year. */
const VARY = 'accept, authorization';

/** The framework's limit on a handler where there is one of our own: the longest that a timer takes. */
const NO_LIMIT_MS = 2 ** 31 - 1;

/** The time is that of endpoints that name none. */
export interface Serving extends AnswerTime {
  /** What a request's line and headers may take. */
  readonly headerBytes: number;
}

/** On an instance that is registered under the prefix. */
export function registerEndpoints<Deps>(
  app: FastifyInstance,
  endpoints: readonly Endpoint<Deps>[],
  deps: Deps,
  serving: Serving,
): void {
  const methods = new Map<string, Set<string>>();
  for (const one of endpoints) {
    const { method, path, capability } = one.declaration;
    const url = routePattern(path);
    methods.set(url, (methods.get(url) ?? new Set()).add(method));
    const config = { capability, declaration: one.declaration };
    const { answerTimeoutMs = serving.answerTimeoutMs } = one.declaration;
    const handler = responder(one, deps, { ...serving, answerTimeoutMs });
    app.route({ method, url, config, handlerTimeout: NO_LIMIT_MS, handler });
  }
  for (const [url, declared] of methods) refuseOthers(app, url, declared);
}

/** `/api/v1/meters/{meter}/query` is `/v1/meters/:meter/query` under the prefix. */
function routePattern(path: string): string {
  return path.slice(PREFIX.length).replaceAll(/\{(\w+)\}/g, ':$1');
}

/** There is something here, and this is no way to ask for it. */
function refuseOthers(app: FastifyInstance, url: string, declared: ReadonlySet<string>): void {
  const allowed = [...declared, ...(declared.has('GET') ? ['HEAD'] : [])].sort();
  const method = app.supportedMethods.filter((one) => !allowed.includes(one));
  const allow = allowed.join(', ');
  const detail = `What is metered is declared in Git, and read here by ${allow}.`;
  app.route({
    method,
    url,
    config: { capability: 'catalogue' },
    // Before a body is read: whatever it is, it is not what is wrong.
    onRequest: async (_request, reply) => sendProblem(reply, 'METER_METHOD_NOT_ALLOWED', { detail, allow }),
    handler: neverReached,
  });
}

/** A route has to have one. */
function neverReached(): never {
  throw new Error('a method that is not declared is refused before');
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

function responder<Deps>(endpoint: Endpoint<Deps>, deps: Deps, serving: Serving): Handler {
  const { declaration, rules, answer } = endpoint;
  const { params, query, body, deprecation } = declaration;
  const { table } = declaration.answers[200];
  const offered = offeredTypes(declaration);
  const queryReader = query && new QueryReader(query);
  return async (request, reply) => {
    const path = params === undefined ? NOTHING : readObject(params, request.params);
    if (!path.ok) return notFound(reply, path.problems);
    const mediaType = preferredType(request.headers.accept, offered);
    reply.header('vary', VARY);
    if (mediaType === undefined) {
      return sendProblem(reply, 'METER_NOT_ACCEPTABLE', { detail: `Accept ${offered.join(' or ')}.` });
    }
    const given = request.query as Readonly<Record<string, string | string[]>>;
    const asked = queryReader === undefined ? readNone(given) : queryReader.read(given);
    const content = body === undefined ? NOTHING : readObject(body, request.body);
    const who = { scope: scopeOf(request), principal: principalOf(request) };
    const problems = problemsOf([asked, content], rules, { deps, scope: who.scope });
    if (!asked.ok || !content.ok || problems.length > 0) return invalid(reply, problems);
    const { headers, url } = request;
    const values = { params: path.value, query: asked.value, body: content.value };
    const told = await inTime(serving, reply.raw, (signal) =>
      answer({ ...values, ...who, mediaType, headers, url, signal }, deps),
    );
    return send(reply, told, { mediaType, table, deprecation, headerBytes: serving.headerBytes });
  };
}

const NOTHING: Reading = { ok: true, value: {} };

/** The query string of an endpoint that takes none. */
function readNone(query: Readonly<Record<string, unknown>>): Reading {
  const problems = Object.keys(query).map((parameter) => ({
    parameter,
    code: 'unknown_parameter' as const,
    detail: 'Not known: no parameters are taken here in the address.',
  }));
  return problems.length === 0 ? NOTHING : { ok: false, problems, right: {}, wrong: [] };
}

function offeredTypes({ answers }: Declaration): readonly string[] {
  const { json, media = {} } = answers[200];
  return [...(json === undefined ? [] : [JSON_TYPE]), ...Object.keys(media)];
}

function notFound(reply: FastifyReply, problems: readonly RequestProblem[]): FastifyReply {
  const isMeter = problems.some(({ code }) => code === 'unknown_meter');
  const detail = problems.map((one) => one.detail).join(' ');
  return sendProblem(reply, isMeter ? 'METER_UNKNOWN_METER' : 'METER_NOT_FOUND', { detail });
}

function invalid(reply: FastifyReply, problems: readonly RequestProblem[]): FastifyReply {
  const detail = problems.map((one) => `${one.parameter}: ${one.detail}`).join(' ');
  return sendProblem(reply, 'METER_REQUEST_INVALID', { detail, problems });
}

interface Sending {
  readonly mediaType: string;
  readonly table: Table | undefined;
  readonly deprecation: DeprecationNotice | undefined;
  readonly headerBytes: number;
}

/** Of what a request's line and headers may take: a token and the rest beside the address. */
const ROOM_FOR_HEADERS = 4_096;
const NO_NEXT_ADDRESS =
  'There are more pages, and with its cursor the address of the next one is too long: ' +
  'filter by fewer values, or ask by POST where that can be.';

function send(reply: FastifyReply, answer: Answer, sending: Sending): FastifyReply {
  const { mediaType, table, deprecation, headerBytes } = sending;
  if (deprecation !== undefined) reply.headers(deprecationHeaders(deprecation));
  if ('problem' in answer) {
    const { problem, options } = answer;
    if (problem === 'METER_REQUEST_INVALID') return invalid(reply, options.problems ?? []);
    return sendProblem(reply, problem, options);
  }
  if ((answer.links?.['next'] ?? '').length > headerBytes - ROOM_FOR_HEADERS) {
    return sendProblem(reply, 'METER_HEADERS_TOO_LARGE', { detail: NO_NEXT_ADDRESS });
  }
  reply.header('cache-control', NOT_KEPT).headers({ ...answer.headers });
  const link = linkHeader({ ...answer.links, ...(deprecation && deprecationLinks(deprecation)) });
  if (link !== undefined) reply.header('link', link);
  if (answer.nextCursor !== undefined) reply.header(NEXT_CURSOR, answer.nextCursor);
  if ('notModified' in answer) return reply.code(304).send();
  if ('json' in answer) {
    if (mediaType !== CSV || table === undefined) return reply.send(answer.json);
    return reply.type(CSV_TYPE).send(csvOf(table, (answer.json as { readonly data: unknown[] }).data));
  }
  return reply.type(answer.mediaType ?? mediaType).send(contentFor(reply.request, answer.content));
}

type Content = string | Buffer | Readable;

/** The framework would read a stream to its end for nobody. */
function contentFor({ method }: FastifyRequest, content: Content): Content {
  if (method !== 'HEAD' || !(content instanceof Readable)) return content;
  content.destroy();
  return Readable.from([]);
}
