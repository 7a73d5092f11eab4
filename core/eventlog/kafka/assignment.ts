import { invariant } from '../../runtime/errors.ts';
import type { LogPosition, TopicPartition } from '../sample-log.ts';

/** A partition that this member reads. */
export interface Cursor extends TopicPartition {
  /** Offset of the next record to fetch. */
  next: bigint;
  /** One past the newest record in the partition, as of the last fetch. */
  end: bigint;
  /** As the group has it. */
  committed: bigint;
  /** One past the newest record that was ever fetched by this member: nothing beyond it can be done. */
  reached: bigint;
  /** Where the library said it was, against what is known here; undefined while the two agree. */
  disputed: bigint | undefined;
}

/**
 * The partitions of one generation of the group. It is new at every rebalance, and useless after the next:
 * what was polled from an earlier one is not committed by a later one.
 */
export class Assignment {
  readonly partitions: readonly TopicPartition[];
  readonly #cursors = new Map<string, Cursor>();
  #starts: readonly LogPosition[] = [];
  #isReady = false;

  constructor(partitions: readonly TopicPartition[]) {
    this.partitions = partitions;
  }

  /** True once it is known where reading begins. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Where reading began. */
  get starts(): readonly LogPosition[] {
    return this.#starts;
  }

  get cursors(): readonly Cursor[] {
    return [...this.#cursors.values()];
  }

  begin(positions: readonly { readonly position: LogPosition; readonly committed: bigint }[]): void {
    for (const { position, committed } of positions) {
      const { topic, partition, next } = position;
      const known = { next, end: next, committed, reached: next, disputed: undefined };
      const cursor = { topic, partition, ...known };
      this.#cursors.set(sourceOf(position), cursor);
    }
    this.#starts = positions.map(({ position }) => position);
    this.#isReady = true;
  }

  /** Undefined where the partition is another member's, or not begun yet. */
  find(partition: TopicPartition): Cursor | undefined {
    return this.#cursors.get(sourceOf(partition));
  }

  cursorOf(partition: TopicPartition): Cursor {
    const cursor = this.find(partition);
    invariant(cursor, `${sourceOf(partition)} is assigned to this consumer`);
    return cursor;
  }
}

export function sourceOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
