/**
 * What every listener of the program has around its routes: limits, request ids, problems in one form, a fact
 * for each request, and, where reaching it is all that is asked, answers only to loopback names, so that no
 * page in a browser on the same machine reaches it under a name of its own.
 */
import { randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';

import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';

import type { FactSink } from '../../core/runtime/facts.ts';
import { countRequests, Leaving, routeOf } from '../../core/runtime/http.ts';
import { answerClientError } from './client-errors.ts';
import { isOurs, NOT_KEPT, sendProblem, troubleOf, type Trouble } from './problem.ts';

export interface FrameConfig {
  /** How long a request may take to arrive. */
  readonly requestTimeoutMs: number;
  /** How long an answer may take, and how long nothing of it may move once it has begun. */
  readonly answerTimeoutMs: number;
  readonly bodyBytes: number;
  readonly headerBytes: number;
  /** Who may say for whom a request comes (`x-forwarded-for`): addresses and networks. */
  readonly trustedProxies?: readonly string[];
}

export interface FrameDeps {
  readonly facts: FactSink;
  /** Whether it answers under loopback names only. */
  readonly isLocal: boolean;
}

export const LOOPBACK = '127.0.0.1';
const LOOPBACK_NAMES: readonly string[] = [LOOPBACK, 'localhost', '[::1]'];
const LOOPBACK_ADDRESSES: readonly string[] = [LOOPBACK, 'localhost', '::1'];

/** Ids that callers bring are kept if they cannot break a log line. */
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
/** W3C trace context: version, trace, parent and flags, in hexadecimal, and neither id all zeros. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

export function isLoopback(host: string): boolean {
  return LOOPBACK_ADDRESSES.includes(host);
}

export interface Frame {
  readonly app: FastifyInstance;
  readonly leaving: Leaving;
  /** For parts that handle by themselves what they have no route for. */
  readonly refuse: Refuse;
}

export function frame(config: FrameConfig, { facts, isLocal }: FrameDeps): Frame {
  const tell = (error: unknown, request: FastifyRequest): Trouble => {
    const trouble = troubleOf(error);
    if (trouble.code === 'METER_OVERLOADED') {
      facts.event('requestShed', { route: routeOf(request), reason: 'queries' });
    }
    if (isOurs(trouble)) facts.event('requestFailed', { route: routeOf(request), error });
    return trouble;
  };
  const fail = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const trouble = tell(error, request);
    return sendProblem(reply, trouble.code, trouble);
  };
  const app = fastify({
    logger: false,
    http: { maxHeaderSize: config.headerBytes },
    // What may stand in a path is said by its schema, as for all other parameters.
    routerOptions: { maxParamLength: config.headerBytes },
    bodyLimit: config.bodyBytes,
    requestTimeout: config.requestTimeoutMs,
    handlerTimeout: config.answerTimeoutMs,
    forceCloseConnections: 'idle',
    trustProxy: isLocal ? false : [...(config.trustedProxies ?? [])],
    clientErrorHandler: answerClientError,
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    frameworkErrors: (error, request, reply) => {
      fail(error, request, reply);
    },
  });
  // Bodies are JSON or nothing.
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler(fail);
  const refuse = refuserOf(app);
  app.setNotFoundHandler(refuse);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff');
    const { traceparent } = request.headers;
    if (typeof traceparent === 'string' && TRACEPARENT.test(traceparent)) {
      reply.header('traceparent', traceparent);
    }
    if (!isLocal) return undefined;
    if (LOOPBACK_NAMES.includes(request.host.replace(/:\d+$/, '').toLowerCase())) return undefined;
    facts.event('requestDenied', { route: routeOf(request), reason: 'foreign_host' });
    const detail = `This listener is for this machine: it answers only as ${LOOPBACK_NAMES.join(', ')}.`;
    return sendProblem(reply, 'METER_MISDIRECTED', { detail });
  });
  app.addHook('onSend', async (request, reply, payload) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', NOT_KEPT);
    cutOffStalled(reply, { afterMs: config.answerTimeoutMs, facts });
    // Too late for a problem: the framework breaks the connection off.
    if (payload instanceof Readable) payload.once('error', (error) => void tell(error, request));
  });
  countRequests(app, facts);
  return { app, leaving: new Leaving(app), refuse };
}

interface Patience {
  readonly afterMs: number;
  readonly facts: FactSink;
}

/** Who takes nothing of an answer for so long is not waited for: a socket starts anew with all that moves. */
function cutOffStalled(reply: FastifyReply, { afterMs, facts }: Patience): void {
  const { raw, request } = reply;
  // What tests inject has none.
  if (!(raw.socket instanceof Socket)) return;
  raw.socket.setTimeout(afterMs);
  raw.once('timeout', (socket: Socket) => {
    facts.event('requestShed', { route: routeOf(request), reason: 'stalled' });
    socket.destroy();
  });
}

type Refuse = (request: FastifyRequest, reply: FastifyReply) => FastifyReply;

/** For what no route takes: an address that is only read from, or one where nothing is. */
function refuserOf(app: FastifyInstance): Refuse {
  const readable = new Set<string>();
  app.addHook('onRoute', ({ method, url }) => {
    if ([method].flat().includes('GET')) readable.add(url);
  });
  return ({ method, url }, reply) => {
    const [path = ''] = url.split('?', 1);
    if (readable.has(path)) {
      const detail = 'What is metered is declared in Git; there is no call that changes it.';
      return sendProblem(reply, 'METER_METHOD_NOT_ALLOWED', { detail, allow: 'GET, HEAD' });
    }
    const detail = `No ${method} here. GET /api/v1/meters is a place to begin.`;
    return sendProblem(reply, 'METER_NOT_FOUND', { detail });
  };
}

function requestId(given: string | string[] | undefined): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}
