import type { Admin } from 'kafkajs';

import { invariant, MeteringError } from '../../runtime/errors.ts';
import type { TopicPartition } from '../sample-log.ts';
import type { KafkaClients } from './client.ts';
import { translateFault } from './faults.ts';

/** First and next offset of a partition, as the brokers have it. */
export interface Bounds {
  readonly partition: number;
  readonly low: bigint;
  readonly high: bigint;
}

/**
 * Questions to the cluster, over one connection that is made when it is first needed. A question that fails
 * is asked once more over a new connection: the library does not always notice that a broker came back.
 */
export class KafkaAdmin {
  readonly #clients: KafkaClients;
  #admin: Promise<Admin> | undefined;
  #isClosed = false;

  constructor(clients: KafkaClients) {
    this.#clients = clients;
  }

  async ask<Answer>(operation: string, question: (admin: Admin) => Promise<Answer>): Promise<Answer> {
    try {
      return await this.#askOnce(question).catch(async (error: unknown) => {
        const fault = translateFault(error, { operation });
        if (!(fault instanceof MeteringError) || !fault.retryable) throw error;
        return await this.#askOnce(question);
      });
    } catch (error) {
      throw translateFault(error, { operation, principal: this.#clients.principal });
    }
  }

  /** Bounds of every partition of a topic, in order. */
  async bounds(topic: string): Promise<readonly Bounds[]> {
    const found = await this.ask(`read the offsets of ${topic}`, (admin) => admin.fetchTopicOffsets(topic));
    return found
      .map(({ partition, low, high }) => ({ partition, low: BigInt(low), high: BigInt(high) }))
      .sort((a, b) => a.partition - b.partition);
  }

  async offsetSince({ topic, partition }: TopicPartition, timestampMs: number): Promise<bigint> {
    const found = await this.ask(`read the times of ${topic}`, (admin) =>
      admin.fetchTopicOffsetsByTimestamp(topic, timestampMs),
    );
    const own = found.find((one) => one.partition === partition);
    invariant(own, `${topic} has a partition ${partition}`);
    return BigInt(own.offset);
  }

  /** What a group has committed; a partition without a position is absent. */
  async committed(group: string, topic: string): Promise<ReadonlyMap<number, bigint>> {
    const operation = `read the positions of group ${group} in ${topic}`;
    const found = await this.ask(operation, (admin) =>
      admin.fetchOffsets({ groupId: group, topics: [topic] }),
    );
    const positions = found.flatMap(({ partitions }) => partitions);
    // Below 0 are not offsets but words: none yet, or "the oldest", which the library commits by itself.
    return new Map(
      positions
        .map(({ partition, offset }): [number, bigint] => [partition, BigInt(offset)])
        .filter(([, offset]) => offset >= 0n),
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    const admin = this.#admin;
    this.#admin = undefined;
    await admin?.then((connected) => connected.disconnect()).catch(() => undefined);
  }

  async #askOnce<Answer>(question: (admin: Admin) => Promise<Answer>): Promise<Answer> {
    if (this.#isClosed) throw new MeteringError('METER_LOG_UNAVAILABLE', 'the log is closed');
    const connecting = (this.#admin ??= this.#connect());
    try {
      return await question(await connecting);
    } catch (error) {
      if (this.#admin === connecting) await this.#disconnect();
      throw error;
    }
  }

  async #connect(): Promise<Admin> {
    const { kafka, attend } = this.#clients.create();
    const admin = kafka.admin();
    attend(admin);
    await admin.connect();
    return admin;
  }
}
