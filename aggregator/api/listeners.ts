/** What a role serves: the API where it is configured, and beside it what only those see who run it. */
import { SystemClock, type Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { Part } from '../../core/runtime/lifecycle.ts';
import { DeclaredFile } from '../ledger/declared.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { ApiRoleConfig, OpsRoleConfig } from './config.ts';
import type { ReadinessCheck } from './health.ts';
import { TokenIdentity, type Identity } from './identity/identity.ts';
import { BoundedStore } from './limits/bounded-store.ts';
import { DEFAULT_LIMITS, type LimitsConfig } from './limits/config.ts';
import { Slots } from './limits/slots.ts';
import { OpsListener } from './ops.ts';
import { readersOf } from './readers.ts';
import { createApi, type Api } from './server.ts';
import { usageReader } from './usage/remembering-reader.ts';

const CHECK_TIMEOUT_MS = 2_000;

export interface ListenerDeps {
  readonly clock: Clock;
  readonly facts: FactSink & { readonly metricsText: () => Promise<string> };
  readonly checks: readonly ReadinessCheck[];
}

export interface Listeners {
  readonly parts: readonly Part[];
  /** Lines for a person; known once they have started. */
  readonly addresses: () => readonly string[];
}

export interface ListenersConfig {
  readonly api?: ApiRoleConfig | undefined;
  readonly ops: OpsRoleConfig;
  readonly declaredFile?: string | undefined;
}

export function listeners(
  config: ListenersConfig,
  deps: ListenerDeps & { readonly store: UsageStore },
): Listeners {
  const { facts } = deps;
  const { identity: issuer } = config.api ?? {};
  // Tokens are of the real world, whatever time usage is measured in.
  const identity = issuer && new TokenIdentity(issuer, { clock: new SystemClock(), facts });
  const { declaredFile } = config;
  const serving = { ...deps, ...(identity === undefined ? {} : { identity }) };
  const api = config.api && apiOf({ ...config.api, declaredFile }, serving);
  const own = api === undefined ? [] : [api.check];
  const checks = [...deps.checks, ...(identity?.checks ?? []), ...own];
  const ops = opsListener(config.ops, { ...deps, checks });
  const addresses = (): string[] => [
    ...(api === undefined ? [] : [`API      ${api.url}/api/v1/meters`]),
    `OPS      ${ops.url}/readyz`,
  ];
  // Stopped last, so that it can tell of the API that it leaves.
  return { parts: api === undefined ? [ops] : [ops, api], addresses };
}

export function opsListener(config: OpsRoleConfig, { clock, facts, checks }: ListenerDeps): OpsListener {
  const metricsText = (): Promise<string> => facts.metricsText();
  return new OpsListener(
    { ...config, checkTimeoutMs: CHECK_TIMEOUT_MS },
    { clock, facts, checks, metricsText },
  );
}

type ApiOfConfig = Pick<ApiRoleConfig, 'host' | 'port'> &
  Partial<ApiRoleConfig> & {
    /** Of quotas; a broken one is refused at the start. */
    readonly declaredFile?: string | undefined;
    readonly stopTimeoutMs?: number;
  };

export function apiOf(
  config: ApiOfConfig,
  deps: ListenerDeps & { readonly store: UsageStore; readonly identity?: Identity },
): Api {
  const limits = config.limits ?? DEFAULT_LIMITS;
  const reading = { queryTimeoutMs: limits.queryTimeoutMs };
  const store = boundedStore(limits, deps.store);
  const reader = usageReader(reading, { store });
  const declared = new DeclaredFile(config.declaredFile, deps);
  declared.load();
  const { minutes } = limits;
  const readers = readersOf({ ...reading, minutes }, { store, quotas: () => declared.read().quotas });
  const metricsText = (): Promise<string> => deps.facts.metricsText();
  const { host, port, trustedProxies = [], drainMs = 0, stopTimeoutMs } = config;
  const stopping = { drainMs, ...(stopTimeoutMs !== undefined && { stopTimeoutMs }) };
  const serving = { host, port, trustedProxies, ...stopping, checkTimeoutMs: CHECK_TIMEOUT_MS };
  return createApi({ ...limits, ...serving }, { ...deps, ...readers, reader, metricsText });
}

/** The store as every reader of the API is handed it. */
function boundedStore(limits: LimitsConfig, store: UsageStore): BoundedStore {
  const { queries, queriesWaiting, queryWaitMs } = limits;
  const line = { slots: queries, waiting: queriesWaiting, waitMs: queryWaitMs };
  return new BoundedStore(limits, { store, slots: new Slots(line, { clock: new SystemClock() }) });
}
