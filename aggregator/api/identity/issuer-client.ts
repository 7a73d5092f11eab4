/**
 * One reading of the issuer's key set. Input: where the issuer is. Output: the members of its set, not
 * looked into. Guarantee: a bounded number of bytes in a bounded time, from addresses that are trusted, and
 * never from where a redirect points: whoever can answer for the issuer decides who everybody is.
 */
import type { Clock } from '../../../core/runtime/clock.ts';
import { MeteringError } from '../../../core/runtime/errors.ts';
import { isTrustedAddress, type IdentityConfig } from './config.ts';
import { member } from './organizations.ts';

/** Keycloak's configuration has some 10 KB, its keys 3 KB. */
const MAX_BYTES = 256 * 1024;
const MAX_KEYS = 100;
const HTTP_OK = 200;

export class IssuerClient {
  readonly #config: IdentityConfig;
  readonly #clock: Clock;

  constructor(config: IdentityConfig, deps: { readonly clock: Clock }) {
    this.#config = config;
    this.#clock = deps.clock;
  }

  /** Rejects with `METER_ISSUER_UNAVAILABLE`, whatever is wrong with the answers. */
  async readKeys(): Promise<readonly unknown[]> {
    const uri = this.#config.jwksUri ?? (await this.#discover());
    const keys = member(await this.#get(uri), 'keys');
    if (!Array.isArray(keys)) throw unavailable(`${uri} is no key set`);
    return (keys as readonly unknown[]).slice(0, MAX_KEYS);
  }

  /** OpenID Connect Discovery, section 4. */
  async #discover(): Promise<string> {
    const { issuer, insecureHttp } = this.#config;
    const uri = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const found = await this.#get(uri);
    if (member(found, 'issuer') !== issuer)
      throw unavailable(`${uri} is the configuration of another issuer`);
    const jwksUri = member(found, 'jwks_uri');
    if (typeof jwksUri === 'string' && isTrustedAddress(jwksUri, insecureHttp)) return jwksUri;
    throw unavailable(`${uri} names no address of keys that can be trusted`);
  }

  async #get(uri: string): Promise<unknown> {
    const { timeoutMs } = this.#config.keys;
    const done = new AbortController();
    const late = new AbortController();
    const timer = this.#clock.sleep(timeoutMs, done.signal).then(() => {
      late.abort();
    });
    try {
      return await fetchJson(uri, late.signal);
    } catch (cause) {
      if (cause instanceof MeteringError) throw cause;
      throw unavailable(late.signal.aborted ? `${uri}: no answer within ${timeoutMs} ms` : uri, cause);
    } finally {
      done.abort();
      await timer;
    }
  }
}

async function fetchJson(uri: string, signal: AbortSignal): Promise<unknown> {
  const response = await fetch(uri, {
    headers: { accept: 'application/json' },
    redirect: 'manual',
    signal,
  });
  if (response.status !== HTTP_OK) {
    await response.body?.cancel();
    throw unavailable(`${uri} answered with status ${response.status}; redirects are not followed`);
  }
  const bytes = await collect(response.body);
  if (bytes === undefined) throw unavailable(`${uri} answered with more than ${MAX_BYTES} bytes`);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // The parser's own words would quote the answer.
    throw unavailable(`${uri} answered with something else than JSON`);
  }
}

async function collect(body: ReadableStream<Uint8Array> | null): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels the stream and closes its connection.
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function unavailable(message: string, cause?: unknown): MeteringError {
  return new MeteringError('METER_ISSUER_UNAVAILABLE', message, { retryable: true, cause });
}
