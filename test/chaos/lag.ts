/** How many records the group has not committed, as the broker says it; asked by a client of its own. */
import kafkajs from 'kafkajs';

const PATIENCE_MS = 2_000;

export class LagWatch {
  readonly #group: string;
  readonly #topic: string;
  readonly #admin: kafkajs.Admin;
  #isConnected = false;

  constructor(broker: string, about: { readonly group: string; readonly topic: string }) {
    this.#group = about.group;
    this.#topic = about.topic;
    const { NOTHING } = kafkajs.logLevel;
    const times = { connectionTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS, retry: { retries: 0 } };
    this.#admin = new kafkajs.Kafka({ brokers: [broker], logLevel: NOTHING, ...times }).admin();
  }

  /** Undefined: the broker does not answer. */
  async records(): Promise<number | undefined> {
    return await this.#asked(async () => {
      const ends = await this.#admin.fetchTopicOffsets(this.#topic);
      const groups = await this.#admin.fetchOffsets({ groupId: this.#group, topics: [this.#topic] });
      const committed = new Map(
        groups.flatMap(({ partitions }) => partitions.map((one) => [one.partition, one.offset])),
      );
      // Nothing committed yet is told as -1.
      return ends.reduce(
        (sum, { partition, high }) => sum + Number(high) - Math.max(0, Number(committed.get(partition) ?? 0)),
        0,
      );
    });
  }

  /** Of the group; undefined: the broker does not answer. */
  async members(): Promise<number | undefined> {
    return await this.#asked(async () => {
      const { groups } = await this.#admin.describeGroups([this.#group]);
      return groups.reduce((sum, { members }) => sum + members.length, 0);
    });
  }

  async #asked(question: () => Promise<number>): Promise<number | undefined> {
    try {
      if (!this.#isConnected) await this.#admin.connect();
      this.#isConnected = true;
      return await question();
    } catch {
      this.#isConnected = false;
      return undefined;
    }
  }

  async close(): Promise<void> {
    await this.#admin.disconnect().catch(() => undefined);
  }
}
