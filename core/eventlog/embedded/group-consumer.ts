import { nextTurn, type Clock } from '../../runtime/clock.ts';
import { invariant, MeteringError } from '../../runtime/errors.ts';
import type { FactSink } from '../../runtime/facts.ts';
import type { LogConsumer, LogPosition, LogRecord, PollOptions, TopicPartition } from '../sample-log.ts';
import type { LogFile, Partition } from './log-file.ts';
import type { WakeUp } from '../wake-up.ts';

/** A poll ends here even if its bytes are not used up: tiny records would make an endless batch. */
const MAX_POLL_RECORDS = 10_000;

export interface GroupConsumerDeps {
  readonly file: LogFile;
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly wakeUp: WakeUp;
  readonly onClose: () => void;
}

interface Cursor {
  readonly partition: Partition;
  /** Offset of the next record to poll. */
  position: bigint;
  /** Durable in the file. */
  committed: bigint;
}

/**
 * The one reader of a group: it has every partition of its topics. Input: what is durable in the file.
 * Guarantee: polls go on from where the last one ended, the first from the committed position. A crash
 * forgets the polled and keeps the committed position.
 */
export class GroupConsumer implements LogConsumer {
  readonly #group: string;
  readonly #cursors: readonly Cursor[];
  readonly #deps: GroupConsumerDeps;
  #turn = 0;
  #closed = false;

  constructor(group: string, partitions: readonly Partition[], deps: GroupConsumerDeps) {
    this.#group = group;
    this.#deps = deps;
    const known = deps.file.positions().get(group) ?? new Map<bigint, bigint>();
    this.#cursors = partitions.map((partition) => {
      const committed = known.get(partition.id) ?? partition.state.start;
      return { partition, committed, position: committed };
    });
    // From now on retention waits for this group, even before it commits anything.
    const fresh = this.#cursors.filter(({ partition }) => !known.has(partition.id));
    if (fresh.length > 0) this.#save(fresh);
  }

  async poll({ maxBytes, waitMs, signal }: PollOptions): Promise<readonly LogRecord[]> {
    const { clock, wakeUp } = this.#deps;
    if (this.#isClosed()) throw new MeteringError('METER_LOG_UNAVAILABLE', 'the consumer is closed');
    const deadlineMs = clock.now() + waitMs;
    // A reader that always finds something would otherwise never let the process do anything else.
    await nextTurn();
    while (signal?.aborted !== true && !this.#isClosed()) {
      const records = this.#take(maxBytes);
      const leftMs = deadlineMs - clock.now();
      if (records.length > 0 || leftMs <= 0) return records;
      await wakeUp.wait(leftMs, signal);
    }
    return [];
  }

  async commit(positions: readonly LogPosition[]): Promise<void> {
    const changes = positions.map((position) => {
      const cursor = this.#cursorOf(position);
      const { committed, partition } = cursor;
      invariant(position.next >= committed, 'a committed position never goes back');
      invariant(position.next <= partition.state.next, 'a committed position is within the log');
      return { ...cursor, cursor, committed: position.next };
    });
    const moved = changes.filter(({ cursor, committed }) => committed > cursor.committed);
    if (moved.length === 0) return;
    this.#save(moved);
    for (const { cursor, committed } of moved) cursor.committed = committed;
  }

  async seek(positions: readonly LogPosition[]): Promise<void> {
    const targets = positions.map((position) => {
      const cursor = this.#cursorOf(position);
      if (position.next > cursor.partition.state.next) throw beyondEnd(position, cursor.partition);
      return { cursor, next: position.next };
    });
    for (const { cursor, next } of targets) cursor.position = next;
  }

  waiting(): bigint {
    return this.#cursors.reduce((sum, { partition, position }) => sum + partition.state.next - position, 0n);
  }

  async committed(): Promise<readonly LogPosition[]> {
    return this.#cursors.map(({ partition, committed }) => ({
      topic: partition.topic,
      partition: partition.number,
      next: committed,
    }));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.wakeUp.ring();
    this.#deps.onClose();
  }

  /** A method, because it changes while a poll waits. */
  #isClosed(): boolean {
    return this.#closed;
  }

  /** Starts with another partition each time, so that a long backlog in one does not starve the others. */
  #take(maxBytes: number): readonly LogRecord[] {
    const batch = new Batch(maxBytes);
    const first = this.#turn++ % Math.max(1, this.#cursors.length);
    for (const cursor of [...this.#cursors.slice(first), ...this.#cursors.slice(0, first)]) {
      this.#skipRemoved(cursor);
      const more = cursor.position < cursor.partition.state.next;
      if (more && !batch.fill(cursor, this.#deps.file.read(cursor.partition, cursor.position))) break;
    }
    // Only now: had a read failed, what was read before it would be skipped by the next poll.
    for (const [cursor, position] of batch.positions) cursor.position = position;
    return batch.records;
  }

  #skipRemoved(cursor: Cursor): void {
    const { topic, number, state } = cursor.partition;
    if (cursor.position >= state.start) return;
    const records = state.start - cursor.position;
    this.#deps.facts.event('logRecordsSkipped', { topic, partition: number, group: this.#group, records });
    cursor.position = state.start;
  }

  #save(cursors: readonly Cursor[]): void {
    const { file } = this.#deps;
    invariant(!this.#closed, 'a closed consumer commits nothing');
    file.transaction(() => {
      for (const { partition, committed } of cursors) file.savePosition(this.#group, partition, committed);
    });
  }

  #cursorOf({ topic, partition }: TopicPartition): Cursor {
    const found = this.#cursors.find((c) => c.partition.topic === topic && c.partition.number === partition);
    invariant(found, `${topic}/${partition} is assigned to this consumer`);
    return found;
  }
}

/** What one poll collects, up to its limits. */
class Batch {
  readonly records: LogRecord[] = [];
  readonly positions = new Map<Cursor, bigint>();
  #left: number;

  constructor(maxBytes: number) {
    this.#left = maxBytes;
  }

  /** False when the batch is full; a first record always fits. */
  fill(cursor: Cursor, records: Iterable<LogRecord>): boolean {
    for (const record of records) {
      const full = this.records.length === MAX_POLL_RECORDS || record.value.length > this.#left;
      if (full && this.records.length > 0) return false;
      this.records.push(record);
      this.#left -= record.value.length;
      this.positions.set(cursor, record.offset + 1n);
    }
    return true;
  }
}

function beyondEnd({ topic, partition, next }: LogPosition, { state }: Partition): MeteringError {
  const advice = 'the log has lost its newest records; restore it, or give it a new topic';
  const message = `${topic}/${partition} ends at ${state.next}, reading is to go on at ${next}: ${advice}`;
  return new MeteringError('METER_LOG_BEHIND_STORE', message);
}
