/**
 * A simulated world: two clusters, two or three months, one or two aggregators, and everything that may go
 * wrong. One seed decides all of it.
 *
 * The fault model:
 * - the log delivers records twice, one partition long before another, and everything since a commit whose
 *   acknowledgement was lost; a partition may be out of reach for hours;
 * - a call to the store or the log is refused (nothing of it happened) or not answered (it happened);
 * - a process dies before or after any call, with all that it had in memory, and is started again later;
 * - a process is stalled between two calls while others go on, for as long as they have something to do;
 * - the clock of a process jumps forward by hours and back by minutes;
 * - two processes consume the same partitions, or each its own, and roll up, settle and close side by side;
 * - time passes while work is under way: records come in, holds run out;
 * - records come hours, days or weeks late, some after their month was closed, some past the raw retention;
 * - a cluster falls silent, for a while or for good, and an operator waives it.
 *
 * What does not happen: a call that is carried out by halves (an insert is one block), an acknowledged insert
 * that is lost (test/e2e kills the process, and the restart point covers the disk), and wrong data.
 */
import type { Declared } from '../../aggregator/ledger/declared.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { ModelRecord } from '../model/record.ts';
import { Random } from '../property/worlds/random.ts';
import { SETTINGS } from '../support/accounts.ts';
import { DAY, HOUR, traffic, type ClusterPlan } from './traffic.ts';

/** How often what goes wrong. All 0: nothing does. */
export interface FaultRates {
  readonly refused: number;
  readonly unanswered: number;
  readonly crash: number;
  readonly repeats: number;
  readonly omissions: number;
  /** By step of the world. */
  readonly stall: number;
  readonly unfinished: number;
  readonly clockJump: number;
  readonly partitionStall: number;
}

export const NO_FAULTS: FaultRates = {
  ...{ refused: 0, unanswered: 0, crash: 0, repeats: 0, omissions: 0 },
  ...{ stall: 0, unfinished: 0, clockJump: 0, partitionStall: 0 },
};

const FAULTS: FaultRates = {
  ...{ refused: 0.003, unanswered: 0.003, crash: 0.002, repeats: 0.1, omissions: 0.2 },
  ...{ stall: 0.2, unfinished: 0.2, clockJump: 0.05, partitionStall: 0.05 },
};

/** Who consumes what: one process everything, each its own partitions, or both everything. */
export type Sharing = 'alone' | 'split' | 'same';

/** What is done at a time of the world. */
export interface Step {
  readonly atMs: number;
  readonly do: 'pass' | 'retention';
}

export interface World {
  readonly seed: number;
  readonly settings: MeteringSettings;
  readonly clusters: readonly ClusterPlan[];
  readonly sharing: Sharing;
  readonly faults: FaultRates;
  readonly records: readonly ModelRecord[];
  readonly steps: readonly Step[];
  /** What operators declare, from then on. */
  readonly waivers: readonly { readonly atMs: number; readonly waiver: Declared['waivers'][number] }[];
  readonly endMs: number;
}

export function buildWorld(seed: number, faults: FaultRates = FAULTS): World {
  const random = new Random(seed);
  const firstMonth = random.int(1, 10);
  const edges = [0, 1, 2].slice(0, random.chance(0.02) ? 3 : 2).map((i) => Date.UTC(2026, firstMonth + i));
  const [firstEdge = 0, lastEdge = 0] = [edges[0], edges.at(-1)];
  const settings = {
    ...SETTINGS,
    latenessMs: random.pick([2, 4, 8]) * HOUR,
    rawRetentionMs: random.pick([10, 16, 45]) * DAY,
  };
  const fromMs = firstEdge - random.pick([2 * HOUR, 8 * HOUR, 4 * DAY]);
  const endMs = lastEdge + settings.latenessMs + random.int(1, 3) * DAY;
  const clusters = clustersOf(random, { edges, endMs });
  const records = traffic(random, { fromMs, toMs: endMs, clusters, edges });
  return {
    ...{ seed, settings, clusters, faults, endMs },
    sharing: random.weighted({ alone: 3, split: 4, same: 2 }),
    records: records.filter(({ timestampMs }) => timestampMs < endMs),
    steps: stepsOf(random, { fromMs, endMs, edges, latenessMs: settings.latenessMs }),
    waivers: waiversOf(clusters, edges),
  };
}

function clustersOf(
  random: Random,
  { edges, endMs }: { readonly edges: readonly number[]; readonly endMs: number },
): ClusterPlan[] {
  const silentFromMs = random.pick([endMs, random.pick([edges[0] ?? 0, endMs]) + random.int(-3, 9) * DAY]);
  const silentUntilMs = random.chance(0.5) ? Infinity : silentFromMs + random.int(2, 12) * DAY;
  return [
    { cluster: 'north', partitions: random.int(1, 2), silentFromMs: Infinity, silentUntilMs: Infinity },
    { cluster: 'south', partitions: random.int(1, 2), silentFromMs, silentUntilMs },
  ];
}

function stepsOf(
  random: Random,
  plan: { fromMs: number; endMs: number; edges: readonly number[]; latenessMs: number },
): Step[] {
  const { fromMs, endMs, edges, latenessMs } = plan;
  const passes = edges.flatMap((edge) => [
    edge + random.int(-3, 5) * HOUR,
    edge + latenessMs + random.int(0, 50) * HOUR,
    edge + random.int(4, 20) * DAY,
  ]);
  return [
    ...passes.map((atMs) => ({ atMs, do: 'pass' as const })),
    ...[0.5, 0.95].map((share) => ({
      atMs: fromMs + Math.floor((share + random.next() * 0.1) * (endMs - fromMs)),
      do: 'retention' as const,
    })),
  ]
    .filter(({ atMs }) => atMs > fromMs && atMs < endMs)
    .sort((a, b) => a.atMs - b.atMs);
}

/** The operator waives the silent cluster some days after each month that it was silent at the end of. */
function waiversOf(clusters: readonly ClusterPlan[], edges: readonly number[]): World['waivers'] {
  return clusters.flatMap(({ cluster, silentFromMs, silentUntilMs }) =>
    edges
      .filter((edge) => silentFromMs < edge + 3 * DAY && silentUntilMs > edge)
      .map((edge) => ({
        atMs: edge + 3 * DAY,
        waiver: {
          period: new Date(edge - 1).toISOString().slice(0, 7),
          cluster,
          reason: 'decommissioned',
          approvedBy: 'operations',
        },
      })),
  );
}
