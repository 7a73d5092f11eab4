/**
 * `/healthz` says that the process answers; `/readyz` says whether it can do its work, check by check: 503
 * with the whole list as soon as one is not ready. A check that hangs is not started again until it ends,
 * so probing a store that is away costs one query, not one per probe.
 */
import type { FastifyInstance } from 'fastify';

import type { SampleLog } from '../../core/eventlog/sample-log.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { UsageStore } from '../store/usage-store.ts';

export interface ReadinessCheck {
  readonly name: string;
  /** What a person should know of the state; a rejection is "not ready". */
  check(): Promise<Readiness>;
}

export interface Readiness {
  readonly ready: boolean;
  readonly detail: string;
}

export interface HealthConfig {
  /** A check that takes longer is not ready. */
  readonly checkTimeoutMs: number;
}

export interface HealthDeps {
  readonly clock: Clock;
  readonly checks: readonly ReadinessCheck[];
  /** Facts about this instance that are no fault: shown with the checks. */
  readonly notices: readonly string[];
}

interface CheckResult extends Readiness {
  readonly name: string;
  readonly durationMs: number;
}

export function registerHealth(app: FastifyInstance, config: HealthConfig, deps: HealthDeps): void {
  const probes = deps.checks.map((check) => new Probe(check, config, deps.clock));
  app.get('/healthz', () => ({ status: 'alive' }));
  app.get('/readyz', async (_request, reply) => {
    const checks = await Promise.all(probes.map((probe) => probe.run()));
    const ready = checks.every((check) => check.ready);
    reply.code(ready ? 200 : 503);
    return { status: ready ? 'ready' : 'not ready', notices: deps.notices, checks };
  });
}

class Probe {
  readonly #check: ReadinessCheck;
  readonly #config: HealthConfig;
  readonly #clock: Clock;
  #running: Promise<Readiness> | undefined;

  constructor(check: ReadinessCheck, config: HealthConfig, clock: Clock) {
    this.#check = check;
    this.#config = config;
    this.#clock = clock;
  }

  async run(): Promise<CheckResult> {
    const startedMs = this.#clock.now();
    this.#running ??= this.#start();
    const readiness = await this.#inTime(this.#running);
    return { name: this.#check.name, ...readiness, durationMs: this.#clock.now() - startedMs };
  }

  async #start(): Promise<Readiness> {
    try {
      return await this.#check.check();
    } catch (error) {
      return {
        ready: false,
        detail: error instanceof MeteringError ? error.code : 'failed; the log tells why',
      };
    } finally {
      this.#running = undefined;
    }
  }

  async #inTime(running: Promise<Readiness>): Promise<Readiness> {
    const { checkTimeoutMs } = this.#config;
    const done = new AbortController();
    const timeout = this.#clock.sleep(checkTimeoutMs, done.signal).then(() => ({
      ready: false,
      detail: `no answer within ${checkTimeoutMs} ms`,
    }));
    try {
      return await Promise.race([running, timeout]);
    } finally {
      done.abort();
    }
  }
}

export function storeCheck(store: UsageStore): ReadinessCheck {
  const check = async (): Promise<{ ready: true; detail: string }> => {
    await store.rows('SELECT 1');
    return { ready: true, detail: 'answers' };
  };
  return { name: 'store', check };
}

export function logCheck(log: SampleLog, topics: readonly string[]): ReadinessCheck {
  const check = async (): Promise<{ ready: true; detail: string }> => {
    await log.endPositions(topics);
    return { ready: true, detail: `${topics.length} topics answer` };
  };
  return { name: 'log', check };
}
