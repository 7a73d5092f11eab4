/**
 * One declaration per endpoint: what it is asked with, what it answers, what it gives and to whom. The same
 * zod schemas check requests and stand in the OpenAPI document, so what is documented is what is done.
 *
 * How to add an endpoint:
 * 1. In a file of its own: `export const LIST_PERIODS = endpoint({ method, path, operationId, capability,
 *    summary, description, params, query or body, rules, answers, problems, answer })`; `meters.ts` is the
 *    smallest one, `query.ts` shows parameters, CSV and a POST twin. Schemas of parameters that several
 *    endpoints share stand in `endpoint/parameters.ts`.
 * 2. Add it to `ENDPOINTS` in `endpoints.ts`. What its `answer` needs it names as the type of its second
 *    parameter; a new need (a reader) is added to `EndpointDeps` there and handed in by `listeners.ts`.
 * 3. Hand `asked.scope` to whatever reads: it says whose rows may be read (`identity/access.ts`).
 * 4. `npm run generate` writes `docs/reference/openapi.json`.
 *
 * Everything else is done by the frame around it (`register.ts`): who asks and whether they may, `Accept`,
 * every problem of the parameters at once, unknown parameters, 404, 405, caching, the form of problems, and
 * CSV of lists: `data` in the schema of an answer is enough.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';

import type { z } from 'zod';

import type { Capability, Principal, TenantScope } from '../identity/access.ts';
import type { ProblemCode, ProblemOptions } from '../problem.ts';
import { completed } from './completed.ts';
import type { DeprecationNotice } from './deprecation.ts';
import type { Links } from './links.ts';
import type { Rule } from './rules.ts';
import type { Table } from './table.ts';

export type Method = 'GET' | 'POST';

/** Of an object, parameters by name: what goes in is text or JSON, what comes out is the endpoint's. */
export type Schema<Value> = z.ZodType<Value>;

/** What a media type holds, in words: text, unless it says bytes. */
export type Media = string | { readonly bytes: string };

/** One kind of answer: a status with what comes with it. */
export interface AnswerDeclaration<Json = unknown> {
  readonly description: string;
  /** Absent where there is none. Strict objects, so that tests find what is not declared. */
  readonly json?: z.ZodType<Json>;
  /** Other media types, offered after JSON in this order, and what each holds. */
  readonly media?: Readonly<Record<string, Media>>;
  /** Headers of its own, and what they say. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of a list of flat rows; it follows from `json`, and the frame makes CSV by it (`completed.ts`). */
  readonly table?: Table;
}

export interface Declaration<Params = unknown, Query = unknown, Body = unknown, Json = unknown> {
  readonly method: Method;
  /** With parameters in braces: `/api/v1/meters/{meter}/query`. */
  readonly path: string;
  /** Unique; the name of the call in the client. */
  readonly operationId: string;
  /** What it gives; asked for before anything else of a request is read. */
  readonly capability: Capability;
  readonly tag: string;
  readonly summary: string;
  /** CommonMark. */
  readonly description: string;
  /** Of the path. One that does not fit is 404. */
  readonly params?: Schema<Params>;
  /** Of the query string: text, numbers, or lists of them (`a=1&a=2`). */
  readonly query?: Schema<Query>;
  /** A JSON object. */
  readonly body?: Schema<Body>;
  readonly answers: {
    readonly 200: AnswerDeclaration<Json>;
    /** For `If-None-Match`. */
    readonly 304?: AnswerDeclaration;
  };
  /** Problems of its own; those of the frame need not be named. */
  readonly problems: readonly ProblemCode[];
  /** Where it is on its way out. */
  readonly deprecation?: DeprecationNotice;
  /** How long its answer may take, where that is another time than the frame's. */
  readonly answerTimeoutMs?: number;
}

/** A request that is known, allowed and valid. */
export interface Asked<Params = unknown, Query = unknown, Body = unknown> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Whose rows may be read. */
  readonly scope: TenantScope;
  readonly principal: Principal;
  /** The media type that the caller prefers among those that are offered. */
  readonly mediaType: string;
  readonly headers: IncomingHttpHeaders;
  /** The address as it was asked, from the path on: for links to more of it. */
  readonly url: string;
  /** Aborted when the time for the answer is over or whoever asked has gone. */
  readonly signal: AbortSignal;
}

interface Headed {
  /** `cache-control: no-store` unless it says otherwise. */
  readonly headers?: Readonly<Record<string, string>>;
  /** By relation: `next`, `self`, `describedby` (see `links.ts`; cursors of `next` in `cursor.ts`). */
  readonly links?: Links;
  /** Where it goes on, told in a header: not every form has a place for it, nor every question an address. */
  readonly nextCursor?: string | undefined;
}

export type Answer<Json = unknown> =
  | (Headed & { readonly json: Json })
  /** In the media type asked for, or the one named. */
  | (Headed & { readonly content: string | Buffer | Readable; readonly mediaType?: string })
  | (Headed & { readonly notModified: true })
  | Refusal;

/** An answer that is a problem. */
export interface Refusal {
  readonly problem: ProblemCode;
  readonly options: ProblemOptions;
}

export function refusal(problem: ProblemCode, options: ProblemOptions): Refusal {
  return { problem, options };
}

/** A declaration with what answers it, for which `Deps` are needed. */
export interface Endpoint<Deps> {
  readonly declaration: Declaration;
  readonly rules: readonly Rule<never, Deps>[];
  readonly answer: (asked: Asked, deps: Deps) => Promise<Answer> | Answer;
}

type Answering<Params, Query, Body, Json, Deps> = Declaration<Params, Query, Body, Json> & {
  /** What its parameters have to be together. */
  readonly rules?: readonly Rule<Query & Body, Deps>[];
  readonly answer: (
    asked: Asked<Params, Query, Body>,
    deps: Deps,
  ) => Promise<Answer<NoInfer<Json>>> | Answer<NoInfer<Json>>;
};

export function endpoint<Params, Query, Body, Json, Deps>({
  answer,
  rules = [],
  ...declaration
}: Answering<Params, Query, Body, Json, Deps>): Endpoint<Deps> {
  // What the schemas of the declaration gave is what its answer takes: nobody else calls it.
  const answers = { ...declaration.answers, 200: completed(declaration.answers[200]) };
  return {
    declaration: { ...declaration, answers },
    rules,
    answer: (asked, deps) => answer(asked as Asked<Params, Query, Body>, deps),
  };
}
