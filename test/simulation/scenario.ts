/**
 * One cluster, two months, ten records: a birth, a change of owner, a close, late data, the next close with
 * its correction, and a floor. Small enough to be run for each of its calls.
 */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { ModelRecord } from '../model/record.ts';
import { SETTINGS } from '../support/accounts.ts';
import { metricsData, type Row } from '../vectors/otlp-json.ts';
import { differences } from './invariants.ts';
import { billed, emptyEverything } from './replayed.ts';
import { Simulation, type Judge } from './simulation.ts';
import { DAY, HOUR, MINUTE } from './traffic.ts';
import { NO_FAULTS, type World } from './world.ts';

const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);
interface Scraped {
  readonly t: number;
  readonly cpu?: Readonly<Record<string, number>>;
  readonly owner?: string;
  readonly delayMs?: number;
}

function record({ t, cpu = {}, owner, delayMs = 1_500 }: Scraped): Omit<ModelRecord, 'offset'> {
  const cluster = 'north';
  const rows: Row[] = [{ name: 'up', labels: { cluster }, timeMs: t, value: { asDouble: 1 } }];
  for (const [pod, seconds] of Object.entries(cpu)) {
    const labels = { cluster, node: 'n1', namespace: 'shop', pod, id: `/kubepods/${pod}` };
    rows.push({ name: 'container_cpu_usage_seconds_total', labels, timeMs: t, value: { asDouble: seconds } });
  }
  if (owner !== undefined) {
    const labels = { cluster, namespace: 'shop', label_gh0stcloud_io_tenant: owner };
    rows.push({ name: 'kube_namespace_labels', labels, timeMs: t, value: { asDouble: 1 } });
  }
  const data = metricsData({ job: 'kubelet', instance: 'n1' }, rows);
  return { topic: 'usage.north', partition: 0, timestampMs: t + delayMs, metricsData: data };
}

const RECORDS = [
  record({ t: NOVEMBER - 2 * HOUR, cpu: { web: 10 }, owner: 'acme' }),
  record({ t: NOVEMBER - HOUR, cpu: { web: 610, born: 30 } }),
  record({ t: NOVEMBER - 30 * MINUTE, cpu: { web: 700 }, owner: 'globex' }),
  record({ t: NOVEMBER + 10 * MINUTE, cpu: { web: 900, born: 90 } }),
  record({ t: NOVEMBER + 70 * MINUTE, cpu: {} }),
  record({ t: NOVEMBER - 40 * MINUTE, cpu: { web: 650, late: 5 }, delayMs: 5 * HOUR }),
  record({ t: NOVEMBER - 20 * MINUTE, cpu: { late: 25 }, delayMs: 5 * HOUR }),
  record({ t: DECEMBER - 10 * MINUTE, cpu: { next: 3 } }),
  record({ t: DECEMBER + 20 * MINUTE, cpu: { next: 63 } }),
  record({ t: DECEMBER + 70 * MINUTE, cpu: {} }),
]
  .sort((a, b) => a.timestampMs - b.timestampMs)
  .map((each, offset) => ({ ...each, offset: BigInt(offset) }));

export const SCENARIO: World = {
  ...{ seed: 1, sharing: 'alone', faults: NO_FAULTS, records: RECORDS, waivers: [] },
  settings: { ...SETTINGS, latenessMs: HOUR, rawRetentionMs: 3 * DAY },
  clusters: [{ cluster: 'north', partitions: 1, silentFromMs: Infinity, silentUntilMs: Infinity }],
  steps: [
    { atMs: NOVEMBER - 35 * MINUTE, do: 'pass' },
    { atMs: NOVEMBER + 80 * MINUTE, do: 'pass' },
    { atMs: NOVEMBER + 6 * HOUR, do: 'pass' },
    { atMs: DECEMBER + 80 * MINUTE, do: 'pass' },
    { atMs: DECEMBER + 90 * MINUTE, do: 'retention' },
  ],
  endMs: DECEMBER + 2 * HOUR,
};

export interface End {
  readonly billed: ReadonlyMap<string, string>;
  readonly found: readonly string[];
  readonly calls: number;
  readonly crashes: number;
}

/** The scenario in an empty store, to its end. */
export async function runScenario(
  store: UsageStore,
  judge: Judge = () => 'done',
  world: World = SCENARIO,
): Promise<End> {
  await emptyEverything(store);
  const simulation = new Simulation(store, world, { judge, finishSteps: true });
  await simulation.run();
  const { scheduler, crashes } = simulation;
  const found = await differences(simulation);
  return { billed: await billed(store), found, calls: scheduler.count, crashes };
}
