/** What every listener of the program does alike: how it listens, what is told of requests, how it leaves. */
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { FastifyInstance, FastifyRequest } from 'fastify';

import { MeteringError } from './errors.ts';
import type { FactSink } from './facts.ts';
import { inTraceOf } from './telemetry-tracing.ts';

export interface Address {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
}

/** `what` is who wants to listen, for the person who has to free the port. */
export async function listen(app: FastifyInstance, { host, port }: Address, what: string): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const text = `${what} cannot listen on ${host}:${port}: free the port or configure another one`;
    throw new MeteringError('METER_CONFIG_INVALID', text, { cause });
  }
}

/** Where it listens, once started. */
export function urlOf(app: FastifyInstance): string {
  const { address, port, family } = app.server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** The pattern, not the path: paths would be as many time series as callers can think of. */
export function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'unknown';
}

/** When it was answered or whoever asked has gone: that is announced once, and may have been before this. */
export function onceClosed(response: ServerResponse, then: () => void): void {
  if (response.closed) then();
  else response.once('close', then);
}

/** A fact for each request that was answered, in the trace of whoever made it. */
export function countRequests(app: FastifyInstance, facts: FactSink): void {
  app.addHook('onResponse', async (request, reply) => {
    const { method } = request;
    const { statusCode: status, elapsedTime: durationMs } = reply;
    inTraceOf(request.headers, () => {
      facts.event('requestServed', { route: routeOf(request), method, status, durationMs });
    });
  });
}

/**
 * Says `connection: close` in every answer from the moment it leaves on: else a connection that is kept for
 * the next request would keep the stop waiting, too.
 */
export class Leaving {
  #hasBegun = false;

  constructor(app: FastifyInstance) {
    app.addHook('preClose', async () => this.begin());
    app.addHook('onSend', async (_request, reply) => {
      if (this.#hasBegun) reply.header('connection', 'close');
    });
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  begin(): void {
    this.#hasBegun = true;
  }
}
