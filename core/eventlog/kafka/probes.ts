/**
 * Requests that only tell whether they are allowed: each is such that the brokers, once they have found it
 * allowed, have nothing to do. The library's public calls have none of these (its consumer joins the group,
 * which would make the aggregators share their partitions anew), so they go through its connections.
 */
import type { Kafka } from 'kafkajs';
import type { Clock } from '../../runtime/clock.ts';
import { invariant, MeteringError } from '../../runtime/errors.ts';
import { rootCause, protocolType } from './faults.ts';

/** No topic has it; whoever may append is told so, and nothing is written. */
const NO_PARTITION = 2 ** 31 - 1;
const NO_MEMBER = 'gh0stmeter-doctor';
const ANSWER_BYTES = 1024 ** 2;
const COORDINATOR_TRIES = 20;
const COORDINATOR_WAIT_MS = 500;

interface FetchedPartition {
  readonly messages: readonly { readonly timestamp: string }[];
}

interface Broker {
  produce(request: object): Promise<unknown>;
  fetch(request: object): Promise<{
    readonly responses: readonly { readonly partitions: readonly FetchedPartition[] }[];
  }>;
  heartbeat(request: object): Promise<unknown>;
  findGroupCoordinator(request: object): Promise<{ readonly coordinator: { readonly nodeId: number } }>;
}

interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, number[]>>;
  findBroker(of: { readonly nodeId: string | number }): Promise<Broker>;
}

const CLUSTER_MAKER = 'private:Kafka:createCluster';

export class Probes {
  readonly #cluster: Cluster;
  readonly #clock: Clock;

  private constructor(cluster: Cluster, clock: Clock) {
    this.#cluster = cluster;
    this.#clock = clock;
  }

  static async connect(kafka: Kafka, clock: Clock): Promise<Probes> {
    const key = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === CLUSTER_MAKER);
    invariant(key, 'the client of Kafka makes its connections by itself');
    const make = Reflect.get(kafka, key) as (options: object) => Cluster;
    const cluster = make({ allowAutoTopicCreation: false, metadataMaxAge: 60_000 });
    await cluster.connect();
    return new Probes(cluster, clock);
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect();
  }

  /** Throws where it may not append to the topic. */
  async append(topic: string): Promise<void> {
    const leader = await this.#leaderOf(topic, 0);
    const record = { key: null, value: null, headers: {}, timestamp: this.#clock.now() };
    const partitions = [{ partition: NO_PARTITION, messages: [record] }];
    await expecting(['UNKNOWN_TOPIC_OR_PARTITION'], () =>
      leader.produce({ acks: -1, topicData: [{ topic, partitions }] }),
    );
  }

  /** Time of the newest record from an offset on; undefined without one. Throws where it may not read. */
  async newest(
    topic: string,
    { partition, offset }: { partition: number; offset: bigint },
  ): Promise<number | undefined> {
    const leader = await this.#leaderOf(topic, partition);
    const from = { partition, fetchOffset: offset.toString(), maxBytes: ANSWER_BYTES };
    const { responses } = await leader.fetch({
      ...{ replicaId: -1, isolationLevel: 0, maxWaitTime: 1, minBytes: 1, maxBytes: ANSWER_BYTES },
      topics: [{ topic, partitions: [from] }],
    });
    const times = responses
      .flatMap(({ partitions }) => partitions)
      .flatMap(({ messages }) => messages.map(({ timestamp }) => Number(timestamp)));
    return times.length === 0 ? undefined : Math.max(...times);
  }

  /** Throws where it may not be a member of the group. */
  async join(group: string, topic: string): Promise<void> {
    const any = await this.#leaderOf(topic, 0);
    const coordinator = await this.#cluster.findBroker({ nodeId: await this.#coordinatorOf(group, any) });
    await expecting(['UNKNOWN_MEMBER_ID'], () =>
      coordinator.heartbeat({ groupId: group, groupGenerationId: 1, memberId: NO_MEMBER }),
    );
  }

  /** The first group of all has to wait for the topic that the brokers keep positions in. */
  async #coordinatorOf(groupId: string, broker: Broker): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      try {
        return (await broker.findGroupCoordinator({ groupId, coordinatorType: 0 })).coordinator.nodeId;
      } catch (error) {
        const isMade = typeOf(error) !== 'GROUP_COORDINATOR_NOT_AVAILABLE';
        if (isMade || attempt === COORDINATOR_TRIES) throw error;
        await this.#clock.sleep(COORDINATOR_WAIT_MS);
      }
    }
  }

  async #leaderOf(topic: string, partition: number): Promise<Broker> {
    await this.#cluster.addMultipleTargetTopics([topic]);
    const [nodeId] = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]));
    if (nodeId === undefined) {
      const message = `${topic}/${partition} has no leader; see which of its brokers are away`;
      throw new MeteringError('METER_LOG_UNAVAILABLE', message, { retryable: true });
    }
    return await this.#cluster.findBroker({ nodeId });
  }
}

async function expecting(types: readonly string[], request: () => Promise<unknown>): Promise<void> {
  try {
    await request();
  } catch (error) {
    if (!types.includes(typeOf(error) ?? '')) throw error;
  }
}

function typeOf(error: unknown): string | undefined {
  const cause = rootCause(error);
  return cause instanceof Error ? protocolType(cause) : undefined;
}
