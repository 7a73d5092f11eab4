/**
 * The HTTP API as a part of the program. Input: requests. Output: usage, read from the store, or a problem.
 * Guarantee: it writes nothing, an answer is whole or not given, and a stop lets running requests end, for as
 * long as there is time; a stream that goes on longer is broken off, so that nobody takes it for whole.
 * A crash loses the answers under way and nothing else.
 *
 * Without an issuer of tokens nobody can be told apart: then the API listens on a loopback address only.
 * With one, everything under `/api` asks for a token, and what tells of all tenants at once (`/metrics`, the
 * details of `/readyz`) is on the ops listener alone.
 */
import type { FastifyInstance } from 'fastify';

import { SystemClock, type Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { Part } from '../../core/runtime/lifecycle.ts';
import { registerDocs } from './docs.ts';
import { openApiDocument } from './endpoint/document.ts';
import { JSON_TYPE, PREFIX, registerEndpoints } from './endpoint/register.ts';
import { ENDPOINTS, type EndpointDeps } from './endpoints.ts';
import { EventLoopDelay } from '../../core/runtime/event-loop.ts';
import { listen, urlOf, type Leaving } from '../../core/runtime/http.ts';
import { frame, isLoopback, LOOPBACK } from './frame.ts';
import { registerHealth, type ReadinessCheck } from './health.ts';
import { registerIdentity } from './identity.ts';
import { LocalIdentity, type Identity } from './identity/identity.ts';
import { DEFAULT_LIMITS, type LimitsConfig } from './limits/config.ts';
import { Limits } from './limits/limits.ts';
import { registerMetrics } from './metrics.ts';

export interface ApiConfig extends Partial<LimitsConfig> {
  /** Where to listen: 127.0.0.1 unless told, and without an issuer a loopback address in any case. */
  readonly host?: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly checkTimeoutMs: number;
  readonly trustedProxies?: readonly string[];
  /** How long it goes on serving after it has said that it leaves; none unless told. */
  readonly drainMs?: number;
  /** In all, draining and all; `API_STOP_TIMEOUT_MS` unless told. */
  readonly stopTimeoutMs?: number;
}

/** Less than the 30 s that Kubernetes gives a pod. */
const API_STOP_TIMEOUT_MS = 25_000;
/** What is still under way this long before the end is broken off. */
const BREAK_OFF_MS = 1_000;

export interface ApiDeps extends EndpointDeps {
  readonly clock: Clock;
  readonly facts: FactSink;
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
  readonly stopTimeoutMs: number;
  /** For plugins, and for tests to inject requests. */
  readonly app: FastifyInstance;
  readonly #config: ApiConfig;
  readonly #deps: ApiDeps;
  readonly #host: string;
  /** What whoever runs this has to know, in the log and in `/readyz`. */
  readonly #notices: readonly string[];
  readonly #isLocal: boolean;
  readonly #leaving: Leaving;
  /** Of the machine: limits and leaving are of the real world, whatever time usage is measured in. */
  readonly #time = new SystemClock();
  readonly #eventLoop = new EventLoopDelay({ clock: this.#time });

  constructor(config: ApiConfig, deps: ApiDeps) {
    const { identity = new LocalIdentity() } = deps;
    this.#config = config;
    this.#deps = deps;
    this.stopTimeoutMs = config.stopTimeoutMs ?? API_STOP_TIMEOUT_MS;
    this.#host = config.host ?? LOOPBACK;
    this.#isLocal = identity.needsLoopback;
    this.#notices = this.#isLocal
      ? [`no issuer is configured: the API listens on ${this.#host} only and shows every tenant`]
      : [];
    const limits = { ...DEFAULT_LIMITS, ...config };
    const { app, leaving, refuse } = frame(limits, { facts: deps.facts, isLocal: this.#isLocal });
    this.app = app;
    this.#leaving = leaving;
    const checks = [...deps.checks, ...identity.checks, this.check];
    const shown = this.#isLocal ? checks : checks.map(withoutDetail);
    registerHealth(this.app, config, { ...deps, checks: shown, notices: this.#notices });
    if (this.#isLocal) registerMetrics(this.app, deps);
    const { facts } = deps;
    const limiter = new Limits(limits, { clock: this.#time, facts, eventLoop: this.#eventLoop });
    const routes = async (app: FastifyInstance): Promise<void> => {
      limiter.registerBefore(app);
      registerIdentity(app, { identity, facts: deps.facts });
      limiter.registerAfter(app);
      app.setNotFoundHandler(refuse);
      registerEndpoints(app, ENDPOINTS, deps, { ...limits, clock: this.#time });
    };
    // Who waits for the ledger is answered before the stop waits for them.
    this.app.addHook('preClose', async () => deps.ledgerWatch.stop());
    this.app.register(routes, { prefix: PREFIX });
    const document = JSON.stringify(openApiDocument(ENDPOINTS));
    registerDocs(this.app);
    this.app.get('/openapi.json', (_request, reply) => reply.type(JSON_TYPE).send(document));
  }

  /** Where it listens, once started. */
  get url(): string {
    return urlOf(this.app);
  }

  /** Not ready from the moment it leaves on, so that nobody sends more. */
  get check(): ReadinessCheck {
    const check = async () => {
      const ready = !this.#leaving.hasBegun;
      return { ready, detail: ready ? 'serves' : 'leaves; what is under way is answered' };
    };
    return { name: 'api', check };
  }

  async start(): Promise<void> {
    const { facts } = this.#deps;
    const host = this.#host;
    if (this.#isLocal && !isLoopback(host)) throw showsAll(host);
    await listen(this.app, { host, port: this.#config.port }, 'the API');
    facts.event('listening', { name: this.name, url: this.url });
    for (const text of this.#notices) facts.event('notice', { text });
  }

  /** It says that it is not ready, serves for as long as it takes others to see, and then takes no more. */
  async stop(): Promise<void> {
    this.#leaving.begin();
    const { drainMs = 0 } = this.#config;
    await this.#time.sleep(drainMs);
    const closed = new AbortController();
    const leftMs = this.stopTimeoutMs - BREAK_OFF_MS - drainMs;
    const brokenOff = this.#time.sleep(leftMs, closed.signal).then(() => {
      if (!closed.signal.aborted) this.#breakOff();
    });
    await this.app.close();
    closed.abort();
    await brokenOff;
    this.#eventLoop.close();
  }

  #breakOff(): void {
    const text = 'the time to stop is over: what was still being answered is broken off';
    this.#deps.facts.event('notice', { text });
    this.app.server.closeAllConnections();
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
