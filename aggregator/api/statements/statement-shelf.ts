/**
 * Statements of closed periods as they are handed out, the newest asked for in memory. Input: a statement
 * that a close names, and a form. Output: its bytes and a strong entity tag. Guarantee: the JSON is what the
 * close wrote; a form is made once for all who ask for it at the same time; memory is bounded by bytes.
 *
 * Who may read a statement is decided before anybody looks here.
 */
import { hash as digest } from 'node:crypto';

import { storedStatement } from '../../ledger/commands.ts';
import { parseStatement } from '../../ledger/statements/json.ts';
import { renderStatement, type StatementFormat } from '../../ledger/statements/render.ts';
import type { UsageStore } from '../../store/usage-store.ts';

export interface ShelvedStatement {
  readonly body: Buffer;
  /** The hash of the statement, or of the bytes of a form made from it. */
  readonly etag: string;
}

export interface WantedStatement {
  readonly period: number;
  readonly tenant: string;
  readonly hash: string;
  readonly format: StatementFormat;
}

export interface StatementShelfConfig {
  readonly maxBytes: number;
  readonly queryTimeoutMs: number;
}

export class StatementShelf {
  readonly #maxBytes: number;
  readonly #timeoutMs: number;
  readonly #store: UsageStore;
  /** Those that were asked for last come last. */
  readonly #shelved = new Map<string, ShelvedStatement>();
  readonly #making = new Map<string, Promise<ShelvedStatement>>();
  #bytes = 0;

  constructor(config: StatementShelfConfig, deps: { readonly store: UsageStore }) {
    this.#maxBytes = config.maxBytes;
    this.#timeoutMs = config.queryTimeoutMs;
    this.#store = deps.store;
  }

  get bytes(): number {
    return this.#bytes;
  }

  async take(wanted: WantedStatement): Promise<ShelvedStatement> {
    const key = JSON.stringify([wanted.period, wanted.format, wanted.hash, wanted.tenant]);
    const found = this.#shelved.get(key);
    if (found !== undefined) {
      this.#shelved.delete(key);
      this.#shelved.set(key, found);
      return found;
    }
    let making = this.#making.get(key);
    if (making === undefined) {
      making = this.#make(wanted).finally(() => this.#making.delete(key));
      this.#making.set(key, making);
    }
    const made = await making;
    this.#put(key, made);
    return made;
  }

  async #make({ format, ...wanted }: WantedStatement): Promise<ShelvedStatement> {
    const stored = await storedStatement(this.#store, wanted, { timeoutMs: this.#timeoutMs });
    if (format === 'json') return { body: Buffer.from(stored), etag: `"${wanted.hash}"` };
    const body = Buffer.from(renderStatement(parseStatement(stored), format).body);
    return { body, etag: `"${digest('sha256', body)}"` };
  }

  /** What is larger than the shelf is not kept. */
  #put(key: string, made: ShelvedStatement): void {
    if (this.#shelved.has(key) || made.body.length > this.#maxBytes) return;
    this.#shelved.set(key, made);
    this.#bytes += made.body.length;
    for (const [oldest, { body }] of this.#shelved) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#shelved.delete(oldest);
      this.#bytes -= body.length;
    }
  }
}
