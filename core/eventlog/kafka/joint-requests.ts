import { MeteringError } from '../../runtime/errors.ts';

export interface JointRequestsOptions {
  /** What one request takes; a larger part goes alone. */
  readonly maxBytes: number;
  /** Requests under way at once. */
  readonly atOnce: number;
}

interface Waiting<Item> {
  readonly items: readonly Item[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends what many ask for in few requests. While as many are under way as may be, whoever comes waits, and
 * goes with the others in the next: none is held up for company, and the busier it is, the fewer requests are
 * made. In: parts of items, each with its bytes. A part resolves or rejects by itself, and is never split.
 *
 * A fault that passes by itself is that of all parts of its request. Any other may be the fault of one, so
 * each is then sent alone, and only those that cannot be sent reject.
 */
export class JointRequests<Item> {
  readonly #options: JointRequestsOptions;
  readonly #send: (items: readonly Item[]) => Promise<void>;
  readonly #waiting: Waiting<Item>[] = [];
  #underWay = 0;

  constructor(options: JointRequestsOptions, send: (items: readonly Item[]) => Promise<void>) {
    this.#options = options;
    this.#send = send;
  }

  async append(items: readonly Item[], bytes: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.#waiting.push({ items, bytes, resolve: () => resolve(undefined), reject });
    this.#goOn();
    await promise;
  }

  #goOn(): void {
    while (this.#underWay < this.#options.atOnce && this.#waiting.length > 0) {
      this.#underWay++;
      const ended = (): void => {
        this.#underWay--;
        this.#goOn();
      };
      this.#sendTogether(this.#next()).then(ended, ended);
    }
  }

  /** Those that came first, as many as fit. */
  #next(): readonly Waiting<Item>[] {
    let left = this.#options.maxBytes;
    const end = this.#waiting.findIndex(({ bytes }, index) => (left -= bytes) < 0 && index > 0);
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }

  async #sendTogether(parts: readonly Waiting<Item>[]): Promise<void> {
    try {
      await this.#send(parts.flatMap(({ items }) => items));
      for (const { resolve } of parts) resolve();
    } catch (error) {
      if (parts.length === 1 || isOfAll(error)) for (const { reject } of parts) reject(error);
      else for (const part of parts) await this.#sendTogether([part]);
    }
  }
}

function isOfAll(error: unknown): boolean {
  return error instanceof MeteringError && error.retryable;
}
