/**
 * Worlds through the pipeline: whatever the order and the repetition of their records, wherever it is
 * interrupted and rolled up in between, the usage must be what the model says, to the unit and the quarter.
 */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { modelUsage } from '../model/model.ts';
import { emptyStore, Pipeline } from '../support/pipeline.ts';
import { deliveryPlan, type GroupMember, type Step } from './delivery-plan.ts';
import { inOwnClusters, prefixOf } from './worlds/names.ts';
import type { World } from './worlds.ts';

export interface Difference {
  readonly seed: number;
  readonly key: string;
  readonly model: string;
  readonly pipeline: string;
}

/**
 * Deliver the worlds, which must have the same settings, into an empty store, and hold what comes out to the
 * model.
 */
export async function differences(
  store: UsageStore,
  worlds: readonly World[],
  deliverySeed: number,
): Promise<Difference[]> {
  const group = groupOf(worlds);
  const usage = await deliver(store, group, deliverySeed);
  return group.flatMap(({ world: { seed, records, settings } }) => {
    const ofWorld = usage.filter((row) => row.namespace.startsWith(prefixOf(seed)));
    return usageDifferences(ofWorld, modelUsage(records, settings)).map((row) => ({ seed, ...row }));
  });
}

/** Every eighth world has clusters of its own, and so has one that is alone. */
export function groupOf(worlds: readonly World[]): GroupMember[] {
  return worlds.map((world) => {
    const hasOwnClusters = world.seed % 8 === 0 || worlds.length === 1;
    const { seed, records } = world;
    return {
      world: hasOwnClusters ? { ...world, records: inOwnClusters(seed, records) } : world,
      hasOwnClusters,
    };
  });
}

/** Usage rows after everything was delivered and rolled up. */
export async function deliver(
  store: UsageStore,
  group: readonly GroupMember[],
  deliverySeed: number,
): Promise<readonly UsageRow[]> {
  const [first] = group;
  if (first === undefined) return [];
  await emptyStore(store);
  const pipeline = new Pipeline(store, first.world.settings);
  for (const step of deliveryPlan(group, deliverySeed)) await take(pipeline, step);
  return await pipeline.usage();
}

async function take(pipeline: Pipeline, step: Step): Promise<void> {
  switch (step.do) {
    case 'take':
      await pipeline.take(step.records);
      break;
    case 'pass':
      await pipeline.rollUp(step.process);
      break;
    case 'restart':
      pipeline.restart();
      break;
  }
}

interface UsageRow {
  readonly hour: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly quarters: readonly bigint[];
  readonly missingMs: bigint;
}

export function usageDifferences(
  pipeline: readonly UsageRow[],
  model: readonly UsageRow[],
): Omit<Difference, 'seed'>[] {
  return compare(text(pipeline), text(model));
}

function text(rows: readonly UsageRow[]): Map<string, string> {
  return new Map(
    rows.map((row) => [
      [new Date(row.hour).toISOString(), row.tenant, row.cluster, row.namespace, row.meter].join(' '),
      `${row.quarters.join('+')} missing ${row.missingMs}`,
    ]),
  );
}

function compare(
  pipeline: ReadonlyMap<string, string>,
  model: ReadonlyMap<string, string>,
): Omit<Difference, 'seed'>[] {
  const keys = [...new Set([...pipeline.keys(), ...model.keys()])].sort();
  return keys
    .map((key) => ({ key, model: model.get(key) ?? 'nothing', pipeline: pipeline.get(key) ?? 'nothing' }))
    .filter((row) => row.model !== row.pipeline);
}
