/**
 * Nine days over the end of a month, the last hours of them open, as ledger and roll-up hold them: some hours
 * in which nothing was used, some that were corrected, and quantities past 64 bits.
 */
import * as fc from 'fast-check';

import type { UsageSum } from '../../aggregator/api/usage-reader.ts';
import {
  fingerprint,
  NO_QUARTERS,
  NOTHING,
  type LedgerEntry,
  type Quarters,
} from '../../aggregator/ledger/entry.ts';
import { Ledger } from '../../aggregator/ledger/ledger.ts';
import { periodEntry } from '../../aggregator/ledger/periods.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { WINDOW_SIZES } from '../../core/metering/windows.ts';

export const HOUR = 3_600_000;
export const BEGIN = Date.UTC(2026, 2, 26);
export const HOURS = 9 * 24;
export const OPEN_FROM = BEGIN + (HOURS - 30) * HOUR;
export const TENANTS = ['acme', 'globex', 'initech'];
export const CLUSTERS = ['north', 'south'];
const NAMESPACES = ['db', 'web'];
export const ALL = { kind: 'all' } as const;
/** Of what is stored. */
export const SIZES = WINDOW_SIZES.filter((size) => size !== 'MINUTE');

export interface Used {
  readonly hour: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly quarters: Quarters;
  readonly revision: number;
}

function usage(): Used[] {
  const quarter = fc.oneof({ weight: 3, arbitrary: fc.bigInt(0n, 1000n) }, fc.bigInt(0n, 1n << 100n));
  const one = fc.record({
    hour: fc.nat(HOURS - 1).map((i) => BEGIN + i * HOUR),
    tenant: fc.constantFrom(...TENANTS),
    cluster: fc.constantFrom(...CLUSTERS),
    namespace: fc.constantFrom(...NAMESPACES),
    quarters: fc.tuple(quarter, quarter, quarter, quarter),
    revision: fc.integer({ min: 1, max: 3 }),
  });
  const key = ({ hour, tenant, cluster, namespace }: Used): string =>
    [hour, tenant, cluster, namespace].join();
  const [rows = []] = fc.sample(
    fc.uniqueArray(one, { selector: key, minLength: 700, maxLength: 900, size: 'max' }),
    {
      seed: 20_260_326,
      numRuns: 1,
    },
  );
  return rows;
}

export function entryOf({ revision, ...row }: Used): LedgerEntry {
  return {
    ...{
      ...NOTHING,
      ...row,
      meter: 'cpu',
      kind: 'usage',
      period: row.hour < Date.UTC(2026, 3) ? 202603 : 202604,
    },
    ...{
      id: fingerprint(JSON.stringify([row.hour, row.tenant, row.cluster, row.namespace]), revision),
      revision,
    },
    ...{ final: false, before: NO_QUARTERS, inputHash: Buffer.alloc(16), body: '' },
  };
}

/** What it wrote, hour by hour. */
export async function liveNineDays(store: UsageStore): Promise<readonly Used[]> {
  const used = usage();
  const settled = used.filter(({ hour }) => hour < OPEN_FROM);
  const ledger = new Ledger({ store });
  for (let revision = 1; revision <= 3; revision++) {
    const before = await ledger.head();
    const rows = settled.filter((row) => row.revision >= revision);
    // What was revised had another value before.
    const wrong: Quarters = [7n, 7n, 7n, 7n];
    await ledger.append(
      rows.map((row) =>
        entryOf({ ...row, revision, ...(row.revision > revision ? { quarters: wrong } : {}) }),
      ),
    );
    await ledger.project(before);
  }
  await ledger.append([periodEntry(202603, 'settling', {}), periodEntry(202604, 'open', {})]);
  await store.insert(
    'usage_parts',
    used.map(({ hour, tenant, cluster, namespace, quarters: [q0, q1, q2, q3] }) => ({
      ...{ cluster, unit: hour / 1000, hour: hour / 1000, tenant, namespace, meter: 'cpu', q0, q1, q2, q3 },
      ...{ missing_ms: 0, samples: 1, flags: 0, version: 1 },
    })),
  );
  const hours = Array.from({ length: HOURS }, (_, i) => BEGIN + i * HOUR);
  const marks = CLUSTERS.flatMap((cluster) =>
    hours.map((hour) => ({
      ...{ cluster, hour: hour / 1000, source: 'roll-up', marked: 1 },
      isOpen: hour >= OPEN_FROM,
    })),
  );
  await store.insert(
    'hour_mark',
    marks.map(({ isOpen, ...mark }) => ({ ...mark, settled: isOpen ? 0 : 1 })),
  );
  return used;
}

export function shown({ windowStartMs, group, value, revision }: UsageSum): string {
  return JSON.stringify([windowStartMs, group, String(value), revision]);
}
