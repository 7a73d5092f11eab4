/** What the endpoints beside the query read from, made of one store. */
import { SystemClock } from '../../core/runtime/clock.ts';
import { readSettingsTimeline } from '../../core/runtime/settings.ts';
import type { Quota } from '../ledger/quota.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { ClusterDeps } from './evidence/cluster-answers.ts';
import { StoreClusterReader } from './evidence/cluster-reader.ts';
import type { ExplainDeps } from './evidence/explain-number.ts';
import { StoreExplainer } from './evidence/explainer.ts';
import { StoreLedgerReader } from './feed/ledger-reader.ts';
import { LedgerWatch } from './feed/ledger-watch.ts';
import type { LedgerFeedDeps } from './feed/list-ledger.ts';
import { DEFAULT_LIMITS, type MinutesConfig } from './limits/config.ts';
import { OnDemand } from './limits/on-demand.ts';
import { StoreMinutes, type Minutes } from './minutes/minutes.ts';
import type { PeriodsDeps } from './statements/period-answers.ts';
import { StorePeriodsReader } from './statements/periods-reader.ts';
import type { QuotaDeps } from './tenants/quota-answers.ts';
import type { TenantDeps } from './tenants/tenant-answers.ts';
import { StoreTenantReader } from './tenants/tenant-reader.ts';

/** What is seen of a new entry at the latest, by who waits for it. */
const LEDGER_POLL_MS = 500;
const MAX_WAITING = 256;
const MAX_WAITING_OF_ONE = 16;
const MAX_STATEMENT_BYTES = 64 * 1024 ** 2;
/** An hour of a large cluster is folded again in seconds. */
const EXPLAIN_TIMEOUT_MS = 20_000;
const MAX_EXPLAINING = 2;

export type Readers = Omit<
  LedgerFeedDeps & PeriodsDeps & ExplainDeps & ClusterDeps & TenantDeps & QuotaDeps,
  'clock'
> & { readonly minutes: Minutes };

export interface ReadersConfig {
  readonly queryTimeoutMs: number;
  /** Between two looks at the ledger while somebody waits. */
  readonly ledgerPollMs?: number;
  readonly minutes?: MinutesConfig;
}

export interface ReadersDeps {
  readonly store: UsageStore;
  /** As they are declared now. */
  readonly quotas?: () => readonly Quota[];
}

/** Waiting and time limits are of the real world, whatever time usage is measured in. */
export function readersOf(config: ReadersConfig, { store, quotas = () => [] }: ReadersDeps): Readers {
  const { queryTimeoutMs, ledgerPollMs = LEDGER_POLL_MS, minutes = DEFAULT_LIMITS.minutes } = config;
  const waitClock = new SystemClock();
  const watching = {
    ...{ pollMs: ledgerPollMs, queryTimeoutMs },
    ...{ maxWaiting: MAX_WAITING, maxWaitingOfOne: MAX_WAITING_OF_ONE },
  };
  const folding = { store, clock: waitClock };
  const defaults = readSettingsTimeline(undefined);
  const explaining = { timeoutMs: EXPLAIN_TIMEOUT_MS, maxRunning: MAX_EXPLAINING, defaults };
  const { timeoutMs, running: maxRunning } = minutes;
  return {
    waitClock,
    quotas,
    ledger: new StoreLedgerReader({ queryTimeoutMs }, { store }),
    ledgerWatch: new LedgerWatch(watching, { store, clock: waitClock }),
    periods: new StorePeriodsReader({ queryTimeoutMs, maxStatementBytes: MAX_STATEMENT_BYTES }, { store }),
    explainer: new StoreExplainer(new OnDemand(explaining, folding)),
    minutes: new StoreMinutes(minutes, new OnDemand({ timeoutMs, maxRunning, defaults }, folding)),
    clusters: new StoreClusterReader({ queryTimeoutMs }, { store }),
    tenants: new StoreTenantReader({ queryTimeoutMs }, { store }),
  };
}
