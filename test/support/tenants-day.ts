/**
 * A day of several tenants as ingest, roll-up and settling leave it, written by hand: the same namespaces,
 * clusters and workloads where they may meet, and others of each one's own. What is one tenant's own names it.
 */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { seconds } from './rolled-usage.ts';

export const DAY = '2026-03-28';
export const WHOLE_DAY = [
  ['from', `${DAY}T00:00Z`],
  ['to', '2026-03-29T00:00Z'],
] as const;
export const NOW_MS = Date.parse(`${DAY}T11:45:00Z`);
export const MINE = 'acme';
export const OTHERS = ['globex', 'acme-2', 'ACME', 'initech', 'platform', 'unattributed'] as const;

/** In `west` and `lone` acme has nothing. */
const CLUSTERS_OF: Readonly<Record<string, readonly string[]>> = {
  [MINE]: ['north', 'south'],
  globex: ['north', 'west'],
  initech: ['lone'],
};

/** When each was last seen, and what was scraped of every hour until then: no two of them say the same. */
const SCRAPED = {
  north: { seen: '11:40:00', coveredMs: 3_600_000 },
  south: { seen: '11:40:00', coveredMs: 3_300_000 },
  west: { seen: '10:30:00', coveredMs: 1_700_000 },
  lone: { seen: '09:30:00', coveredMs: 900_000 },
} as const;

export type ClusterOfDay = keyof typeof SCRAPED;

const SETTLED_HOUR = '09:00';
const OPEN_HOURS = ['10:00', '11:00'];
const COUNTS = { missing_ms: 0, samples: 4, flags: 0 };

export function clustersOf(tenant: string): readonly string[] {
  return CLUSTERS_OF[tenant] ?? ['north'];
}

/** What its usage is told apart by: of its own, and as everybody else calls it. */
export function detailsOf(tenant: string) {
  const own = {
    workload: `Deployment/${tenant}`,
    destination: `Service/${tenant}-web/api`,
    storage_class: tenant,
  };
  return [own, { workload: 'Job/nightly', destination: '203.0.113.7', storage_class: 'fast' }] as const;
}

export class TenantsDay {
  readonly #store: UsageStore;

  constructor(store: UsageStore) {
    this.#store = store;
  }

  /** As if nobody else had ever used anything. */
  async live(): Promise<void> {
    await this.#liveAs(MINE, 1, 1);
    await this.#scrape(['north', 'south']);
  }

  async liveAmongOthers(): Promise<void> {
    for (const [i, tenant] of OTHERS.entries()) await this.#liveAs(tenant, 1_000 * 7 ** (i + 1), 2 + i);
    await this.#scrape(['west', 'lone']);
  }

  async #liveAs(tenant: string, weight: number, rate: number): Promise<void> {
    await this.#use(tenant, weight);
    await this.#sample(tenant, rate);
  }

  /** One hour in the ledger, two open. */
  async #use(tenant: string, weight: number): Promise<void> {
    const store = this.#store;
    const quarters = { q0: weight, q1: 2 * weight, q2: 0, q3: 3 * weight };
    const keys = clustersOf(tenant).flatMap((cluster) =>
      [`${tenant}-web`, 'shared-name'].map((namespace) => ({ tenant, meter: 'cpu', cluster, namespace })),
    );
    const settled = { ...COUNTS, covered_ms: 3_600_000, expected_ms: 3_600_000, revision: 1, seq: 1 };
    const settledHour = { hour: at(SETTLED_HOUR), ...quarters, ...settled };
    const sighted = Date.parse(`${DAY}T08:00Z`);
    await store.insert(
      'label_history',
      keys.map(({ cluster, namespace }) => ({ cluster, namespace, t: sighted, tenant })),
    );
    await store.insert(
      'usage_current',
      keys.map((key) => ({ ...key, ...settledHour })),
    );
    await store.insert(
      'usage_day',
      keys.map((key) => ({ ...key, day: DAY, quantity: 6 * weight, ...COUNTS, seq: 1 })),
    );
    await store.insert(
      'usage_parts',
      keys.flatMap((key) =>
        OPEN_HOURS.map(at).map((hour) => ({ ...key, unit: hour, hour, ...quarters, ...COUNTS, version: 1 })),
      ),
    );
    await this.#tellApart(keys, weight);
  }

  /** Of the last quarter a part is nobody's: what is not known stands under the empty values. */
  async #tellApart(keys: readonly Readonly<Record<string, string>>[], weight: number): Promise<void> {
    const shares = [
      { q0: weight, q1: weight, q2: 0, q3: weight },
      { q0: 0, q1: weight, q2: 0, q3: weight },
    ];
    const rows = keys.flatMap((key) =>
      [SETTLED_HOUR, ...OPEN_HOURS].map(at).flatMap((hour) =>
        detailsOf(key['tenant'] ?? '').map((names, i) => ({
          ...{ ...key, ...names, ...shares[i] },
          ...{ unit: hour, hour, version: 1 },
        })),
      ),
    );
    await this.#store.insert('detail_parts', rows);
  }

  /** What minutes are made from: a counter in each cluster, in a namespace of the tenant's own. */
  async #sample(tenant: string, rate: number): Promise<void> {
    const store = this.#store;
    const of = clustersOf(tenant).map((cluster) => ({
      ...{ cluster, meter: 'cpu', series: `${tenant}/${cluster}`.padEnd(16, '.').slice(0, 16) },
    }));
    const metric = 'container_cpu_usage_seconds_total';
    const known = { metric, delta: 0, namespace: `${tenant}-web`, pod_key: '', labels: {}, seen: DAY };
    await store.insert(
      'series',
      of.map((series) => ({ ...series, ...known })),
    );
    const log = { start: 0, target: 0, topic: 'usage', partition: 0, offset: 1 };
    await store.insert(
      'samples',
      of.flatMap((series) =>
        ['10:05', '10:20', '11:10'].map((time, i) => ({
          ...{ ...series, ...log, hour: at(`${time.slice(0, 2)}:00`) },
          ...{ t: Date.parse(`${DAY}T${time}:07Z`), version: 1 + i * rate * 1_000_000 },
        })),
      ),
    );
  }

  async #scrape(clusters: readonly ClusterOfDay[]): Promise<void> {
    for (const cluster of clusters) {
      const { seen, coveredMs } = SCRAPED[cluster];
      const t = Date.parse(`${DAY}T${seen}Z`);
      const last = at(`${seen.slice(0, 2)}:00`);
      await this.#store.insert(
        'hour_mark',
        OPEN_HOURS.map((hour) => ({ cluster, hour: at(hour), source: 'test', marked: 1 })),
      );
      await this.#store.insert('watermark', [{ cluster, t }]);
      const scraped = { cluster, meter: 'cpu', covered_ms: coveredMs, expected_ms: 3_600_000, version: 1 };
      await this.#store.insert(
        'coverage',
        [SETTLED_HOUR, ...OPEN_HOURS]
          .map(at)
          .filter((hour) => hour <= last)
          .map((hour) => ({ ...scraped, hour })),
      );
      await this.#store.insert('scrape', [{ cluster, hour: last, target: 1, t, version: 2 }]);
    }
  }
}

function at(time: string): number {
  return seconds(`${DAY}T${time}Z`);
}
