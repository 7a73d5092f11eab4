/** What a role serves: the API where it is configured, and beside it what only those see who run it. */
import { SystemClock, type Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { Part } from '../../core/runtime/lifecycle.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { ApiRoleConfig, OpsRoleConfig } from './config.ts';
import type { ReadinessCheck } from './health.ts';
import { TokenIdentity, type Identity } from './identity/identity.ts';
import { OpsListener } from './ops.ts';
import { createApi, type Api } from './server.ts';
import { StoreUsageReader } from './usage-reader.ts';

const TIMES = { requestTimeoutMs: 10_000, answerTimeoutMs: 30_000, checkTimeoutMs: 2_000 } as const;
const QUERY_TIMEOUT_MS = 10_000;

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

export function listeners(
  config: { readonly api?: ApiRoleConfig | undefined; readonly ops: OpsRoleConfig },
  deps: ListenerDeps & { readonly store: UsageStore },
): Listeners {
  const { facts } = deps;
  const { identity: issuer } = config.api ?? {};
  // Tokens are of the real world, whatever time usage is measured in.
  const identity = issuer && new TokenIdentity(issuer, { clock: new SystemClock(), facts });
  const ops = opsListener(config.ops, { ...deps, checks: [...deps.checks, ...(identity?.checks ?? [])] });
  const api = config.api && apiOf(config.api, { ...deps, ...(identity === undefined ? {} : { identity }) });
  const addresses = (): string[] => [
    ...(api === undefined ? [] : [`API      ${api.url}/api/v1/meters`]),
    `OPS      ${ops.url}/readyz`,
  ];
  return { parts: api === undefined ? [ops] : [api, ops], addresses };
}

export function opsListener(config: OpsRoleConfig, { clock, facts, checks }: ListenerDeps): OpsListener {
  const metricsText = (): Promise<string> => facts.metricsText();
  return new OpsListener({ ...TIMES, ...config }, { clock, facts, checks, metricsText });
}

export function apiOf(
  { host, port }: Pick<ApiRoleConfig, 'host' | 'port'>,
  { store, ...deps }: ListenerDeps & { readonly store: UsageStore; readonly identity?: Identity },
): Api {
  const reader = new StoreUsageReader({ queryTimeoutMs: QUERY_TIMEOUT_MS }, { store });
  const metricsText = (): Promise<string> => deps.facts.metricsText();
  return createApi({ ...TIMES, host, port }, { ...deps, reader, metricsText });
}
