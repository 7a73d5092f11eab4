/**
 * What is turned away before it costs anything: all requests while the event loop is late (503), an address
 * that keeps sending no good token (429), an identity that asks too fast or too much at once (429). Who is
 * turned away is told when to come again. The operator of this machine has no rate.
 *
 * Health and the document have no limits, so whoever watches the API sees it under load as well.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import type { Clock } from '../../../core/runtime/clock.ts';
import type { EventLoopDelay } from '../../../core/runtime/event-loop.ts';
import type { FactFields, FactSink } from '../../../core/runtime/facts.ts';
import { principalOf } from '../identity.ts';
import { LOCAL_OPERATOR } from '../identity/identity.ts';
import { onceClosed, routeOf } from '../../../core/runtime/http.ts';
import { sendProblem } from '../problem.ts';
import type { LimitsConfig, RateConfig } from './config.ts';
import { TokenBuckets, type Allowance } from './token-buckets.ts';

export interface LimitsDeps {
  /** Of the real world, whatever time usage is measured in. */
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly eventLoop: Pick<EventLoopDelay, 'meanMs'>;
}

type Reason = FactFields<'requestShed'>['reason'];

const SOON_SECONDS = 1;

export class Limits {
  readonly #config: LimitsConfig;
  readonly #deps: LimitsDeps;
  readonly #members: TokenBuckets;
  readonly #readAll: TokenBuckets;
  readonly #denied: TokenBuckets;
  readonly #running = new Map<string, number>();

  constructor(config: LimitsConfig, deps: LimitsDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#members = new TokenBuckets(config.memberRate, deps);
    this.#readAll = new TokenBuckets(config.readAllRate, deps);
    this.#denied = new TokenBuckets(config.deniedRate, deps);
  }

  /** Before anybody is asked who they are. */
  registerBefore(app: FastifyInstance): void {
    app.addHook('onRequest', async (request, reply) => {
      if (this.#deps.eventLoop.meanMs > this.#config.eventLoopDelayMs) {
        return this.#shed(request, reply, 'event_loop');
      }
      const allowance = this.#denied.look(request.ip);
      return allowance.passes ? undefined : this.#tooMany(request, reply, { allowance, reason: 'address' });
    });
    app.addHook('onResponse', async (request, reply) => {
      if (reply.statusCode === 401) this.#denied.take(request.ip);
    });
  }

  /** Once it is known who asks. */
  registerAfter(app: FastifyInstance): void {
    app.addHook('onRequest', async (request, reply) => {
      // An address where nothing is, is nobody's.
      if (request.routeOptions.config.capability === undefined) return undefined;
      const { subject, grants } = principalOf(request);
      if (subject === LOCAL_OPERATOR.subject) return undefined;
      const isOfAll = grants.kind === 'all';
      const allowance = (isOfAll ? this.#readAll : this.#members).take(subject);
      const rate = isOfAll ? this.#config.readAllRate : this.#config.memberRate;
      reply.headers(rateHeaders(rate, allowance));
      if (!allowance.passes) return this.#tooMany(request, reply, { allowance, reason: 'rate' });
      const running = this.#running.get(subject) ?? 0;
      if (running >= this.#config.requestsPerIdentity) {
        const soon = { ...allowance, waitMs: SOON_SECONDS * 1000 };
        return this.#tooMany(request, reply, { allowance: soon, reason: 'at_once' });
      }
      this.#running.set(subject, running + 1);
      onceClosed(reply.raw, () => this.#ended(subject));
      return undefined;
    });
  }

  #ended(subject: string): void {
    const left = (this.#running.get(subject) ?? 1) - 1;
    if (left === 0) this.#running.delete(subject);
    else this.#running.set(subject, left);
  }

  #shed(request: FastifyRequest, reply: FastifyReply, reason: Reason): FastifyReply {
    this.#deps.facts.event('requestShed', { route: routeOf(request), reason });
    const detail = 'There is more to do than can be done in time; nothing was begun. Try again.';
    return sendProblem(reply, 'METER_OVERLOADED', { detail, retryAfterSeconds: SOON_SECONDS });
  }

  #tooMany(
    request: FastifyRequest,
    reply: FastifyReply,
    { allowance, reason }: { readonly allowance: Allowance; readonly reason: Reason },
  ): FastifyReply {
    this.#deps.facts.event('requestShed', { route: routeOf(request), reason });
    const detail =
      reason === 'at_once'
        ? `At most ${this.#config.requestsPerIdentity} requests at once. Wait for one to be answered.`
        : 'Requests come faster than they may. Wait as long as `retry-after` says.';
    const retryAfterSeconds = Math.max(1, Math.ceil(allowance.waitMs / 1000));
    return sendProblem(reply, 'METER_TOO_MANY_REQUESTS', { detail, retryAfterSeconds });
  }
}

/** As the IETF draft on rate limit fields has them: the policy, and what is left of it. */
function rateHeaders({ burst, perSecond }: RateConfig, { remaining, waitMs }: Allowance) {
  const windowSeconds = Math.max(1, Math.ceil(burst / perSecond));
  return {
    'ratelimit-policy': `"identity";q=${burst};w=${windowSeconds}`,
    ratelimit: `"identity";r=${remaining};t=${Math.ceil(waitMs / 1000)}`,
  };
}
