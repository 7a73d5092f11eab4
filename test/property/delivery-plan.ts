/**
 * How the records of a group of worlds reach the store, decided by one seed: each world in order, shuffled
 * over a short reach, shuffled altogether, or with some of it held back; all of them mixed into common
 * batches of three partitions; some records twice, some in JSON; passes of two roll-ups and restarts in
 * between, and another process that reads on.
 *
 * What a world with clusters of its own holds back comes last and by itself, after its hours were rolled up:
 * what it changes then must be found by the marks that it alone sets.
 */
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import type { ModelRecord, OtlpMetric } from '../model/record.ts';
import { logRecord } from '../support/pipeline.ts';
import type { World } from './worlds.ts';
import { Random } from './worlds/random.ts';

export type Step =
  | { readonly do: 'take'; readonly records: readonly LogRecord[] }
  | { readonly do: 'pass'; readonly process: 0 | 1 }
  | { readonly do: 'restart' | 'hand over' };

const TOPIC = 'usage';
const PARTITIONS = 3;

export interface GroupMember {
  readonly world: World;
  /** No other world's records make its hours be rolled up again. */
  readonly hasOwnClusters: boolean;
}

export function deliveryPlan(group: readonly GroupMember[], seed: number): Step[] {
  const random = new Random(seed);
  const sent = group.map((member) => orderOfDelivery(member, random));
  const together = sent.flatMap(({ mixed }) => mixed).sort((a, b) => a.place - b.place);
  const log = new NumberedLog(random);
  const steps: Step[] = [];
  for (const batch of batches(together, random)) steps.push(...delivered(log.append(batch), random));
  const late = sent.map(({ alone }) => alone).filter((records) => records.length > 0);
  if (late.length > 0) steps.push(pass(random));
  for (const records of late) {
    for (const batch of batches(records, random)) steps.push(...delivered(log.append(batch), random));
  }
  return steps;
}

interface Placed {
  readonly record: LogRecord;
  /** 0 is the beginning of the delivery, 1 its end. */
  readonly place: number;
}

interface Sent {
  readonly mixed: readonly Placed[];
  readonly alone: readonly Placed[];
}

function orderOfDelivery({ world, hasOwnClusters }: GroupMember, random: Random): Sent {
  const sent = hasOwnClusters ? world.records.flatMap((record) => inParts(record, random)) : world.records;
  const records = [...sent, ...sent.filter(() => random.chance(0.2))];
  const placeOf = places(records.length, random);
  const placed = records.map((record, index) => ({
    record: logRecord(record, random.chance(0.25) ? 'json' : 'protobuf'),
    place: placeOf(index),
  }));
  const share = hasOwnClusters ? random.pick([0.05, 0.1, 0.2, 0.5]) : random.pick([0, 0, 0.1, 0.2, 0.5]);
  const heldBack = new Set(placed.filter(() => random.chance(share)));
  if (hasOwnClusters) return { mixed: placed.filter((each) => !heldBack.has(each)), alone: [...heldBack] };
  return {
    mixed: placed.map((each) => (heldBack.has(each) ? { ...each, place: 1 + random.next() } : each)),
    alone: [],
  };
}

/**
 * A late `up` makes every hour after it be rolled up again, which would hide what the facts beside it fail
 * to mark: so it often travels by itself.
 */
function inParts(record: ModelRecord, random: Random): ModelRecord[] {
  const [resourceMetrics] = record.metricsData?.resourceMetrics ?? [];
  const [scopeMetrics] = resourceMetrics?.scopeMetrics ?? [];
  if (resourceMetrics === undefined || scopeMetrics === undefined || random.chance(0.4)) return [record];
  const isUp = ({ name }: OtlpMetric): boolean => name === 'up';
  const parts = [scopeMetrics.metrics.filter(isUp), scopeMetrics.metrics.filter((metric) => !isUp(metric))];
  return parts
    .filter((metrics) => metrics.length > 0)
    .map((metrics) => ({
      ...record,
      metricsData: {
        resourceMetrics: [{ ...resourceMetrics, scopeMetrics: [{ ...scopeMetrics, metrics }] }],
      },
    }));
}

function places(count: number, random: Random): (index: number) => number {
  switch (random.weighted({ inOrder: 3, nearly: 3, shuffled: 3 })) {
    case 'inOrder':
      return (index) => index / count;
    case 'nearly':
      return (index) => (index + random.int(0, 8)) / count;
    case 'shuffled':
      return () => random.next();
  }
}

/** As if the collectors had written the records in this order: dense offsets in each partition. */
class NumberedLog {
  readonly #random: Random;
  readonly #ends = Array.from({ length: PARTITIONS }, () => 0n);

  constructor(random: Random) {
    this.#random = random;
  }

  append(placed: readonly Placed[]): LogRecord[] {
    return placed.map(({ record }) => {
      const partition = this.#random.int(0, PARTITIONS - 1);
      const offset = this.#ends[partition] ?? 0n;
      this.#ends[partition] = offset + 1n;
      return { ...record, topic: TOPIC, partition, offset };
    });
  }
}

function* batches<T>(items: readonly T[], random: Random): Generator<readonly T[]> {
  const largest = Math.ceil((2 * items.length) / random.int(1, 6));
  for (let sent = 0; sent < items.length;) {
    const size = random.int(1, largest);
    yield items.slice(sent, sent + size);
    sent += size;
  }
}

/**
 * A batch, and what happens after it; now and then its commit is lost and it comes again at the same offsets.
 */
function delivered(records: readonly LogRecord[], random: Random): Step[] {
  const steps: Step[] = [{ do: 'take', records }];
  if (random.chance(0.3)) steps.push(pass(random));
  if (random.chance(0.12)) steps.push({ do: 'restart' });
  if (random.chance(0.2)) steps.push({ do: 'hand over' });
  if (random.chance(0.05)) steps.push({ do: 'take', records });
  return steps;
}

function pass(random: Random): Step {
  return { do: 'pass', process: random.chance(0.3) ? 1 : 0 };
}
