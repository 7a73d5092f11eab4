/**
 * Connections handed out one user at a time, in order of asking. A chDB connection is serial: a second
 * statement on it waits for the first, so the waiting is done here, where it can be seen and closed.
 */
import { MeteringError } from '../../../core/runtime/errors.ts';

interface Waiting<Connection> {
  readonly resolve: (connection: Connection) => void;
  readonly reject: (error: Error) => void;
}

export class ConnectionPool<Connection> {
  readonly #connections: readonly Connection[];
  readonly #idle: Connection[];
  readonly #waiting: Waiting<Connection>[] = [];
  #drained: PromiseWithResolvers<undefined> | undefined;

  constructor(connections: readonly Connection[]) {
    this.#connections = connections;
    this.#idle = [...connections];
  }

  async use<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    const connection = await this.acquire();
    try {
      return await work(connection);
    } finally {
      this.release(connection);
    }
  }

  acquire(): Promise<Connection> {
    if (this.#drained !== undefined) return Promise.reject(closed());
    const connection = this.#idle.pop();
    if (connection !== undefined) return Promise.resolve(connection);
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    this.#waiting.push({ resolve, reject });
    return promise;
  }

  release(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next.resolve(connection);
    else this.#idle.push(connection);
    this.#checkDrained();
  }

  /** Whoever waits is turned away, whoever works is waited for. */
  close(): Promise<unknown> {
    this.#drained ??= Promise.withResolvers<undefined>();
    for (const waiting of this.#waiting.splice(0)) waiting.reject(closed());
    this.#checkDrained();
    return this.#drained.promise;
  }

  #checkDrained(): void {
    if (this.#idle.length === this.#connections.length) this.#drained?.resolve(undefined);
  }
}

function closed(): MeteringError {
  return new MeteringError('METER_STORE_UNAVAILABLE', 'the store is closed');
}
