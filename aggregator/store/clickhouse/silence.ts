/**
 * Statements whose answers never come. A connection can be dead and nobody told: a firewall has forgotten it,
 * or the server's machine lost its power with bytes on the way. Waiting for as long as a long statement may
 * take would stop everything behind it, so after a while of silence the server is asked whether it runs it.
 *
 * A server that is away answers nothing, so the statement is waited for until one says no. It is asked twice:
 * an answer may be on its way. What was given up may have been carried out, as with every broken connection.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../../core/runtime/clock.ts';
import { MeteringError } from '../../../core/runtime/errors.ts';

export interface SilenceConfig {
  /** How long an answer is waited for before the server is asked; half of it lies between two questions. */
  readonly silenceMs: number;
  /** Whether the server runs a statement with this mark; rejects if it does not say. */
  readonly isRunning: (mark: string) => Promise<boolean>;
}

export interface Watched {
  /** By which the server knows the statement. */
  readonly mark: string;
  /** Aborts when its answer is not waited for any longer. */
  readonly signal: AbortSignal;
}

const DENIALS = 2;

export class Silence {
  readonly #config: SilenceConfig;
  readonly #clock: Clock;

  constructor(config: SilenceConfig, { clock }: { readonly clock: Clock }) {
    this.#config = config;
    this.#clock = clock;
  }

  /** What the work resolves with; METER_STORE_UNAVAILABLE if the server does not know of it. */
  async watch<Answer>(work: (watched: Watched) => Promise<Answer>): Promise<Answer> {
    const mark = randomUUID();
    const lost = new AbortController();
    const settled = new AbortController();
    this.#lose(mark, lost, settled.signal).catch(() => undefined);
    try {
      return await work({ mark, signal: lost.signal });
    } catch (cause) {
      if (!lost.signal.aborted) throw cause;
      const message = 'the server does not run it, and its answer did not come: the connection is dead';
      throw new MeteringError('METER_STORE_UNAVAILABLE', message, { retryable: true, cause });
    } finally {
      settled.abort();
    }
  }

  async #lose(mark: string, lost: AbortController, settled: AbortSignal): Promise<void> {
    const { silenceMs, isRunning } = this.#config;
    const isSettled = (): boolean => settled.aborted;
    await this.#clock.sleep(silenceMs, settled);
    for (let denials = 0; !isSettled();) {
      const runs = await isRunning(mark).catch(() => true);
      denials = runs ? 0 : denials + 1;
      // What is settled meanwhile may still be read.
      if (denials === DENIALS && !isSettled()) lost.abort();
      if (denials === DENIALS) return;
      await this.#clock.sleep(silenceMs / 2, settled);
    }
  }
}
