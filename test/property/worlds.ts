/**
 * Random worlds: small clusters, few series, and everything that can go wrong with them, on a grid of times
 * so coarse that boundaries collide. One seed is one world.
 *
 * A failing world shrinks by leaving out records, halves first, then single metrics of the records that are
 * left.
 */
import * as fc from 'fast-check';
import { runModel } from '../model/model.ts';
import type { ModelRecord, ModelSettings, OtlpMetric } from '../model/record.ts';
import { VECTOR_SETTINGS } from '../vectors/vectors.ts';
import { addDeltaCounters, addExporterCounters, addKernelCounters } from './worlds/counters.ts';
import { deliver } from './worlds/delivery.ts';
import { detailRecords } from './worlds/details.ts';
import { addSightings, NAMESPACES } from './worlds/dimensions.ts';
import { addClaims, addMemory, addRequests } from './worlds/gauges.ts';
import { ofWorld, prefixOf } from './worlds/names.ts';
import { Random } from './worlds/random.ts';
import { HOUR, MINUTE, SECOND, type Place, type Scene } from './worlds/scene.ts';

export interface World {
  /** Builds the whole world again; a shrunk one holds fewer records. */
  readonly seed: number;
  readonly settings: ModelSettings;
  readonly records: readonly ModelRecord[];
}

const PARTS = {
  kernel: addKernelCounters,
  exporter: addExporterCounters,
  delta: addDeltaCounters,
  memory: addMemory,
  claims: addClaims,
  requests: addRequests,
} as const;

/**
 * So many seeds in a row have the same settings, so that their worlds can share one store and one pipeline.
 */
export const WORLDS_PER_SETTINGS = 30;

/**
 * Its namespaces, nodes, targets and pods have names of their own; its clusters it shares with other worlds.
 */
export function buildWorld(seed: number): World {
  const random = new Random(seed);
  const details = new Random(seed ^ DETAILS);
  const scene: Scene = { random, details, settings: settingsOf(seed), targets: [] };
  const clusters = random.pick([['rt1'], ['rt1'], ['rt1', 'rt2'], ['rt1', 'rt2', 'rt3']]);
  for (const cluster of clusters) {
    for (let count = random.int(1, clusters.length === 1 ? 5 : 2); count > 0; count -= 1) {
      const part = random.weighted({
        kernel: 34,
        exporter: 28,
        delta: 8,
        memory: 12,
        claims: 9,
        requests: 9,
      });
      const place: Place = { cluster, node: 'n1', namespace: random.pick(NAMESPACES) };
      PARTS[part](scene, place);
    }
    if (random.chance(0.9)) addSightings(scene, cluster);
  }
  const records = [...deliver(scene), ...detailRecords(scene, clusters)];
  records.sort((a, b) => a.timestampMs - b.timestampMs);
  return { seed, settings: scene.settings, records: ofWorld(seed, records) };
}

/** Makes other random numbers of a seed. */
const DETAILS = 0x2b7e1516;

const LATENESSES = [48 * HOUR, 10 * MINUTE, HOUR, 48 * HOUR, MINUTE];

/** Bounds and look-backs short enough to be met. */
function settingsOf(seed: number): ModelSettings {
  const group = Math.floor(seed / WORLDS_PER_SETTINGS);
  const random = new Random(-1 - group);
  const seeds = Array.from({ length: WORLDS_PER_SETTINGS }, (_, i) => group * WORLDS_PER_SETTINGS + i);
  return {
    ...VECTOR_SETTINGS,
    platformNamespaces: seeds.map((each) => `${prefixOf(each)}kube-system`),
    maxHoldMs: random.pick([5 * MINUTE, 5 * MINUTE, MINUTE, 90 * SECOND]),
    latenessMs: LATENESSES[group % LATENESSES.length] ?? 48 * HOUR,
    maxCores: random.pick([256, 256, 10]),
    maxLinkBytesPerSecond: random.pick([12_500_000_000, 12_500_000_000, 1_000_000]),
    rawRetentionMs: random.pick([45, 45, 45, 10]) * 24 * HOUR,
  };
}

