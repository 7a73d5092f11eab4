/**
 * Identity as routes see it. Every route behind it names the capability that it gives; before anything else
 * of a request is read, whoever sent it is known and allowed that, or gets 401, 403 or 503. A route that
 * names none is a bug that no start survives, so nothing is open because somebody forgot.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { invariant } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { Declaration } from './endpoint/endpoint.ts';
import { scopeFor, type Capability, type Principal, type TenantScope } from './identity/access.ts';
import type { Authentication, Identity } from './identity/identity.ts';
import { routeOf } from '../../core/runtime/http.ts';
import { sendProblem } from './problem.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a route gives; asked for wherever identity is. */
    readonly capability?: Capability;
    /** Of an endpoint: what its document says of it. */
    readonly declaration?: Declaration;
  }
}

export interface IdentityDeps {
  readonly identity: Identity;
  readonly facts: FactSink;
}

interface Admitted {
  readonly principal: Principal;
  readonly scope: TenantScope;
}

/** Where a request carries it. */
const ADMITTED = 'admitted';

/** Whose rows this request may read, for the capability of its route. */
export function scopeOf(request: FastifyRequest): TenantScope {
  return admission(request).scope;
}

/** Who sent this request. */
export function principalOf(request: FastifyRequest): Principal {
  return admission(request).principal;
}

function admission(request: FastifyRequest): Admitted {
  const found = request.getDecorator<Admitted | null>(ADMITTED);
  invariant(found !== null, 'a route reads for nobody: it was let through unknown');
  return found;
}

/** Guards every route registered on `app` after it; an encapsulated plugin's, so nothing outside. */
export function registerIdentity(app: FastifyInstance, deps: IdentityDeps): void {
  app.decorateRequest(ADMITTED, null);
  app.addHook('onRoute', ({ config, url }) => {
    invariant(config?.capability !== undefined, `the route ${url} does not say what it gives`);
  });
  app.addHook('onRequest', async (request, reply) => {
    const authentication = await deps.identity.authenticate(request.raw.rawHeaders);
    if (authentication.kind !== 'known') return refuse(request, reply, { authentication, ...deps });
    const { capability } = request.routeOptions.config;
    // An address where nothing is: known who asks, so they are told.
    if (capability === undefined) return undefined;
    const { principal } = authentication;
    const scope = scopeFor(principal, capability);
    if (scope === undefined) return forbid(request, reply, { capability, ...deps });
    request.setDecorator<Admitted | null>(ADMITTED, { principal, scope });
    return undefined;
  });
}

interface Refusal {
  readonly authentication: Exclude<Authentication, { kind: 'known' }>;
  readonly facts: FactSink;
}

const REALM = 'Bearer realm="metering"';

function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  { authentication, facts }: Refusal,
): FastifyReply {
  if (authentication.kind === 'unavailable') {
    facts.event('requestDenied', { route: routeOf(request), reason: 'issuer_unavailable' });
    return sendProblem(reply, 'METER_IDENTITY_UNAVAILABLE', {
      detail: 'Tokens cannot be checked right now, so nobody is told anything. Try again.',
      retryAfterSeconds: Math.max(1, Math.ceil(authentication.retryAfterMs / 1000)),
    });
  }
  const { reason } = authentication;
  facts.event('requestDenied', { route: routeOf(request), reason });
  const { challenge, detail } = challengeFor(reason);
  reply.header('www-authenticate', challenge);
  return sendProblem(reply, 'METER_UNAUTHENTICATED', { detail });
}

/** Says what an honest caller can mend and nothing that would help to forge: RFC 6750, section 3. */
function challengeFor(reason: Extract<Authentication, { kind: 'refused' }>['reason']): {
  readonly challenge: string;
  readonly detail: string;
} {
  switch (reason) {
    case 'no_credentials':
    case 'other_scheme':
      return { challenge: REALM, detail: 'Send an access token: `Authorization: Bearer ...`.' };
    case 'several_credentials':
    case 'malformed_credentials':
    case 'token_too_large':
      return withError('invalid_request', 'One bearer token is taken, signed, and of a bounded length.');
    case 'expired':
      return withError('invalid_token', 'The access token has expired.');
    default:
      return withError('invalid_token', 'The access token is not accepted here.');
  }
}

function withError(error: string, detail: string): { readonly challenge: string; readonly detail: string } {
  return { challenge: `${REALM}, error="${error}", error_description="${detail}"`, detail };
}

interface Prohibition extends IdentityDeps {
  readonly capability: Capability;
}

function forbid(
  request: FastifyRequest,
  reply: FastifyReply,
  { capability, identity, facts }: Prohibition,
): FastifyReply {
  facts.event('requestDenied', { route: routeOf(request), reason: 'insufficient_scope' });
  const isOfAll = capability === 'platform';
  const detail = isOfAll
    ? 'This tells of every tenant, and the access token is not for that.'
    : 'The access token names no organization, or no role in it, that may read this.';
  const scope = isOfAll ? identity.scopes.all : identity.scopes.member;
  reply.header(
    'www-authenticate',
    `${REALM}, error="insufficient_scope", error_description="${detail}", scope="${scope}"`,
  );
  return sendProblem(reply, 'METER_FORBIDDEN', { detail });
}
