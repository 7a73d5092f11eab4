import type { Clock } from '../runtime/clock.ts';
import { MeteringError } from '../runtime/errors.ts';
import type { FactSink } from '../runtime/facts.ts';
import { KafkaAdmin } from './kafka/admin.ts';
import { KafkaAppender } from './kafka/appender.ts';
import { KafkaClients } from './kafka/client.ts';
import { registerCodecs } from './kafka/codecs.ts';
import type { KafkaLogConfig } from './kafka/config.ts';
import { ConnectionWatch } from './kafka/connection-watch.ts';
import { boundAnswers } from './kafka/decode-messages.ts';
import { ownBatches } from './kafka/encode-batches.ts';
import { KafkaGroupConsumer } from './kafka/group-consumer.ts';
import { calmRequestQueues } from './kafka/request-queues.ts';
import { Topics, type TopicProblem } from './kafka/topics.ts';
import type {
  ConsumerOptions,
  LogAppend,
  LogConsumer,
  LogPosition,
  SampleLog,
  TopicPartition,
} from './sample-log.ts';

export { kafkaLogSchema, type KafkaLogConfig } from './kafka/config.ts';
export type { TopicProblem } from './kafka/topics.ts';

export interface KafkaLogDeps {
  readonly clock: Clock;
  readonly facts: FactSink;
}

/**
 * The log in Apache Kafka: the port's side for a platform. Topics are made and kept by whoever runs the
 * brokers; `checkTopics` says what is wrong with them and what to run.
 *
 * Guarantee: an append resolves when every in-sync copy has its records. Calls are not all or none: a
 * rejected one may have landed in part. Any number of processes append, and share the partitions as members
 * of a group. A crash loses nothing that resolved; what was polled and not committed comes again, here or at
 * another member.
 */
export class KafkaLog implements SampleLog {
  readonly #config: KafkaLogConfig;
  readonly #deps: KafkaLogDeps;
  readonly #clients: KafkaClients;
  readonly #watch: ConnectionWatch;
  readonly #admin: KafkaAdmin;
  readonly #topics: Topics;
  readonly #appender: KafkaAppender;
  readonly #consumers = new Set<KafkaGroupConsumer>();
  #closed = false;

  /** Connects when it is first needed. */
  constructor(config: KafkaLogConfig, deps: KafkaLogDeps) {
    registerCodecs(config.maxUnpackedBytes);
    boundAnswers(config.fetch.bufferBytes);
    ownBatches();
    calmRequestQueues();
    const watch = new ConnectionWatch(deps.facts);
    const clients = new KafkaClients(config, { clock: deps.clock, watch });
    this.#config = config;
    this.#deps = deps;
    this.#watch = watch;
    this.#clients = clients;
    this.#admin = new KafkaAdmin(clients);
    this.#topics = new Topics(config, { admin: this.#admin, clock: deps.clock });
    this.#appender = new KafkaAppender(config, { clients, topics: this.#topics, clock: deps.clock });
  }

  /** Throws METER_CONFIG_INVALID with everything that is wrong with these topics, and what mends it. */
  async checkTopics(topics: readonly string[]): Promise<void> {
    this.#checkOpen();
    await this.#topics.check(topics);
  }

  /** The same as values, for a report. */
  async topicProblems(topic: string): Promise<readonly TopicProblem[]> {
    this.#checkOpen();
    return await this.#topics.problemsOf(topic);
  }

  /** Makes the topics that are missing, as the settings want them; which these were. */
  async ensureTopics(topics: readonly string[]): Promise<readonly string[]> {
    this.#checkOpen();
    return await this.#topics.ensure(topics);
  }

  async append(records: readonly LogAppend[]): Promise<void> {
    this.#checkOpen();
    if (records.length > 0) await this.#appender.append(records);
  }

  /** Joins the group; refused where a topic is not as it has to be. */
  async consumer(options: ConsumerOptions): Promise<LogConsumer> {
    this.#checkOpen();
    const consumer: KafkaGroupConsumer = new KafkaGroupConsumer(this.#config, options, {
      ...this.#deps,
      clients: this.#clients,
      admin: this.#admin,
      topics: this.#topics,
      watch: this.#watch,
      onClose: () => this.#consumers.delete(consumer),
    });
    this.#consumers.add(consumer);
    try {
      await consumer.start();
      return consumer;
    } catch (error) {
      await consumer.close();
      throw error;
    }
  }

  async endPositions(topics: readonly string[]): Promise<readonly LogPosition[]> {
    this.#checkOpen();
    const positions: LogPosition[] = [];
    for (const topic of topics) {
      const bounds = await this.#admin.bounds(topic);
      positions.push(...bounds.map(({ partition, high: next }) => ({ topic, partition, next })));
    }
    return positions;
  }

  async offsetSince({ topic, partition }: TopicPartition, timestampMs: number): Promise<bigint> {
    this.#checkOpen();
    return await this.#admin.offsetSince({ topic, partition }, timestampMs);
  }

  /** Ends waiting polls, leaves the groups and lets go of every connection. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    await Promise.all([this.#appender.close(), this.#admin.close()]);
  }

  #checkOpen(): void {
    if (this.#closed) throw new MeteringError('METER_LOG_UNAVAILABLE', 'the log is closed');
  }
}
