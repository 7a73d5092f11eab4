/**
 * What every listener of the program has around its routes: limits, request ids, problems in one form, a fact
 * for each request, and, where reaching it is all that is asked, answers only to loopback names, so that no
 * page in a browser on the same machine reaches it under a name of its own.
 */
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';

import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';

import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { isOurs, routeOf, sendProblem, troubleOf } from './problem.ts';

export interface FrameConfig {
  /** How long a request may take to arrive. */
  readonly requestTimeoutMs: number;
  /** How long an answer may take; above what the store is given for a query. */
  readonly answerTimeoutMs: number;
}

export interface FrameDeps {
  readonly facts: FactSink;
  /** Whether it answers under loopback names only. */
  readonly isLocal: boolean;
}

export const LOOPBACK = '127.0.0.1';
const LOOPBACK_NAMES: readonly string[] = [LOOPBACK, 'localhost', '[::1]'];
const LOOPBACK_ADDRESSES: readonly string[] = [LOOPBACK, 'localhost', '::1'];

/** A query's lists at their longest fit in well. */
const BODY_LIMIT_BYTES = 128 * 1024;
/** Ids that callers bring are kept if they cannot break a log line. */
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

export function isLoopback(host: string): boolean {
  return LOOPBACK_ADDRESSES.includes(host);
}

export function frame(config: FrameConfig, { facts, isLocal }: FrameDeps): FastifyInstance {
  const fail = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const trouble = troubleOf(error);
    if (isOurs(trouble)) facts.event('requestFailed', { route: routeOf(request), error });
    return sendProblem(reply, trouble.code, trouble);
  };
  const app = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: config.requestTimeoutMs,
    handlerTimeout: config.answerTimeoutMs,
    forceCloseConnections: 'idle',
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    frameworkErrors: (error, request, reply) => {
      fail(error, request, reply);
    },
  });
  app.setErrorHandler(fail);
  app.setNotFoundHandler(refuse);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff');
    if (!isLocal) return undefined;
    if (LOOPBACK_NAMES.includes(request.host.replace(/:\d+$/, '').toLowerCase())) return undefined;
    facts.event('requestDenied', { route: routeOf(request), reason: 'foreign_host' });
    const detail = `This listener is for this machine: it answers only as ${LOOPBACK_NAMES.join(', ')}.`;
    return sendProblem(reply, 'METER_MISDIRECTED', { detail });
  });
  // Else a connection that is kept for the next request would keep a stop waiting.
  let isStopping = false;
  app.addHook('preClose', async () => {
    isStopping = true;
  });
  app.addHook('onSend', async (_request, reply) => {
    if (isStopping) reply.header('connection', 'close');
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method } = request;
    const durationMs = reply.elapsedTime;
    facts.event('requestServed', { route: routeOf(request), method, status: reply.statusCode, durationMs });
  });
  return app;
}

/** Where nothing is: what there would be, or that nothing can be changed. */
export function refuse(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'POST') {
    const detail = 'What is metered is declared in Git; there is no call that changes it.';
    return sendProblem(reply, 'METER_METHOD_NOT_ALLOWED', { detail, allow: 'GET, HEAD, POST' });
  }
  const detail = `No ${request.method} here. GET /api/v1/meters is a place to begin.`;
  return sendProblem(reply, 'METER_NOT_FOUND', { detail });
}

export interface Address {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
}

export async function listen(app: FastifyInstance, { host, port }: Address): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const what = `the API cannot listen on ${host}:${port}: free the port or configure another one`;
    throw new MeteringError('METER_CONFIG_INVALID', what, { cause });
  }
}

/** Where it listens, once started. */
export function urlOf(app: FastifyInstance, host: string): string {
  const { port } = app.server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function requestId(given: string | string[] | undefined): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}
