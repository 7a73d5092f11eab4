/** A collector's front door over OTLP/HTTP: keeps what is posted to it, unpacked. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';

export interface Posted {
  readonly path: string;
  readonly body: Buffer;
}

export class TraceCollector {
  readonly posted: Posted[] = [];
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => {
      const isZipped = request.headers['content-encoding'] === 'gzip';
      buffer(request).then(
        (raw) => {
          this.posted.push({ path: request.url ?? '', body: isZipped ? gunzipSync(raw) : raw });
          response.end();
        },
        () => response.destroy(),
      );
    });
  }

  static async start(): Promise<TraceCollector> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TraceCollector(server);
  }

  stop(): void {
    this.#server.close();
  }
}
