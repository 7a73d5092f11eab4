/**
 * The year as it happens: day by day through ingest, roll-up, settling, reconciliation, closes and retention.
 */
import { decisionsText } from '../../aggregator/ledger/commands.ts';
import type { Declared } from '../../aggregator/ledger/declared.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { periodEnd, periodName } from '../../core/metering/period.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { readDigest, type YearDigest } from './digest.ts';
import { Progress, type Cost, type Memory } from './progress.ts';
import { CLUSTERS, DAY_MS, periodsOf, silenceOf, YearRecords, type YearPlan } from './records.ts';
import { DayClock, stagesOn } from './stages.ts';
import { openYearStore } from './store.ts';

export interface LiveYear {
  readonly digest: YearDigest;
  /** As `metering decisions` prints them. */
  readonly decisions: string;
  readonly counts: Counts;
  readonly cost: Cost;
  readonly memory: Memory;
  readonly storeBytes: number;
}

interface Counts {
  scrapes: number;
  samples: number;
  rejected: number;
  units: number;
  ledgerEntries: number;
  partitionsDropped: number;
  /** Hours in which something was measured that nobody was given. */
  unreconciled: number;
}

export async function liveYear(plan: YearPlan, directory: string): Promise<LiveYear> {
  const opened = await openYearStore(directory, 'year');
  try {
    const { store } = opened;
    const progress = new Progress('year');
    const counts = await live(store, plan, progress);
    const [cost, memory] = [progress.cost(), progress.memory()];
    const [row] = await store.rows<{ n: string }>('SELECT count() AS n FROM ledger');
    counts.ledgerEntries = Number(row?.n ?? 0);
    const digest = await readDigest(store, periodsOf(plan));
    const decisions = await decisionsText(store);
    return { digest, decisions, counts, cost, memory, storeBytes: await opened.size() };
  } finally {
    await opened.dispose();
  }
}

async function live(store: UsageStore, plan: YearPlan, progress: Progress): Promise<Counts> {
  const counts: Counts = {
    ...{ scrapes: 0, samples: 0, rejected: 0, units: 0, ledgerEntries: 0 },
    ...{ partitionsDropped: 0, unreconciled: 0 },
  };
  const facts: FactSink = {
    event: (name, fields) => {
      if (name === 'unitRolledUp') progress.units(1);
      if (name === 'unitRolledUp') counts.units++;
      if (name === 'partitionDropped') counts.partitionsDropped++;
      if (name === 'reconciliationFailed') counts.unreconciled++;
      if (name === 'periodClosed') progress.say(`closed ${JSON.stringify(fields)}`);
    },
  };
  const clock = new DayClock();
  const declared = (): Promise<Declared> => Promise.resolve(declaredAt(clock.now(), plan));
  const { ingest, accounts, retention } = stagesOn({ store, clock, facts }, { clusters: CLUSTERS, declared });
  for (const { endMs, records } of new YearRecords(plan).days()) {
    clock.moveTo(endMs);
    const { partitions } = await ingest.take(records);
    for (const tally of partitions.values()) {
      counts.scrapes += tally.records;
      counts.samples += tally.samples;
      counts.rejected += [...tally.rejected.values()].reduce((a, b) => a + b, 0);
    }
    await accounts.pass();
    await retention.enforce();
    progress.day(endMs);
  }
  return counts;
}

/** The operator waives the silent cluster two days after the end of its month. */
function declaredAt(nowMs: number, plan: YearPlan): Declared {
  const { cluster, period } = silenceOf(plan);
  if (nowMs < periodEnd(period) + 2 * DAY_MS) return { waivers: [], quotas: [], erasures: [] };
  const waiver = { period: periodName(period), cluster, reason: 'moved to new hardware', approvedBy: 'ops' };
  return { waivers: [waiver], quotas: [], erasures: [] };
}
