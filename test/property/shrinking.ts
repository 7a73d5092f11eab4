/** From a world that fails to the few records that make it fail, and to lines a reader can follow. */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { ModelRecord, OtlpAttribute, OtlpMetric, OtlpPoint } from '../model/record.ts';
import { differences, type Difference } from './pipeline.ts';
import { smallerWorlds, type World } from './worlds.ts';

/** Orders of delivery that a world is tried in; what fails in none of them is taken to hold. */
const DELIVERIES = 6;
/** Worlds tried on the way; a stop for what shrinks badly. */
const MAX_TRIALS = 600;

export interface Failure {
  readonly world: World;
  readonly deliverySeed: number;
  readonly differences: readonly Difference[];
}

/** The first delivery of this world by itself that gives something else than the model says. */
export async function failureAlone(
  store: UsageStore,
  world: World,
  deliverySeeds: Iterable<number>,
): Promise<Failure | undefined> {
  for (const deliverySeed of deliverySeeds) {
    const found = await differences(store, [world], deliverySeed);
    if (found.length > 0) return { world, deliverySeed, differences: found };
  }
  return undefined;
}

export async function shrunk(store: UsageStore, failure: Failure): Promise<Failure> {
  let smallest = failure;
  let trials = 0;
  for (let smaller: Failure | undefined = failure; smaller !== undefined;) {
    smallest = smaller;
    smaller = undefined;
    for (const world of smallerWorlds(smallest.world)) {
      if (++trials > MAX_TRIALS) return smallest;
      smaller = await failureAlone(store, world, [smallest.deliverySeed, ...seeds(DELIVERIES - 1)]);
      if (smaller !== undefined) break;
    }
  }
  return smallest;
}

export function seeds(count: number): number[] {
  return Array.from({ length: count }, (_, seed) => seed);
}

export function described({ world, deliverySeed, differences: found }: Failure): string {
  return [
    `world ${world.seed}, delivery ${deliverySeed}, settings ${JSON.stringify(world.settings)}`,
    ...world.records.map(recordText),
    ...found.map(({ key, model, pipeline }) => `${key}: model ${model}; pipeline ${pipeline}`),
  ].join('\n');
}

function recordText({ timestampMs, metricsData }: ModelRecord): string {
  if (metricsData === null) return `${timeText(timestampMs)} unreadable`;
  return metricsData.resourceMetrics
    .map(({ resource, scopeMetrics }) => {
      const shown = scopeMetrics.flatMap(({ metrics }) => metrics.flatMap(metricLines));
      return [`${timeText(timestampMs)} ${attributesText(resource.attributes)}`, ...shown].join('\n');
    })
    .join('\n');
}

function metricLines(metric: OtlpMetric): string[] {
  const data = metric.gauge ?? metric.sum ?? metric.histogram ?? metric.summary;
  const delta = data?.aggregationTemporality === 1 ? ' delta' : '';
  return (data?.dataPoints ?? []).map((point) => `    ${metric.name}${delta} ${pointText(point)}`);
}

function pointText({ attributes, timeUnixNano, startTimeUnixNano, ...value }: OtlpPoint): string {
  const start = startTimeUnixNano === undefined ? '' : ` since ${nanosText(startTimeUnixNano)}`;
  return `{${attributesText(attributes ?? [])}} ${JSON.stringify(value)} @${nanosText(timeUnixNano)}${start}`;
}

function attributesText(attributes: readonly OtlpAttribute[]): string {
  return attributes
    .filter(({ value }) => value.stringValue !== '')
    .map(({ key, value }) => `${key}=${value.stringValue ?? JSON.stringify(value)}`)
    .join(',');
}

function nanosText(nanos: string | undefined): string {
  return timeText(Number(BigInt(nanos ?? '0') / 1_000_000n));
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
