/**
 * The HTTP API as a part of the program. Input: requests. Output: usage, read from the store, or a problem.
 * Guarantee: it writes nothing, an answer is whole or not given, and a stop lets running requests end.
 * A crash loses the answers under way and nothing else.
 *
 * Without an issuer of tokens nobody can be told apart: then the API listens on a loopback address only.
 * With one, everything under `/api` asks for a token, and what tells of all tenants at once (`/metrics`, the
 * details of `/readyz`) is on the ops listener alone.
 */
import type { FastifyInstance } from 'fastify';

import type { Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { Part } from '../../core/runtime/lifecycle.ts';
import { frame, isLoopback, listen, LOOPBACK, refuse, urlOf, type FrameConfig } from './frame.ts';
import { registerHealth, type ReadinessCheck } from './health.ts';
import { registerIdentity } from './identity.ts';
import { LocalIdentity, type Identity } from './identity/identity.ts';
import { registerMeters } from './meters.ts';
import { registerMetrics } from './metrics.ts';
import { registerQuery } from './query.ts';
import type { UsageReader } from './usage-reader.ts';

export interface ApiConfig extends FrameConfig {
  /** Where to listen: 127.0.0.1 unless told, and without an issuer a loopback address in any case. */
  readonly host?: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly checkTimeoutMs: number;
}

export interface ApiDeps {
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly reader: UsageReader;
  readonly checks: readonly ReadinessCheck[];
  /** Who requests come from; without it from the operator of this machine. */
  readonly identity?: Identity;
  /** The Prometheus exposition; it carries every tenant, so it is never on a listener for tenants. */
  readonly metricsText: () => Promise<string>;
}

export function createApi(config: ApiConfig, deps: ApiDeps): Api {
  return new Api(config, deps);
}

export class Api implements Part {
  readonly name = 'api';
  /** For plugins, and for tests to inject requests. */
  readonly app: FastifyInstance;
  readonly #config: ApiConfig;
  readonly #deps: ApiDeps;
  readonly #host: string;
  /** What whoever runs this has to know, in the log and in `/readyz`. */
  readonly #notices: readonly string[];
  readonly #isLocal: boolean;

  constructor(config: ApiConfig, deps: ApiDeps) {
    const { identity = new LocalIdentity() } = deps;
    this.#config = config;
    this.#deps = deps;
    this.#host = config.host ?? LOOPBACK;
    this.#isLocal = identity.needsLoopback;
    this.#notices = this.#isLocal
      ? [`no issuer is configured: the API listens on ${this.#host} only and shows every tenant`]
      : [];
    this.app = frame(config, { facts: deps.facts, isLocal: this.#isLocal });
    const checks = [...deps.checks, ...identity.checks];
    const shown = this.#isLocal ? checks : checks.map(withoutDetail);
    registerHealth(this.app, config, { ...deps, checks: shown, notices: this.#notices });
    if (this.#isLocal) registerMetrics(this.app, deps);
    const routes = async (app: FastifyInstance): Promise<void> => {
      registerIdentity(app, { identity, facts: deps.facts });
      app.setNotFoundHandler(refuse);
      registerMeters(app);
      registerQuery(app, deps);
    };
    this.app.register(routes, { prefix: '/api' });
  }

  /** Where it listens, once started. */
  get url(): string {
    return urlOf(this.app, this.#host);
  }

  async start(): Promise<void> {
    const { facts } = this.#deps;
    const host = this.#host;
    if (this.#isLocal && !isLoopback(host)) throw showsAll(host);
    await listen(this.app, { host, port: this.#config.port });
    facts.event('listening', { name: this.name, url: this.url });
    for (const text of this.#notices) facts.event('notice', { text });
  }

  /** No new connections; requests under way get their answer. */
  async stop(): Promise<void> {
    await this.app.close();
  }
}

function showsAll(host: string): MeteringError {
  const why = 'without an issuer of tokens the API shows every tenant to everybody';
  const advice = `set api.identity.issuer, or listen on ${LOOPBACK}`;
  return new MeteringError('METER_CONFIG_INVALID', `${why}, so it does not listen on ${host}: ${advice}`);
}

/** How far ingest is behind is a figure of everybody's usage. */
function withoutDetail(check: ReadinessCheck): ReadinessCheck {
  return {
    name: check.name,
    check: async () => {
      const { ready } = await check.check();
      return { ready, detail: ready ? 'ready' : 'not ready; the ops listener tells why' };
    },
  };
}
