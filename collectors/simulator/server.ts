import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { invariant, MeteringError } from '../../core/runtime/errors.ts';
import { Exposition } from './pages/exposition.ts';

const compress = promisify(gzip);

/** What a path gives: a page, or a target that does not answer just now, or nothing known. */
export type PageResult =
  { readonly kind: 'page'; readonly text: string } | { readonly kind: 'down' } | { readonly kind: 'unknown' };

export interface PageServerConfig {
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
}

/**
 * Pages over HTTP. Input: GET of a path; output: the page as it is now, gzip where it is accepted. A target
 * that is down answers 503, an unknown path 404. It holds no state; a crash loses nothing.
 */
export class PageServer {
  readonly #config: PageServerConfig;
  readonly #page: (path: string) => PageResult;
  readonly #server: Server;

  constructor(config: PageServerConfig, deps: { readonly page: (path: string) => PageResult }) {
    this.#config = config;
    this.#page = deps.page;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  async start(): Promise<void> {
    const { host, port } = this.#config;
    const listening = once(this.#server, 'listening');
    this.#server.listen(port, host);
    try {
      await listening;
    } catch (cause) {
      throw new MeteringError('METER_CONFIG_INVALID', `the simulator cannot listen on ${host}:${port}`, {
        cause,
      });
    }
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** Where it listens; only once it does. */
  get origin(): string {
    const address = this.#server.address();
    invariant(
      address !== null && typeof address !== 'string',
      'a server that listens on a port has an address',
    );
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `http://${host}:${address.port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET') {
      response.writeHead(405, { allow: 'GET' }).end();
      return;
    }
    const page = this.#page((request.url ?? '/').split('?', 1)[0] ?? '/');
    if (page.kind === 'unknown') response.writeHead(404).end('no such target\n');
    else if (page.kind === 'down') response.writeHead(503).end('the target is restarting\n');
    else await send(request, response, page.text);
  }
}

async function send(request: IncomingMessage, response: ServerResponse, page: string): Promise<void> {
  const headers = { 'content-type': Exposition.contentType, vary: 'accept-encoding' };
  const accepted = [request.headers['accept-encoding'] ?? ''].flat().join(',').split(',');
  if (!accepted.some((coding) => /^\s*(gzip|\*)\s*(;\s*q=(1(\.0*)?|0?\.\d*[1-9]\d*))?\s*$/i.test(coding))) {
    response.writeHead(200, { ...headers, 'content-length': Buffer.byteLength(page) }).end(page);
    return;
  }
  const body = await compress(page);
  response
    .writeHead(200, { ...headers, 'content-encoding': 'gzip', 'content-length': body.length })
    .end(body);
}
