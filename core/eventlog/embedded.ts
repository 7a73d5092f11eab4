import { nextTurn, type Clock } from '../runtime/clock.ts';
import { invariant, MeteringError } from '../runtime/errors.ts';
import type { FactSink } from '../runtime/facts.ts';
import type { EmbeddedLogConfig } from './embedded/config.ts';
import { GroupConsumer } from './embedded/group-consumer.ts';
import { LogFile, type Partition, type PartitionState } from './embedded/log-file.ts';
import { partitionOfKey } from './embedded/partitioner.ts';
import { Retention, type Trimmed } from './embedded/retention.ts';
import { WakeUp } from './wake-up.ts';
import type { LogAppend, LogConsumer, LogPosition, SampleLog } from './sample-log.ts';

export { embeddedLogSchema, type EmbeddedLogConfig } from './embedded/config.ts';

/** Larger values are refused before anything is written. */
export const MAX_VALUE_BYTES = 4 * 1024 * 1024;
/** Keys, and names and values of headers together. */
export const MAX_KEY_BYTES = 64 * 1024;
export const MAX_HEADERS_BYTES = 64 * 1024;

/** Appends are committed together up to this size, so that no commit holds the process up for long. */
const MAX_GROUP_BYTES = 8 * 1024 * 1024;
/** More than this waiting to be written is refused, to be sent again later. */
const MAX_PENDING_BYTES = 64 * 1024 * 1024;

export interface EmbeddedLogDeps {
  readonly clock: Clock;
  readonly facts: FactSink;
}

interface Placed {
  readonly record: LogAppend;
  readonly partition: Partition;
}

