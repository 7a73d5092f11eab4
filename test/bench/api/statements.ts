/** Statements of a closed month, by the code that a close makes them with, over figures of no meaning. */
import { appendClose, type Close } from '../../../aggregator/ledger/decisions.ts';
import { RULE_VERSION } from '../../../aggregator/ledger/entry.ts';
import { Ledger } from '../../../aggregator/ledger/ledger.ts';
import { periodEntry } from '../../../aggregator/ledger/periods.ts';
import type { Statement } from '../../../aggregator/ledger/statement.ts';
import { closeHash, settingsHash, statementHash } from '../../../aggregator/ledger/statements/canonical.ts';
import { renderJson } from '../../../aggregator/ledger/statements/json.ts';
import type { UsageStore } from '../../../aggregator/store/usage-store.ts';
import { periodName, type Period } from '../../../core/metering/period.ts';
import { SETTINGS } from '../../support/accounts.ts';
import { tenantName, type Load } from './plan.ts';

const HOURS = 720;

export async function closeMonth(
  store: UsageStore,
  load: Load,
  { period, cluster }: { readonly period: Period; readonly cluster: string },
): Promise<void> {
  const rows = Array.from({ length: load.tenants }, (_, i) => {
    const statement = statementOf(load, { period, cluster, tenant: tenantName(i) });
    return { period, tenant: statement.tenant, hash: statementHash(statement), body: renderJson(statement) };
  });
  const body = {
    ...{ ruleVersion: RULE_VERSION, settings: SETTINGS, settingsHash: settingsHash(SETTINGS) },
    ...{
      waivers: [],
      clusters: [cluster],
      statements: rows.map(({ tenant, hash }) => [tenant, hash] as [string, string]),
    },
  };
  const decided = { kind: 'close' as const, period, cut: [], upTo: 0n, previousHash: '', ...body };
  const close: Close = {
    ...decided,
    hash: closeHash({ ...decided, period: periodName(period), previousCloseHash: '' }),
  };
  await store.insert('statement', rows);
  await appendClose(store, close);
  await new Ledger({ store }).append([periodEntry(period, 'closed', { hash: close.hash })]);
}

export async function openMonth(store: UsageStore, period: Period): Promise<void> {
  await new Ledger({ store }).append([periodEntry(period, 'open', {})]);
}

function statementOf(
  { meters, namespaces }: Load,
  { period, cluster, tenant }: { readonly period: Period; readonly cluster: string; readonly tenant: string },
): Statement {
  const lines = meters.flatMap((meter) =>
    Array.from({ length: namespaces }, (_, i) => ({
      ...{
        cluster,
        namespace: `ns-${i}`,
        meter,
        quantity: 900_000_000_000n * BigInt(HOURS + i),
        hours: HOURS,
      },
      ...{ missingMs: 0n, samples: 86_400n, flags: 0, hoursHash: 'ab'.repeat(32) },
    })),
  );
  const coverage = meters.map((meter) => {
    const all = BigInt(HOURS) * 3_600_000n;
    return { cluster, meter, coveredMs: all, expectedMs: all };
  });
  return {
    ...{
      period: periodName(period),
      tenant,
      ruleVersion: RULE_VERSION,
      settingsHash: settingsHash(SETTINGS),
    },
    ...{ previousCloseHash: '', waivers: [], coverage, lines, corrections: [] },
  };
}
