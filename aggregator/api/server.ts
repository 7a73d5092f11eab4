/**
 * The HTTP API as a part of the program. Input: requests. Output: usage, read from the store, or a problem.
 * Guarantee: it writes nothing, an answer is whole or not given, and a stop lets running requests end.
 * A crash loses the answers under way and nothing else.
 *
 * No issuer of tokens is configured, so nobody can be told apart: the API listens on the loopback address
 * only and answers only to its names. A page in a browser on the same machine cannot reach it under a name
 * of its own.
 */
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';

import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';

import type { Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { Part } from '../../core/runtime/lifecycle.ts';
import { registerHealth, type ReadinessCheck } from './health.ts';
import { registerMeters } from './meters.ts';
import { isOurs, sendProblem, troubleOf } from './problem.ts';
import { registerQuery } from './query.ts';
import type { UsageReader } from './usage-reader.ts';

export interface ApiConfig {
  /** 0 takes any free port. */
  readonly port: number;
  /** How long a request may take to arrive. */
  readonly requestTimeoutMs: number;
  /** How long an answer may take; above what the store is given for a query. */
  readonly answerTimeoutMs: number;
  readonly checkTimeoutMs: number;
}

export interface ApiDeps {
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly reader: UsageReader;
  readonly checks: readonly ReadinessCheck[];
  /** The Prometheus exposition; it carries every tenant, so it is never on a listener for tenants. */
  readonly metricsText: () => Promise<string>;
}

const LOOPBACK = '127.0.0.1';
const LOOPBACK_NAMES: readonly string[] = [LOOPBACK, 'localhost', '[::1]'];
const LOOPBACK_NOTICE = `no issuer is configured: the API listens on ${LOOPBACK} only and shows every tenant`;

/** A query's lists at their longest fit in well. */
const BODY_LIMIT_BYTES = 128 * 1024;
/** Ids that callers bring are kept if they cannot break a log line. */
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function createApi(config: ApiConfig, deps: ApiDeps): Api {
  return new Api(config, deps);
}

export class Api implements Part {
  readonly name = 'api';
  /** For plugins, and for tests to inject requests. */
  readonly app: FastifyInstance;
  readonly #config: ApiConfig;
  readonly #deps: ApiDeps;

  constructor(config: ApiConfig, deps: ApiDeps) {
    this.#config = config;
    this.#deps = deps;
    this.app = frame(config, deps);
    registerHealth(this.app, config, { ...deps, notices: [LOOPBACK_NOTICE] });
    registerMetrics(this.app, deps);
    registerMeters(this.app);
    registerQuery(this.app, deps);
  }

  /** Where it listens, once started. */
  get url(): string {
    const { port } = this.app.server.address() as AddressInfo;
    return `http://${LOOPBACK}:${port}`;
  }

  async start(): Promise<void> {
    const { port } = this.#config;
    try {
      await this.app.listen({ host: LOOPBACK, port });
    } catch (cause) {
      const advice = 'free the port or configure another one';
      throw new MeteringError(
        'METER_CONFIG_INVALID',
        `the API cannot listen on ${LOOPBACK}:${port}: ${advice}`,
        {
          cause,
        },
      );
    }
    this.#deps.facts.event('listening', { name: this.name, url: this.url });
    this.#deps.facts.event('notice', { text: LOOPBACK_NOTICE });
  }

  /** No new connections; requests under way get their answer. */
  async stop(): Promise<void> {
    await this.app.close();
  }
}

function frame(config: ApiConfig, { facts }: ApiDeps): FastifyInstance {
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
  app.setNotFoundHandler((request, reply) => refuse(request, reply));
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff');
    if (LOOPBACK_NAMES.includes(request.host.replace(/:\d+$/, '').toLowerCase())) return undefined;
    facts.event('requestDenied', { route: routeOf(request), reason: 'foreign_host' });
    const detail = `Without an issuer configured the API answers only as ${LOOPBACK_NAMES.join(', ')}.`;
    return sendProblem(reply, 'METER_MISDIRECTED', { detail });
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method } = request;
    const durationMs = reply.elapsedTime;
    facts.event('requestServed', { route: routeOf(request), method, status: reply.statusCode, durationMs });
  });
  return app;
}

function registerMetrics(app: FastifyInstance, { metricsText }: ApiDeps): void {
  app.get('/metrics', async (_request, reply) => reply.type(EXPOSITION_TYPE).send(await metricsText()));
}

function refuse(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'POST') {
    const detail = 'What is metered is declared in Git; there is no call that changes it.';
    return sendProblem(reply, 'METER_METHOD_NOT_ALLOWED', { detail, allow: 'GET, HEAD, POST' });
  }
  const detail = `No ${request.method} here. GET /api/v1/meters is a place to begin.`;
  return sendProblem(reply, 'METER_NOT_FOUND', { detail });
}

/** The pattern, not the path: paths would be as many time series as callers can think of. */
function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'unknown';
}

function requestId(given: string | string[] | undefined): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}
