/**
 * Who sent a request. Two sides: tokens of an issuer, or none configured, and then whoever can reach the
 * loopback address is the operator of this machine.
 */
import type { Clock } from '../../../core/runtime/clock.ts';
import type { FactSink } from '../../../core/runtime/facts.ts';
import type { ReadinessCheck } from '../health.ts';
import type { Principal } from './access.ts';
import type { IdentityConfig } from './config.ts';
import { bearerToken, type CredentialsProblem } from './credentials.ts';
import { grantsOf } from './grants.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { TokenVerifier, type TokenProblem } from './token-verifier.ts';

export type Authentication =
  | { readonly kind: 'known'; readonly principal: Principal }
  | { readonly kind: 'refused'; readonly reason: CredentialsProblem | TokenProblem }
  /** Nobody can be told apart right now: no fault of the one who asks. */
  | { readonly kind: 'unavailable'; readonly retryAfterMs: number };

export interface Identity {
  /** Names and values in turn, as they came. Never rejects for what a request brings. */
  authenticate(rawHeaders: readonly string[]): Promise<Authentication>;
  /** True where reaching the listener is all that is asked, so it has to be out of others' reach. */
  readonly needsLoopback: boolean;
  /** Which scope a token has to be asked for: for a member's rights, or for everything. */
  readonly scopes: { readonly member: string; readonly all: string };
  readonly checks: readonly ReadinessCheck[];
}

export const LOCAL_OPERATOR: Principal = { subject: 'local operator', grants: { kind: 'all' } };

/** Without an issuer. */
export class LocalIdentity implements Identity {
  readonly needsLoopback = true;
  readonly scopes = { member: '', all: '' };
  readonly checks: readonly ReadinessCheck[] = [];

  async authenticate(): Promise<Authentication> {
    return { kind: 'known', principal: LOCAL_OPERATOR };
  }
}

export interface TokenIdentityDeps {
  /** The machine's time, whatever time usage is measured in: tokens are of the real world. */
  readonly clock: Clock;
  readonly facts: FactSink;
}

/** With one. */
export class TokenIdentity implements Identity {
  readonly needsLoopback = false;
  readonly scopes: Identity['scopes'];
  readonly checks: readonly ReadinessCheck[];
  readonly #config: IdentityConfig;
  readonly #verifier: TokenVerifier;

  constructor(config: IdentityConfig, deps: TokenIdentityDeps) {
    const keys = new IssuerKeys(config, deps);
    this.#config = config;
    this.scopes = { member: config.organizationClaim, all: config.readAll.scope };
    this.#verifier = new TokenVerifier(config, { clock: deps.clock, keys });
    this.checks = [{ name: 'issuer', check: () => keys.readiness() }];
  }

  async authenticate(rawHeaders: readonly string[]): Promise<Authentication> {
    const credentials = bearerToken(rawHeaders, this.#config.maxTokenBytes);
    if (!credentials.ok) return { kind: 'refused', reason: credentials.reason };
    const verification = await this.#verifier.verify(credentials.token);
    if (verification.kind !== 'verified') return verification;
    const { subject, claims } = verification;
    return { kind: 'known', principal: { subject, grants: grantsOf(claims, this.#config) } };
  }
}
