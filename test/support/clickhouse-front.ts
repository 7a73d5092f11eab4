/**
 * chDB behind as much of ClickHouse's HTTP interface as the official client uses: the real engine answers,
 * only the server around it is ours. Every request gets a connection of its own, so settings and
 * parameters hold for one request, as they do on a server.
 *
 * Left out: sessions, progress headers, answers that fail half-way (an answer is complete before it is
 * sent, as with `wait_end_of_query`).
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gunzipSync, gzipSync } from 'node:zlib';
import { createChdbConnection, type ChdbConnection } from 'chdb/connection';
import { drainPending } from 'chdb';
import { stringLiteral } from '../../aggregator/store/clickhouse/literals.ts';

/** The server's own bound on a request line. */
const MAX_URI_BYTES = 1024 * 1024;
const AUTHENTICATION_FAILED = 516;

export interface FrontOptions {
  /** The engine's data directory. */
  readonly path: string;
  /** When given, requests without it are refused as a server would. */
  readonly password?: string;
  /** Default: any that is free. */
  readonly port?: number;
}

export interface ClickHouseFront {
  readonly url: string;
  close(): Promise<void>;
}

export async function startClickHouseFront(options: FrontOptions): Promise<ClickHouseFront> {
  // Held open so that the engine stays up between requests.
  const anchor = createChdbConnection({ path: options.path });
  const server = createServer({ maxHeaderSize: MAX_URI_BYTES }, (request, response) => {
    answer(options, request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => stop(server, anchor) };
}

async function stop(server: Server, anchor: ChdbConnection): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
  await anchor.close();
  await drainPending();
}

interface Statement {
  readonly sql: string;
  readonly data: Buffer;
  readonly parameters: ReadonlyMap<string, string>;
  readonly settings: ReadonlyMap<string, string>;
  readonly database: string | undefined;
  readonly gzip: boolean;
}

/** Parts of the URL that are neither settings nor parameters of the statement, or that only HTTP knows. */
const NOT_SETTINGS = new Set([
  'query',
  'query_id',
  'database',
  'session_id',
  'role',
  'default_format',
  'wait_end_of_query',
  'enable_http_compression',
]);

async function answer(
  options: FrontOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'http://front');
    if (url.pathname === '/ping') {
      response.end('Ok.\n');
      return;
    }
    if (!isAllowed(options, request)) {
      refuse(response, 'Authentication failed', AUTHENTICATION_FAILED);
      return;
    }
    const statement = await statementOf(url, request);
    const result = await execute(options.path, statement);
    response.setHeader('X-ClickHouse-Server-Display-Name', 'chdb');
    if (statement.gzip) response.setHeader('Content-Encoding', 'gzip');
    response.end(statement.gzip ? gzipSync(result) : result);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    refuse(response, message, Number(/Code: (\d+)\./.exec(message)?.[1] ?? 0));
  }
}

function isAllowed(options: FrontOptions, request: IncomingMessage): boolean {
  if (options.password === undefined) return true;
  const [, credentials = ''] = (request.headers.authorization ?? '').split(' ');
  return Buffer.from(credentials, 'base64').toString().endsWith(`:${options.password}`);
}

function refuse(response: ServerResponse, message: string, code: number): void {
  response.statusCode = code === AUTHENTICATION_FAILED ? 403 : 500;
  response.setHeader('X-ClickHouse-Exception-Code', String(code));
  const type = code === AUTHENTICATION_FAILED ? ' (AUTHENTICATION_FAILED)' : '';
  response.end(message.startsWith('Code:') ? message : `Code: ${code}. DB::Exception: ${message}.${type}`);
}

const MAX_FIELD_VALUE = 131_072;

async function statementOf(url: URL, request: IncomingMessage): Promise<Statement> {
  const arrived = await buffer(request);
  const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(arrived) : arrived;
  const fields = new Map(url.searchParams);
  const contentType = request.headers['content-type'] ?? '';
  const isForm = contentType.startsWith('multipart/form-data');
  if (isForm) for (const [name, value] of formOf(body, contentType)) fields.set(name, value);
  const query = fields.get('query');
  const parameters = new Map<string, string>();
  const settings = new Map<string, string>();
  for (const [name, value] of fields) {
    // `http_max_field_value_size`, as a server has it.
    if (value.length > MAX_FIELD_VALUE) throw new Error(`Field value too long: ${name}`);
    if (name.startsWith('param_')) parameters.set(name, value);
    else if (!NOT_SETTINGS.has(name)) settings.set(name, value);
  }
  return {
    sql: query ?? body.toString(),
    data: query === undefined || isForm ? Buffer.alloc(0) : body,
    parameters,
    settings,
    database: fields.get('database'),
    gzip: fields.get('enable_http_compression') === '1',
  };
}

/** The client writes every part as one header, an empty line and the value. */
function formOf(body: Buffer, contentType: string): [string, string][] {
  const boundary = /boundary=(.+)$/.exec(contentType)?.[1] ?? '';
  const parts = body.toString().split(`--${boundary}`).slice(1, -1);
  return parts.map((part) => {
    const [head = '', ...value] = part.split('\r\n\r\n');
    return [/name="([^"]+)"/.exec(head)?.[1] ?? '', value.join('\r\n\r\n').slice(0, -2)];
  });
}

async function execute(path: string, statement: Statement): Promise<Uint8Array> {
  const connection = createChdbConnection({ path });
  try {
    const assignments = [...statement.settings, ...statement.parameters];
    for (const [name, value] of assignments) {
      await connection.chdb.queryAsync(`SET ${name} = ${stringLiteral(value)}`);
    }
    if (statement.database !== undefined) await connection.chdb.queryAsync(`USE ${statement.database}`);
    if (statement.data.length > 0) return await insert(path, connection, statement);
    const result = await connection.chdb.queryAsync(statement.sql, { format: 'TabSeparated' });
    return result.bytes();
  } finally {
    await connection.close();
  }
}

/** chDB takes inline data as text only, so a body becomes a file, whatever its format. */
async function insert(path: string, connection: ChdbConnection, statement: Statement): Promise<Uint8Array> {
  const file = join(path, `front-${randomUUID()}`);
  try {
    await writeFile(file, statement.data);
    await connection.chdb.queryAsync(fromFile(statement.sql, stringLiteral(file)));
    return new Uint8Array(0);
  } finally {
    await rm(file, { force: true });
  }
}

/** The structure is the one literal after `input(`; a condition may follow, and the format ends it all. */
const FROM_INPUT = /^(INSERT INTO [^]*) FROM input\(('(?:[^'\\]|\\[^])*')\)([^]*) FORMAT (\w+)$/;

function fromFile(sql: string, file: string): string {
  const [, into, structure, condition = '', format] = FROM_INPUT.exec(sql) ?? [];
  if (into !== undefined && structure !== undefined && format !== undefined) {
    return `${into} FROM file(${file}, '${format}', ${structure})${condition}`;
  }
  const [, plainInto, plainFormat] = /^(INSERT INTO [^]*) FORMAT (\w+)\s*$/.exec(sql) ?? [];
  if (plainInto !== undefined && plainFormat !== undefined) {
    return `${plainInto} FROM INFILE ${file} FORMAT ${plainFormat}`;
  }
  throw new Error(`Code: 1002. DB::Exception: the front cannot insert with: ${sql}`);
}
