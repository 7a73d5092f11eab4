/**
 * A role under an orchestrator: whenever its process is gone, however it went, another is started over the
 * same settings. Nobody else mends anything.
 */
import { SystemClock } from '../../core/runtime/clock.ts';
import { readinessOf, type Readiness } from '../support/readiness.ts';
import { Role } from '../support/role.ts';
import { until } from '../support/waiting.ts';

const LOOK_MS = 100;
/** As orchestrators do, before a start that comes after an end. */
const WAIT_MS = 500;
const WORDS_KEPT = 160;
const clock = new SystemClock();

export class Supervised {
  readonly name: string;
  readonly #kind: 'collector' | 'aggregator';
  readonly #config: string;
  readonly #stopping = new AbortController();
  #watching: Promise<void> = Promise.resolve();
  #role: Role;
  /** Why processes that nobody killed have ended. */
  readonly ownEnds: string[] = [];
  kills = 0;

  constructor(name: string, role: { readonly kind: 'collector' | 'aggregator'; readonly config: string }) {
    this.name = name;
    this.#kind = role.kind;
    this.#config = role.config;
    this.#role = new Role(role.kind, role.config);
    this.#watching = this.#watch();
  }

  get pid(): number {
    return this.#role.pid;
  }

  get said(): string {
    return this.#role.said;
  }

  /** Of whichever process comes to run: one that found its store away has ended, and another follows. */
  async address(word: string): Promise<string> {
    const ofThisOne = (): Promise<string | undefined> => this.#role.address(word).catch(() => undefined);
    return await until(() => `${word} of ${this.said}`, ofThisOne, { everyMs: LOOK_MS });
  }

  /** Undefined while it does not say. */
  async readiness(): Promise<Readiness | undefined> {
    const ops = await this.#role.address('OPS').catch(() => undefined);
    return ops === undefined ? undefined : await readinessOf(ops);
  }

  /** The process that runs now, at whatever it is doing. */
  async kill(): Promise<void> {
    this.kills++;
    const role = this.#role;
    await role.end('SIGKILL');
    if (role === this.#role) this.#role = new Role(this.#kind, this.#config);
  }

  /** The process that runs now stands still; its orchestrator does not see that. */
  freeze(): void {
    this.#role.freeze();
  }

  thaw(): void {
    this.#role.thaw();
  }

  /** Resolves with the status that it ended with when it was told to stop. */
  async stop(): Promise<number | null> {
    this.#stopping.abort();
    await this.#watching;
    return await this.#role.end('SIGTERM');
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal);
      const role = this.#role;
      if (role.isRunning || role.isEnding) continue;
      this.ownEnds.push(`${this.name}: ${lastWords(role)}`);
      await clock.sleep(WAIT_MS);
      if (role === this.#role) this.#role = new Role(this.#kind, this.#config);
    }
  }
}

/** The error that it told last, without what it was about in full. */
function lastWords({ said }: Role): string {
  const line = said.split('\n').at(-1) ?? '';
  const error = /METER_\w+: [^"]*/.exec(line)?.[0] ?? line;
  return error.slice(0, WORDS_KEPT);
}