class WorldArbitrary extends fc.Arbitrary<World> {
  override generate(random: fc.Random): fc.Value<World> {
    return new fc.Value(buildWorld(random.nextInt(0, 0x7fffffff)), undefined);
  }

  override canShrinkWithoutContext(value: unknown): value is World {
    return typeof value === 'object' && value !== null && 'records' in value && 'settings' in value;
  }

  override shrink(value: World): fc.Stream<fc.Value<World>> {
    return fc.stream(smallerWorlds(value)).map((world) => new fc.Value(world, undefined));
  }
}

export function world(): fc.Arbitrary<World> {
  return new WorldArbitrary();
}

/** The same world with fewer records, largest cuts first, then with fewer metrics in its records. */
export function* smallerWorlds({ seed, settings, records }: World): IterableIterator<World> {
  for (let size = Math.ceil(records.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < records.length; from += size) {
      yield { seed, settings, records: [...records.slice(0, from), ...records.slice(from + size)] };
    }
  }
  for (const [index, record] of records.entries()) {
    for (const smaller of smallerRecords(record)) {
      yield { seed, settings, records: records.with(index, smaller) };
    }
  }
}

function smallerRecords(record: ModelRecord): ModelRecord[] {
  const resourceMetrics = record.metricsData?.resourceMetrics ?? [];
  const metrics = resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap((scope) => scope.metrics),
  );
  const [first] = resourceMetrics;
  const scope = first?.scopeMetrics[0]?.scope;
  if (first === undefined || scope === undefined || metrics.length < 2) return [];
  const holding = (kept: readonly OtlpMetric[]): ModelRecord => ({
    ...record,
    metricsData: { resourceMetrics: [{ ...first, scopeMetrics: [{ scope, metrics: kept }] }] },
  });
  return metrics.map((_, index) => holding(metrics.toSpliced(index, 1)));
}

/** How often each feature occurs: what the model met on its way, and what the log itself shows. */
export function summary({ records, settings }: World): Record<string, number> {
  const { rows, notes } = runModel(records, settings);
  const ups = records.flatMap(upsOf);
  const failedAt = new Set(ups.filter(({ value }) => value === 0).map(({ at }) => at));
  const lateBy = (hours: number) => (record: ModelRecord) =>
    upsOf(record).some(({ timeMs }) => record.timestampMs - timeMs >= hours * HOUR);
  const meters = Object.groupBy(rows, (row) => `meter_${row.meter}`);
  return {
    ...Object.fromEntries(notes),
    ...Object.fromEntries(Object.entries(meters).map(([name, same]) => [name, same?.length ?? 0])),
    records: records.length,
    points: records.reduce((sum, record) => sum + pointsIn(record), 0),
    rows: rows.length,
    failed_scrape: failedAt.size,
    up_zero_and_one: ups.filter(({ value, at }) => value === 1 && failedAt.has(at)).length,
    record_without_up: records.filter((record) => record.metricsData !== null && upsOf(record).length === 0)
      .length,
    late_by_an_hour: records.filter(lateBy(1)).length,
    late_by_a_day: records.filter(lateBy(24)).length,
    several_clusters: new Set(records.map(({ topic }) => topic)).size > 1 ? 1 : 0,
  };
}

function upsOf(record: ModelRecord): { at: string; timeMs: number; value: unknown }[] {
  return metricsOf(record).flatMap(({ resource, metric }) =>
    metric.name !== 'up'
      ? []
      : (metric.gauge?.dataPoints ?? []).map((point) => {
          const timeMs = Number(BigInt(point.timeUnixNano ?? 0) / 1_000_000n);
          return { at: `${record.topic} ${resource} ${String(timeMs)}`, timeMs, value: point.asDouble };
        }),
  );
}

function pointsIn(record: ModelRecord): number {
  const shapes = metricsOf(record).map(
    ({ metric }) => metric.gauge ?? metric.sum ?? metric.histogram ?? metric.summary,
  );
  return shapes.reduce((sum, shape) => sum + (shape?.dataPoints.length ?? 0), 0);
}

function metricsOf(record: ModelRecord): { resource: string; metric: OtlpMetric }[] {
  return (record.metricsData?.resourceMetrics ?? []).flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.map((metric) => ({ resource: JSON.stringify(resource), metric })),
    ),
  );
}