/** One call of `append`, waiting to be written. */
interface Pending {
  readonly placed: readonly Placed[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The log in one file of this machine: the port's durable side when there is no Kafka.
 *
 * Guarantee: an append resolves when its records are on disk (fsync); calls that come together share one
 * commit, and a call's records are written all or none. The time of a record is the one its append names,
 * because the process that appends is the log itself. One process per file, and one consumer per group.
 * A crash at any moment keeps every append that resolved and every position whose commit did; a power
 * failure too, as far as the disk keeps what it said it wrote.
 */
export class EmbeddedLog implements SampleLog {
  readonly #config: EmbeddedLogConfig;
  readonly #deps: EmbeddedLogDeps;
  readonly #file: LogFile;
  readonly #wakeUp: WakeUp;
  readonly #retention: Retention;
  readonly #groups = new Map<string, GroupConsumer>();
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> | undefined;
  #retaining: Promise<Trimmed> | undefined;
  #roundRobin = 0;
  #closed = false;

  /** Opens the file, or throws: locked by another process, damaged, of another release. */
  constructor(config: EmbeddedLogConfig, deps: EmbeddedLogDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#file = new LogFile(config);
    this.#wakeUp = new WakeUp(deps.clock);
    this.#retention = new Retention(config.retention, { ...deps, file: this.#file });
    const topics = this.#file.topics();
    const bytes = [...topics.values()].flat().reduce((sum, { state }) => sum + state.bytes, 0);
    deps.facts.event('logOpened', { file: this.#file.path, topics: topics.size, bytes });
  }

  async append(records: readonly LogAppend[]): Promise<void> {
    this.#checkOpen();
    if (records.length === 0) return;
    const bytes = records.reduce((sum, record) => sum + checkedBytes(record), 0);
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > MAX_PENDING_BYTES)
      throw overloaded(this.#file.path);
    const placed = records.map((record) => ({ record, partition: this.#partitionOf(record) }));
    const done = Promise.withResolvers<undefined>();
    const resolve = (): void => done.resolve(undefined);
    this.#pending.push({ placed, bytes, resolve, reject: done.reject });
    this.#pendingBytes += bytes;
    this.#writing ??= this.#writeAll();
    await done.promise;
  }

  async consumer({
    group,
    topics,
  }: {
    readonly group: string;
    readonly topics: readonly string[];
  }): Promise<LogConsumer> {
    this.#checkOpen();
    invariant(!this.#groups.has(group), `group ${group} has one consumer at a time`);
    const partitions = topics.flatMap((topic) => this.#file.topic(topic, this.#config.partitions));
    const consumer = new GroupConsumer(group, partitions, {
      ...this.#deps,
      file: this.#file,
      wakeUp: this.#wakeUp,
      onClose: () => this.#groups.delete(group),
    });
    this.#groups.set(group, consumer);
    return consumer;
  }

  async endPositions(topics: readonly string[]): Promise<readonly LogPosition[]> {
    this.#checkOpen();
    return topics
      .flatMap((topic) => this.#file.topics().get(topic) ?? [])
      .map(({ topic, number, state }) => ({ topic, partition: number, next: state.next }));
  }

  /** Names of the topics that are there. */
  topics(): readonly string[] {
    this.#checkOpen();
    return [...this.#file.topics().keys()];
  }

  /** Removes what retention allows; to be called now and then. Calls that overlap are one. */
  retain(): Promise<Trimmed> {
    this.#checkOpen();
    this.#retaining ??= this.#retention.retain().finally(() => (this.#retaining = undefined));
    return this.#retaining;
  }

  /** Writes what is pending, ends waiting polls and lets go of the file. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing;
    await this.#retaining?.catch(() => undefined);
    for (const consumer of this.#groups.values()) await consumer.close();
    this.#file.close();
  }

  /** What arrives in one turn of the event loop, and while a commit waits for the disk, goes together. */
  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0) {
      await nextTurn();
      const group = this.#nextGroup();
      try {
        this.#write(group.flatMap(({ placed }) => placed));
        for (const { resolve } of group) resolve();
      } catch (error) {
        this.#deps.facts.event('logError', { operation: 'append', error });
        for (const { reject } of group) reject(error);
      }
    }
    // In the same step as the last look at what is pending, so that no append falls in between.
    this.#writing = undefined;
  }

  #nextGroup(): readonly Pending[] {
    let bytes = 0;
    const following = this.#pending.findIndex((pending, index) => {
      bytes += pending.bytes;
      return index > 0 && bytes > MAX_GROUP_BYTES;
    });
    const group = this.#pending.splice(0, following === -1 ? this.#pending.length : following);
    this.#pendingBytes -= group.reduce((sum, pending) => sum + pending.bytes, 0);
    return group;
  }

  #write(placed: readonly Placed[]): void {
    const states = new Map<Partition, PartitionState>();
    this.#file.transaction(() => {
      for (const { record, partition } of placed) {
        const { start, next, bytes } = states.get(partition) ?? partition.state;
        const added = this.#file.add(partition, next, record);
        states.set(partition, { start, next: next + 1n, bytes: bytes + added });
      }
      for (const [partition, state] of states) this.#file.saveState(partition, state);
    });
    for (const [partition, state] of states) partition.state = state;
    this.#wakeUp.ring();
  }

  #partitionOf(record: LogAppend): Partition {
    const partitions = this.#file.topic(record.topic, this.#config.partitions);
    const number = record.partition ?? this.#choose(record.key, partitions.length);
    const partition = partitions[number];
    invariant(partition, `${record.topic} has a partition ${number}`);
    return partition;
  }

  #choose(key: Uint8Array | null, partitions: number): number {
    return key === null ? this.#roundRobin++ % partitions : partitionOfKey(key, partitions);
  }

  #checkOpen(): void {
    if (this.#closed)
      throw new MeteringError('METER_LOG_UNAVAILABLE', `the log ${this.#file.path} is closed`);
  }
}

function checkedBytes({ topic, timestampMs, key, headers = {}, value }: LogAppend): number {
  invariant(Number.isSafeInteger(timestampMs), 'a record carries its time in whole milliseconds');
  const headerBytes = Object.entries(headers).reduce(
    (sum, [name, content]) => sum + Buffer.byteLength(name) + content.length,
    0,
  );
  const keyBytes = key?.length ?? 0;
  checkLimit(topic, 'value', { bytes: value.length, limit: MAX_VALUE_BYTES });
  checkLimit(topic, 'key', { bytes: keyBytes, limit: MAX_KEY_BYTES });
  checkLimit(topic, 'headers', { bytes: headerBytes, limit: MAX_HEADERS_BYTES });
  return value.length + keyBytes + headerBytes;
}

function checkLimit(topic: string, what: string, size: { bytes: number; limit: number }): void {
  if (size.bytes <= size.limit) return;
  const text = `${size.bytes} bytes of ${what} for ${topic}, the log takes ${size.limit}; split the record`;
  throw new MeteringError('METER_INPUT_UNREADABLE', text);
}

function overloaded(path: string): MeteringError {
  const message = `the log ${path} has ${MAX_PENDING_BYTES} bytes waiting to be written; append again later`;
  return new MeteringError('METER_LOG_UNAVAILABLE', message, { retryable: true });
}
