import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';

export type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** A real HTTP server to scrape; what it answers can be changed at any time. */
export class ScrapeTargetServer {
  answer: Answer;
  readonly requests: http.IncomingMessage[] = [];
  /** Connections ever opened: fewer than requests where they are kept open. */
  connections = 0;
  private readonly server: http.Server;
  private readonly scheme: string;

  constructor(answer: Answer, tls?: https.ServerOptions) {
    this.answer = answer;
    const handle: Answer = (request, response) => {
      this.requests.push(request);
      this.answer(request, response);
    };
    this.server = tls === undefined ? http.createServer(handle) : https.createServer(tls, handle);
    this.server.on(tls === undefined ? 'connection' : 'secureConnection', () => this.connections++);
    this.scheme = tls === undefined ? 'http' : 'https';
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${this.port}/metrics`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export function text(body: string, contentType = 'text/plain; version=0.0.4'): Answer {
  return (_, response) => response.setHeader('content-type', contentType).end(body);
}
