/**
 * The listener for those who run the program: metrics of every tenant, and readiness with what is behind it.
 * It asks nobody who they are, so the network has to keep tenants from it (a port of its own, a policy on
 * it); on a loopback address it answers under loopback names only.
 */
import type { FastifyInstance } from 'fastify';

import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { Part } from '../../core/runtime/lifecycle.ts';
import { listen, urlOf, type Address } from '../../core/runtime/http.ts';
import { frame, isLoopback, type FrameConfig } from './frame.ts';
import { registerHealth, type ReadinessCheck } from './health.ts';
import { DEFAULT_LIMITS } from './limits/config.ts';
import { registerMetrics } from './metrics.ts';

export interface OpsConfig extends Partial<FrameConfig>, Address {
  readonly checkTimeoutMs: number;
}

export interface OpsDeps {
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly checks: readonly ReadinessCheck[];
  readonly metricsText: () => Promise<string>;
}

export class OpsListener implements Part {
  readonly name = 'ops';
  /** For tests to inject requests. */
  readonly app: FastifyInstance;
  readonly #config: OpsConfig;
  readonly #deps: OpsDeps;

  constructor(config: OpsConfig, deps: OpsDeps) {
    this.#config = config;
    this.#deps = deps;
    this.app = frame(
      { ...DEFAULT_LIMITS, ...config },
      { facts: deps.facts, isLocal: isLoopback(config.host) },
    ).app;
    registerHealth(this.app, config, { ...deps, notices: [] });
    registerMetrics(this.app, deps);
  }

  get url(): string {
    return urlOf(this.app);
  }

  async start(): Promise<void> {
    await listen(this.app, this.#config, 'the ops listener');
    this.#deps.facts.event('listening', { name: this.name, url: this.url });
  }

  async stop(): Promise<void> {
    await this.app.close();
  }
}
