/**
 * Input: a token, as sent. Output: its claims, or why it proves nothing. Guarantee: claims are read only of a
 * token that the issuer signed, for us, as an access token that whoever bears it may use, now. The header
 * chooses among our keys and allowed algorithms and decides nothing else: keys and addresses in it
 * (`jwk`, `jku`, `x5c`, `x5u`) are not looked at. Errors of the library quote the token, so none leaves here.
 */
import { errors, jwtVerify, type CryptoKey, type JWTHeaderParameters } from 'jose';

import type { Clock } from '../../../core/runtime/clock.ts';
import type { IdentityConfig } from './config.ts';
import type { Claims } from './grants.ts';
import type { IssuerKeys } from './issuer-keys.ts';

export type TokenProblem =
  | 'malformed_token'
  | 'algorithm_not_allowed'
  | 'critical_header'
  | 'wrong_type'
  | 'unknown_key'
  | 'bad_signature'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'expired'
  | 'not_yet_valid'
  | 'missing_claim'
  | 'invalid_claim'
  | 'bound_to_sender';

export type Verification =
  | { readonly kind: 'verified'; readonly subject: string; readonly claims: Claims }
  | { readonly kind: 'refused'; readonly reason: TokenProblem }
  | { readonly kind: 'unavailable'; readonly retryAfterMs: number };

export interface TokenVerifierDeps {
  readonly clock: Clock;
  readonly keys: IssuerKeys;
}

/** `at+jwt` by RFC 9068; Keycloak writes `JWT` and tells the kind of token in a claim. */
const TYPES: readonly string[] = ['jwt', 'application/jwt'];
const ACCESS_TOKEN_TYPES: readonly string[] = ['at+jwt', 'application/at+jwt'];
const MAX_KEY_ID_LENGTH = 256;
const MAX_SUBJECT_LENGTH = 256;

/** Thrown through the library, out of its search for the key. */
class Stop extends Error {
  readonly verification: Verification;

  constructor(verification: Verification) {
    super('the token is not looked into any further');
    this.verification = verification;
  }
}

export class TokenVerifier {
  readonly #config: IdentityConfig;
  readonly #deps: TokenVerifierDeps;

  constructor(config: IdentityConfig, deps: TokenVerifierDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  async verify(token: string): Promise<Verification> {
    const { algorithms, audience, clockToleranceMs, issuer, maxTokenAgeMs } = this.#config;
    try {
      const { payload, protectedHeader } = await jwtVerify(token, (header) => this.#keyFor(header), {
        algorithms: [...algorithms],
        audience,
        clockTolerance: clockToleranceMs / 1000,
        currentDate: new Date(this.#deps.clock.now()),
        issuer,
        maxTokenAge: maxTokenAgeMs / 1000,
        requiredClaims: ['exp', 'sub'],
      });
      return judge(protectedHeader, payload);
    } catch (error) {
      if (error instanceof Stop) return error.verification;
      if (error instanceof errors.JOSEError) return refused(problemOf(error));
      throw error;
    }
  }

  async #keyFor(header: JWTHeaderParameters): Promise<CryptoKey> {
    // Nothing that a header may call critical is understood here; `b64` counts as that even on its own.
    if ('crit' in header || 'b64' in header) throw new Stop(refused('critical_header'));
    if (!isType(header.typ, [...TYPES, ...ACCESS_TOKEN_TYPES])) throw new Stop(refused('wrong_type'));
    const { alg, kid } = header;
    if (typeof kid !== 'string' || kid.length > MAX_KEY_ID_LENGTH) throw new Stop(refused('unknown_key'));
    const answer = await this.#deps.keys.find(kid, alg);
    switch (answer.kind) {
      case 'key':
        return answer.key;
      case 'unknown':
        throw new Stop(refused('unknown_key'));
      case 'unavailable':
        throw new Stop(answer);
    }
  }
}

/** What is left to ask of a token whose signature, issuer, audience and times are right. */
function judge({ typ }: { readonly typ?: string }, claims: Claims): Verification {
  const { sub, typ: kind, cnf } = claims;
  // ID and refresh tokens are signed by the same keys: `ID`, `Refresh`. `DPoP` is not for bearers either.
  const isAccessToken = kind === 'Bearer' || (kind === undefined && isType(typ, ACCESS_TOKEN_TYPES));
  if (!isAccessToken) return refused('wrong_type');
  // It is good only with a proof (DPoP, a client certificate), and none is asked for here.
  if (cnf !== undefined) return refused('bound_to_sender');
  if (typeof sub !== 'string' || sub === '' || sub.length > MAX_SUBJECT_LENGTH)
    return refused('invalid_claim');
  return { kind: 'verified', subject: sub, claims };
}

function isType(type: unknown, known: readonly string[]): boolean {
  return typeof type === 'string' && known.includes(type.toLowerCase());
}

function refused(reason: TokenProblem): Extract<Verification, { kind: 'refused' }> {
  return { kind: 'refused', reason };
}

function problemOf(error: errors.JOSEError): TokenProblem {
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWTClaimValidationFailed) return claimProblem(error);
  if (error instanceof errors.JOSEAlgNotAllowed) return 'algorithm_not_allowed';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'bad_signature';
  if (error instanceof errors.JOSENotSupported) return 'critical_header';
  return 'malformed_token';
}

function claimProblem({ claim, reason }: errors.JWTClaimValidationFailed): TokenProblem {
  if (reason === 'missing') return 'missing_claim';
  if (reason === 'invalid') return 'invalid_claim';
  switch (claim) {
    case 'iss':
      return 'wrong_issuer';
    case 'aud':
      return 'wrong_audience';
    case 'nbf':
    case 'iat':
      return 'not_yet_valid';
    default:
      return 'invalid_claim';
  }
}
