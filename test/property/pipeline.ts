/**
 * Worlds through the pipeline: whatever the order and the repetition of their records, wherever it is
 * interrupted and rolled up in between, the usage must be what the model says, to the unit and the quarter.
 */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import {
  readDetailGaps,
  readDetailRows,
  type DetailGap,
  type DetailRow,
} from '../../aggregator/rollup/detail-rows.ts';
import { runModel } from '../model/model.ts';
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
  const details = await readDetailRows(store);
  const found = group.flatMap(({ world: { seed, records, settings } }) => {
    const isOwn = ({ namespace }: { readonly namespace: string }): boolean =>
      namespace.startsWith(prefixOf(seed));
    const model = runModel(records, settings);
    return [
      ...usageDifferences(usage.filter(isOwn), model.rows),
      ...detailDifferences(details.filter(isOwn), model.details),
    ].map((row) => ({ seed, ...row }));
  });
  const gaps = await readDetailGaps(store, { from: 0, to: Infinity });
  return [...found, ...gaps.map((gap) => ({ seed: -1, ...gapText(gap) }))];
}

/** What the model says to sum up is summed up by itself, so that a fault of both is found. */
function gapText({ parts, details, ...key }: DetailGap): Omit<Difference, 'seed'> {
  return {
    key: JSON.stringify(key),
    model: `parts ${parts.join('+')}`,
    pipeline: `details ${details.join('+')}`,
  };
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
    case 'hand over':
      pipeline.handOver();
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

type ComparedDetail = Omit<DetailRow, 'quarters'> & { readonly quarters: readonly bigint[] };

export function detailDifferences(
  pipeline: readonly ComparedDetail[],
  model: readonly ComparedDetail[],
): Omit<Difference, 'seed'>[] {
  return compare(detailText(pipeline), detailText(model));
}

function detailText(rows: readonly ComparedDetail[]): Map<string, string> {
  return new Map(
    rows.map(({ hour, tenant, cluster, namespace, meter, quarters, ...names }) => {
      const of = [names.workload, names.destination, names.storageClass];
      const key = [new Date(hour).toISOString(), tenant, cluster, namespace, meter, ...of];
      return [JSON.stringify(key), quarters.join('+')];
    }),
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
