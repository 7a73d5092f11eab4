import kafkajs, { type Batch, type Consumer, type EachBatchPayload, type PartitionAssigner } from 'kafkajs';

import { invariant, MeteringError } from '../../runtime/errors.ts';
import type { LogPosition, TopicPartition } from '../sample-log.ts';
import type { KafkaClients } from './client.ts';
import type { KafkaLogConfig } from './config.ts';

/** What a session tells, each without waiting for the answer. */
export interface SessionListener {
  /** Partitions are about to be given out anew: nothing may be committed until `joined`, or `stayed`. */
  joining(): void;
  joined(partitions: readonly TopicPartition[]): void;
  /** A try to join came to nothing, and the group has this member as before: what was ours still is. */
  stayed(): void;
  /** Records that were fetched; true when they were taken, and the next ones may be fetched. */
  fetched(batch: FetchedBatch): Promise<boolean>;
  /** The session is over; whoever holds it begins another. */
  ended(error: Error): void;
}

export interface FetchedBatch extends TopicPartition {
  /** Offset that was asked for: records between it and the first one are not there. */
  readonly askedFor: bigint;
  /** One past the newest offset that this batch accounts for. */
  readonly next: bigint;
  /** One past the newest record in the partition. */
  readonly end: bigint;
  readonly messages: Batch['messages'];
}

export interface SessionDeps {
  readonly clients: KafkaClients;
  readonly listener: SessionListener;
}

export interface Membership {
  readonly group: string;
  readonly topics: readonly string[];
}

/**
 * One life of the library's consumer, from joining the group until it crashes or is stopped. Crashes are not
 * mended by the library, which restarts some, forgets others and tells of neither in a way a caller can
 * wait for: every one ends the session.
 */
export class GroupSession {
  readonly #deps: SessionDeps;
  readonly #consumer: Consumer;
  readonly #membership: Membership;
  #commit: EachBatchPayload['commitOffsetsIfNecessary'] | undefined;
  #isOver = false;
  #isJoining = false;
  /** Heartbeats that the group took since the last try to join. */
  #heartbeats = 0;
  /** Of the partitions that are ours; known from the first heartbeat after they were given. */
  #generation: number | undefined;

  constructor(config: KafkaLogConfig, membership: Membership, deps: SessionDeps) {
    const { fetch, membership: times } = config;
    this.#deps = deps;
    this.#membership = membership;
    const { kafka, attend } = deps.clients.create();
    this.#consumer = kafka.consumer({
      groupId: membership.group,
      allowAutoTopicCreation: false,
      partitionAssigners: [this.#assigner()],
      sessionTimeout: times.sessionTimeoutMs,
      rebalanceTimeout: times.rebalanceTimeoutMs,
      heartbeatInterval: times.heartbeatIntervalMs,
      maxWaitTimeInMs: fetch.maxWaitMs,
      maxBytes: fetch.maxBytes,
      maxBytesPerPartition: fetch.maxBytesPerPartition,
      retry: { restartOnFailure: async () => false },
    });
    attend(this.#consumer);
  }

  /** Resolves when the consumer runs; whether it could join is told to the listener. */
  async start(): Promise<void> {
    this.#listen();
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...this.#membership.topics], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async (payload) => await this.#take(payload),
    });
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#whileItRuns(() => this.#consumer.pause(byTopic(partitions)));
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#whileItRuns(() => this.#consumer.resume(byTopic(partitions)));
  }

  seek({ topic, partition, next }: LogPosition): void {
    this.#whileItRuns(() => this.#consumer.seek({ topic, partition, offset: `${next}` }));
  }

  /**
   * One try, of the generation this member is in now. The library's own commit tries again by itself, also
   * after the partitions were given out anew: then it would move the position of their new owner. And it
   * does nothing, without a word, while the consumer is not running.
   */
  async commit(positions: readonly LogPosition[]): Promise<void> {
    invariant(this.#commit, 'what is committed was polled before, in this session');
    const topics = byTopic(positions).map(({ topic }) => ({
      topic,
      partitions: positions
        .filter((position) => position.topic === topic)
        .map(({ partition, next }) => ({ partition, offset: `${next}` })),
    }));
    await this.#commit({ topics });
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#consumer.disconnect();
  }

  /** Between a crash and the word of it the consumer refuses everything: what was asked is void by then. */
  #whileItRuns(work: () => void): void {
    if (this.#isOver) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof kafkajs.KafkaJSNonRetriableError)) throw error;
    }
  }

  #listen(): void {
    const { listener } = this.#deps;
    const consumer = this.#consumer;
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      const partitions = Object.entries(payload.memberAssignment).flatMap(([topic, numbers]) =>
        numbers.map((partition) => ({ topic, partition })),
      );
      this.#isJoining = false;
      this.#generation = undefined;
      if (!this.#isOver) listener.joined(partitions);
    });
    consumer.on(consumer.events.HEARTBEAT, ({ payload }) => {
      if (!this.#isOver) this.#heartbeat(payload.groupGenerationId);
    });
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (this.#isOver) return;
      this.#isOver = true;
      listener.ended(payload.error);
    });
  }

  /**
   * The group took a heartbeat. A try to join that fails (a coordinator that has moved and is not ready yet)
   * the library forgets: it goes on fetching as the member it was, and never says so. There is one heartbeat
   * at a time, so the second one since the try was sent after it; by the same connection, which the broker
   * answers in order, so the try is over. One of our generation says that nothing was given out anew; where
   * the generation is another, or not known, only joining again can tell.
   */
  #heartbeat(generation: number): void {
    if (!this.#isJoining) {
      this.#generation = generation;
      return;
    }
    if (++this.#heartbeats === 1) return;
    if (generation === this.#generation) {
      this.#isJoining = false;
      this.#deps.listener.stayed();
      return;
    }
    this.stop().catch(() => undefined);
    const message = `a try to join group ${this.#membership.group} came to nothing; it is joined anew`;
    this.#deps.listener.ended(new MeteringError('METER_LOG_UNAVAILABLE', message, { retryable: true }));
  }

  async #take(payload: EachBatchPayload): Promise<void> {
    this.#commit = payload.commitOffsetsIfNecessary.bind(payload);
    // What is not resolved is fetched again, if it is still ours to read.
    if (this.#isOver || !payload.isRunning() || payload.isStale()) return;
    const { batch } = payload;
    const { topic, partition, messages } = batch;
    const last = messages.at(-1);
    if (last === undefined) return;
    const next = BigInt(batch.lastOffset()) + 1n;
    const end = BigInt(batch.highWatermark);
    const fetched = { topic, partition, askedFor: askedFor(batch), next, end, messages };
    if (await this.#deps.listener.fetched(fetched)) payload.resolveOffset(last.offset);
  }

  /** The library's assigner, listened to: it is asked before each try to join, whatever led to it. */
  #assigner(): PartitionAssigner {
    return (config) => {
      const assigner = kafkajs.PartitionAssigners.roundRobin(config);
      return {
        ...assigner,
        protocol: (subscription) => {
          this.#isJoining = true;
          this.#heartbeats = 0;
          if (!this.#isOver) this.#deps.listener.joining();
          return assigner.protocol(subscription);
        },
      };
    };
  }
}

/** Missing from the library's types: the offset its request named. */
function askedFor(batch: Batch): bigint {
  return BigInt((batch as Batch & { readonly fetchedOffset: string }).fetchedOffset);
}

function byTopic(partitions: readonly TopicPartition[]): { topic: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    topics.set(topic, [...(topics.get(topic) ?? []), partition]);
  }
  return [...topics].map(([topic, numbers]) => ({ topic, partitions: numbers }));
}
