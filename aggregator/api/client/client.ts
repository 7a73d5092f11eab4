/**
 * A client of the metering API: calls by name, with types generated from the OpenAPI document
 * (`operations.generated.ts`). It imports nothing of the server, so this folder can be taken as it is.
 *
 *     const client = new MeteringClient({ baseUrl: 'https://metering.example', token: () => accessToken });
 *     const asked = { params: { meter: 'cpu' }, query: { tenant: ['acme'] } };
 *     const { json } = await client.call('queryMeter', asked);
 *
 * An answer of 200 or 304 is given back; any other is a `MeteringProblem` with the code to decide by.
 */
import { OPERATIONS, type Operations, type Problem } from './operations.generated.ts';

export type OperationId = keyof Operations;

export interface ClientConfig {
  readonly baseUrl: string;
  /** Asked before each call; undefined where the API asks for none. */
  readonly token?: () => Promise<string> | string;
  readonly fetch?: typeof fetch;
}

type Input<Id extends OperationId> = Operations[Id]['input'];

/** What no call needs. */
export interface CallOptions {
  /** Media type of the answer; JSON unless told. */
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface Told<Json> {
  readonly status: number;
  readonly headers: Headers;
  /** The body where it is JSON. */
  readonly json: Json;
  /** The body as it came where it is anything else, or not modified. */
  readonly text: string;
  /** Address of the next page, from `Link`. */
  readonly next: string | undefined;
}

/** An answer that is none. */
export class MeteringProblem extends Error {
  readonly problem: Problem;
  readonly retryAfterSeconds: number | undefined;

  constructor(problem: Problem, retryAfterSeconds: number | undefined) {
    super(`${problem.code}: ${problem.detail}`);
    this.name = 'MeteringProblem';
    this.problem = problem;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

type Scalar = string | number | boolean;

interface Given {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

export class MeteringClient {
  readonly #config: ClientConfig;

  constructor(config: ClientConfig) {
    this.#config = config;
  }

  async call<Id extends OperationId>(
    id: Id,
    input: Input<Id>,
    options: CallOptions = {},
  ): Promise<Told<Operations[Id]['json']>> {
    const { method, path } = OPERATIONS[id];
    const { params = {}, query = {}, body } = input as Given;
    const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
    return await this.#send(`${url}${queryText(query)}`, method, { body, options });
  }

  /** Follows `next` of an answer of the same operation. */
  async follow<Id extends OperationId>(
    _id: Id,
    next: string,
    options: CallOptions = {},
  ): Promise<Told<Operations[Id]['json']>> {
    return await this.#send(next, 'GET', { options });
  }

  async #send<Json>(
    target: string,
    method: string,
    { body, options }: { readonly body?: unknown; readonly options: CallOptions },
  ): Promise<Told<Json>> {
    const { baseUrl, token, fetch: send = fetch } = this.#config;
    const headers = new Headers({ accept: options.accept ?? 'application/json', ...options.headers });
    if (token !== undefined) headers.set('authorization', `Bearer ${await token()}`);
    if (body !== undefined) headers.set('content-type', 'application/json');
    const response = await send(new URL(target, baseUrl), {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(options.signal !== undefined && { signal: options.signal }),
    });
    const text = await response.text();
    if (!response.ok && response.status !== 304) throw problemOf(response, text);
    const isJson = /^application\/json\b/.test(response.headers.get('content-type') ?? '');
    // What the document promises; the API's tests hold every answer to it.
    const json = (isJson ? JSON.parse(text) : undefined) as Json;
    return { status: response.status, headers: response.headers, json, text, next: nextOf(response.headers) };
  }
}

/** A list is repeated: `tenant=a&tenant=b`. */
function queryText(query: Readonly<Record<string, unknown>>): string {
  const all = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? (value as Scalar[]) : [value as Scalar | undefined])
      .filter((one) => one !== undefined)
      .map((one): [string, string] => [name, String(one)]),
  );
  return all.length === 0 ? '' : `?${new URLSearchParams(all).toString()}`;
}

/** Whatever stands between may answer with anything. */
function problemOf({ status, headers }: Response, text: string): MeteringProblem {
  const given = headers.get('retry-after');
  const retryAfterSeconds = given === null ? undefined : Number(given);
  if (headers.get('content-type') === 'application/problem+json') {
    return new MeteringProblem(JSON.parse(text) as Problem, retryAfterSeconds);
  }
  const stranger = { title: 'No answer of the metering API', status, detail: text.slice(0, 200) };
  const known = { type: 'about:blank', instance: '', code: 'METER_INTERNAL', requestId: '' } as const;
  return new MeteringProblem({ ...known, ...stranger }, retryAfterSeconds);
}

function nextOf(headers: Headers): string | undefined {
  return /<([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1];
}
