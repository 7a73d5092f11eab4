import type { Clock } from '../../runtime/clock.ts';
import { MeteringError } from '../../runtime/errors.ts';
import type { FactSink } from '../../runtime/facts.ts';
import { FIRST_RETRY_MS, MAX_RETRY_MS } from '../../runtime/retry.ts';
import type { LogPosition, TopicPartition } from '../sample-log.ts';
import type { Bounds, KafkaAdmin } from './admin.ts';
import { sourceOf } from './assignment.ts';

export interface StartingPointsDeps {
  readonly admin: KafkaAdmin;
  readonly clock: Clock;
  readonly facts: FactSink;
}

export interface StartingPoint {
  readonly position: LogPosition;
  readonly committed: bigint;
}

/**
 * Where reading begins, held against what the brokers still have. The library would answer a position that
 * is gone by going to the oldest record without a word; here what is missing below is told, and a log that
 * ends before the position is refused.
 */
export class StartingPoints {
  readonly #group: string;
  readonly #deps: StartingPointsDeps;

  constructor(group: string, deps: StartingPointsDeps) {
    this.#group = group;
    this.#deps = deps;
  }

  /** Committed positions, or the oldest record where there is none. Undefined: not needed any more. */
  async of(
    partitions: readonly TopicPartition[],
    { isObsolete, signal }: { readonly isObsolete: () => boolean; readonly signal: AbortSignal },
  ): Promise<readonly StartingPoint[] | undefined> {
    for (let attempt = 1; !isObsolete(); attempt++) {
      try {
        return await this.#read(partitions);
      } catch (error) {
        if (!(error instanceof MeteringError) || !error.retryable) throw error;
        this.#deps.facts.event('logError', { operation: 'read positions', error });
        await this.#deps.clock.sleep(Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempt - 1)), signal);
      }
    }
    return undefined;
  }

  /** Each position, or the oldest record that is left where it is gone. */
  async within(positions: readonly LogPosition[]): Promise<readonly bigint[]> {
    const bounds = await this.#bounds(positions);
    return positions.map((position) => this.#within(position, bounds));
  }

  async #read(partitions: readonly TopicPartition[]): Promise<readonly StartingPoint[]> {
    const bounds = await this.#bounds(partitions);
    const committed = new Map<string, bigint>();
    for (const topic of topicsOf(partitions)) {
      const positions = await this.#deps.admin.committed(this.#group, topic);
      for (const [partition, next] of positions) committed.set(sourceOf({ topic, partition }), next);
    }
    return partitions.map(({ topic, partition }) => {
      const at = committed.get(sourceOf({ topic, partition }));
      const low = bounds.get(sourceOf({ topic, partition }))?.low ?? 0n;
      const next = at === undefined ? low : this.#within({ topic, partition, next: at }, bounds);
      return { position: { topic, partition, next }, committed: at ?? low };
    });
  }

  #within(position: LogPosition, bounds: ReadonlyMap<string, Bounds>): bigint {
    const { topic, partition, next } = position;
    const { low, high } = bounds.get(sourceOf(position)) ?? { low: next, high: next };
    if (next > high) {
      this.#deps.facts.event('logBehindStore', { topic, partition, end: high, known: next });
      const advice = 'its newest records are lost, or it was made anew; restore it, or give it a new name';
      const message = `${topic}/${partition} ends at ${high}, reading is to go on at ${next}: ${advice}`;
      throw new MeteringError('METER_LOG_BEHIND_STORE', message);
    }
    if (next >= low) return next;
    this.#deps.facts.event('logRecordsSkipped', {
      topic,
      partition,
      group: this.#group,
      records: low - next,
    });
    return low;
  }

  async #bounds(partitions: readonly TopicPartition[]): Promise<ReadonlyMap<string, Bounds>> {
    const found = new Map<string, Bounds>();
    for (const topic of topicsOf(partitions)) {
      for (const bounds of await this.#deps.admin.bounds(topic)) {
        found.set(sourceOf({ topic, partition: bounds.partition }), bounds);
      }
    }
    return found;
  }
}

function topicsOf(partitions: readonly TopicPartition[]): readonly string[] {
  return [...new Set(partitions.map(({ topic }) => topic))];
}
