/**
 * A client of the metering API: calls by name, with types generated from the OpenAPI document
 * (`operations.generated.ts`). It imports nothing of the server, so this folder can be taken as it is.
 *
 *     const client = new MeteringClient({ baseUrl: 'https://metering.example', token: () => accessToken });
 *     const asked = { params: { meter: 'cpu' }, query: { tenant: ['acme'] } };
 *     const { json } = await client.call('queryMeter', asked);
 *
 * In another form (`accept`) the body is `text`, or `bytes` where the document says that it is no text.
 * A page says where it goes on by `next`, an address to follow, and by `nextCursor`.
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

const JSON_TYPE = 'application/json';
type JsonType = typeof JSON_TYPE;

/** What an operation answers in. */
export type MediaType<Id extends OperationId> = JsonType | (keyof Operations[Id]['media'] & string);

type IsBytes<Id extends OperationId, Accept> = Accept extends keyof Operations[Id]['media']
  ? Operations[Id]['media'][Accept] extends Uint8Array
    ? true
    : false
  : false;

/** What no call needs. */
export interface CallOptions<Accept extends string = JsonType> {
  /** Media type of the answer; JSON unless told. */
  readonly accept?: Accept;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface Told<Id extends OperationId, Accept extends MediaType<Id> = JsonType> {
  readonly status: number;
  readonly headers: Headers;
  /** The body where JSON was asked for. */
  readonly json: Accept extends JsonType ? Operations[Id]['json'] : undefined;
  /** The body as it came where it is text; empty where nothing was modified. */
  readonly text: IsBytes<Id, Accept> extends true ? undefined : string;
  /** The body of a media type that is no text. */
  readonly bytes: IsBytes<Id, Accept> extends true ? Uint8Array : undefined;
  /** Address of the next page, from `Link`. */
  readonly next: string | undefined;
  /** Cursor of the next page, whatever form this one has: for whoever asked by POST. */
  readonly nextCursor: string | undefined;
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

  async call<Id extends OperationId, Accept extends MediaType<Id> = JsonType>(
    id: Id,
    input: Input<Id>,
    options: CallOptions<Accept> = {},
  ): Promise<Told<Id, Accept>> {
    const { method, path } = OPERATIONS[id];
    const { params = {}, query = {}, body } = input as Given;
    const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
    return await this.#send(id, `${url}${queryText(query)}`, { method, body, options });
  }

  /** Follows `next` of an answer of the same operation. */
  async follow<Id extends OperationId, Accept extends MediaType<Id> = JsonType>(
    id: Id,
    next: string,
    options: CallOptions<Accept> = {},
  ): Promise<Told<Id, Accept>> {
    return await this.#send(id, next, { method: 'GET', options });
  }

  async #send<Id extends OperationId, Accept extends MediaType<Id>>(
    id: Id,
    target: string,
    { method, body, options }: Sending<Accept>,
  ): Promise<Told<Id, Accept>> {
    const { baseUrl, token, fetch: send = fetch } = this.#config;
    const headers = new Headers({ accept: options.accept ?? JSON_TYPE, ...options.headers });
    if (token !== undefined) headers.set('authorization', `Bearer ${await token()}`);
    if (body !== undefined) headers.set('content-type', 'application/json');
    const response = await send(new URL(target, baseUrl), {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(options.signal !== undefined && { signal: options.signal }),
    });
    if (!response.ok && response.status !== 304) throw problemOf(response, await response.text());
    const type = typeOf(response);
    const inBytes: readonly string[] = OPERATIONS[id].bytes;
    // What has not changed comes without a type: it is as empty as it was asked for.
    const isBytes = inBytes.includes(response.status === 304 ? (options.accept ?? JSON_TYPE) : type);
    const bytes = isBytes ? new Uint8Array(await response.arrayBuffer()) : undefined;
    const text = isBytes ? undefined : await response.text();
    const json: unknown = type === JSON_TYPE ? JSON.parse(text ?? '') : undefined;
    const { status, headers: told } = response;
    const next = { next: nextOf(told), nextCursor: told.get('next-cursor') ?? undefined };
    // What the document promises; the API's tests hold every answer to it.
    return { status, headers: told, json, text, bytes, ...next } as Told<Id, Accept>;
  }
}

interface Sending<Accept extends string> {
  readonly method: string;
  readonly body?: unknown;
  readonly options: CallOptions<Accept>;
}

/** Without its parameters. */
function typeOf({ headers }: Response): string {
  return (headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
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
