import { readFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

import { z } from 'zod';

import type { Clock } from '../../runtime/clock.ts';
import { invariant, MeteringError } from '../../runtime/errors.ts';
import type { SaslConfig } from './config.ts';

/** A token is asked for anew this long before it ends, so that none ends on its way. */
const EARLY_MS = 30_000;
const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
/** What a proxy says while the endpoint is away, and an endpoint that is asked too often or too early. */
const MOMENTARY = [404, 408, 425, 429];

const answerSchema = z.object({ access_token: z.string().min(1), expires_in: z.number().positive() });

interface Answer {
  readonly status: number;
  readonly body: string;
}

/**
 * Access tokens of a service account, by OAuth 2.0 client credentials (RFC 6749 4.4), as Keycloak gives them.
 * One token serves every connection until shortly before it ends.
 */
export class AccessToken {
  readonly #config: SaslConfig;
  readonly #clock: Clock;
  #held: { readonly value: string; readonly untilMs: number } | undefined;
  #asking: Promise<string> | undefined;

  constructor(config: SaslConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  async value(): Promise<string> {
    const held = this.#held;
    if (held !== undefined && this.#clock.now() < held.untilMs) return held.value;
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    return await this.#asking;
  }

  async #ask(): Promise<string> {
    const { tokenUrl, tokenCaFile } = this.#config;
    invariant(tokenUrl !== undefined, 'the settings of OAUTHBEARER name a token endpoint');
    const askedMs = this.#clock.now();
    const { status, body } = await post(tokenUrl, this.#form(), tokenCaFile).catch((cause: unknown) => {
      throw unavailable(tokenUrl, cause instanceof Error ? cause.message : 'no answer', cause);
    });
    if (status !== 200) {
      const isMomentary = status >= 500 || MOMENTARY.includes(status);
      throw isMomentary ? unavailable(tokenUrl, `status ${status}`) : denied(tokenUrl, status);
    }
    const answer = answerSchema.safeParse(parsed(body));
    if (!answer.success) throw denied(tokenUrl, status);
    const { access_token: value, expires_in: seconds } = answer.data;
    this.#held = { value, untilMs: askedMs + seconds * 1000 - EARLY_MS };
    return value;
  }

  #form(): string {
    const { clientId = '', clientSecret, scope } = this.#config;
    const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId });
    form.set('client_secret', clientSecret?.reveal() ?? '');
    if (scope !== undefined) form.set('scope', scope);
    return form.toString();
  }
}

function post(url: string, form: string, caFile: string | undefined): Promise<Answer> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const ca = caFile === undefined ? {} : { ca: readFileSync(caFile) };
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = request(url, { method: 'POST', headers, signal, ...ca }, (response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) response.destroy(new Error('an answer of more than 1 MiB'));
      else chunks.push(chunk);
    });
    response.on('error', reject);
    response.on('end', () =>
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
    );
  });
  sent.on('error', reject);
  sent.end(form);
  return promise;
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function unavailable(url: string, what: string, cause?: unknown): MeteringError {
  const message = `the token endpoint ${url} does not answer (${what}); it is tried again`;
  return new MeteringError('METER_LOG_UNAVAILABLE', message, { retryable: true, cause });
}

function denied(url: string, status: number): MeteringError {
  const message =
    `the token endpoint ${url} gives no token (status ${status}); ` +
    'check tokenUrl, clientId and clientSecret of the settings under sasl';
  return new MeteringError('METER_LOG_UNAVAILABLE', message);
}
