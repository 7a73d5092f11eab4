/**
 * The issuer's keys as they are needed. Input: key ids of tokens. Output: a key, or that there is none, or
 * that it cannot be known right now. Guarantee: the issuer is asked at most once per cooldown, by one reading
 * at a time, whatever tokens arrive; while it is away, the keys that are held go on being used until they are
 * too old. A crash loses the keys; they are read again.
 */
import type { CryptoKey } from 'jose';

import type { Clock } from '../../../core/runtime/clock.ts';
import { MeteringError } from '../../../core/runtime/errors.ts';
import type { FactSink } from '../../../core/runtime/facts.ts';
import type { Readiness } from '../health.ts';
import type { IdentityConfig } from './config.ts';
import { IssuerClient } from './issuer-client.ts';
import { keySetOf, type KeySet } from './key-set.ts';

export type KeyAnswer =
  | { readonly kind: 'key'; readonly key: CryptoKey }
  | { readonly kind: 'unknown' }
  /** The issuer does not answer, and what is held does not tell. */
  | { readonly kind: 'unavailable'; readonly retryAfterMs: number };

export interface IssuerKeysDeps {
  readonly clock: Clock;
  readonly facts: FactSink;
}

interface Held {
  readonly keys: KeySet;
  readonly readMs: number;
}

export class IssuerKeys {
  readonly #config: IdentityConfig;
  readonly #deps: IssuerKeysDeps;
  readonly #client: IssuerClient;
  #held: Held | undefined;
  #triedMs = -Infinity;
  #isAway = false;
  #reading: Promise<void> | undefined;

  constructor(config: IdentityConfig, deps: IssuerKeysDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#client = new IssuerClient(config, deps);
  }

  async find(id: string, algorithm: string): Promise<KeyAnswer> {
    await this.#freshen();
    const known = this.#usable()?.keys.get(id, algorithm);
    if (known !== undefined) return { kind: 'key', key: known };
    // Perhaps the keys were rotated since.
    await this.#read();
    const found = this.#usable()?.keys.get(id, algorithm);
    if (found !== undefined) return { kind: 'key', key: found };
    if (!this.#isAway && this.#usable() !== undefined) return { kind: 'unknown' };
    const waitMs = this.#config.keys.cooldownMs - this.#since(this.#triedMs);
    return { kind: 'unavailable', retryAfterMs: Math.max(waitMs, 0) };
  }

  /** Reads keys where there are none yet, so that probing makes an instance ready. */
  async readiness(): Promise<Readiness> {
    await this.#freshen();
    const held = this.#usable();
    if (held === undefined) return { ready: false, detail: 'the issuer does not answer: no keys' };
    const age = `${held.keys.size} keys, read ${Math.round(this.#since(held.readMs) / 1000)} s ago`;
    return { ready: true, detail: this.#isAway ? `${age}; the issuer does not answer` : age };
  }

  #usable(): Held | undefined {
    const held = this.#held;
    return held !== undefined && this.#since(held.readMs) <= this.#config.keys.maxStaleMs ? held : undefined;
  }

  /** Once the issuer is known to be away, nobody waits for it who can be served without. */
  async #freshen(): Promise<void> {
    const held = this.#usable();
    if (held !== undefined && this.#since(held.readMs) < this.#config.keys.refreshMs) return;
    const reading = this.#read();
    if (held === undefined || !this.#isAway) await reading;
  }

  async #read(): Promise<void> {
    if (this.#reading === undefined) {
      if (this.#since(this.#triedMs) < this.#config.keys.cooldownMs) return;
      this.#triedMs = this.#deps.clock.now();
      this.#reading = this.#readOnce().finally(() => {
        this.#reading = undefined;
      });
    }
    await this.#reading;
  }

  /** Never rejects: a fault is told, and what is held stays. */
  async #readOnce(): Promise<void> {
    const { clock, facts } = this.#deps;
    const readMs = clock.now();
    try {
      const keys = await keySetOf(await this.#client.readKeys(), this.#config.algorithms);
      if (keys.size === 0) {
        throw new MeteringError('METER_ISSUER_UNAVAILABLE', 'no key of the issuer can be used');
      }
      this.#held = { keys, readMs };
      this.#isAway = false;
      facts.event('issuerKeysRead', { keys: keys.size, ignored: keys.ignored, readMs });
    } catch (error) {
      this.#isAway = true;
      facts.event('issuerUnavailable', { error, hasKeys: this.#usable() !== undefined });
    }
  }

  /** A clock that was set back far makes keys old, and one that was set back a little does not. */
  #since(ms: number): number {
    return Math.abs(this.#deps.clock.now() - ms);
  }
}
