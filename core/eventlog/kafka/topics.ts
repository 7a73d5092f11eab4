import kafkajs, { type ITopicMetadata } from 'kafkajs';

import type { Clock } from '../../runtime/clock.ts';
import { MeteringError } from '../../runtime/errors.ts';
import type { KafkaAdmin } from './admin.ts';
import type { KafkaLogConfig } from './config.ts';
import { isUnknownTopic } from './faults.ts';

/** How often, and how far apart, the brokers are asked for a topic that was made: ten seconds in all. */
const APPEARANCE_TRIES = 100;
const APPEARANCE_MS = 100;

/** What is wrong with a topic, and the command that mends it. */
export interface TopicProblem {
  readonly topic: string;
  readonly problem: string;
  readonly command: string;
}

type TopicSettings = Readonly<Record<string, string>>;

/**
 * Topics as this program needs them: enough partitions and copies, records kept long enough and never
 * compacted (every record counts, also beside one with the same key).
 */
export class Topics {
  readonly #config: KafkaLogConfig;
  readonly #admin: KafkaAdmin;
  readonly #clock: Clock;

  constructor(
    config: KafkaLogConfig,
    { admin, clock }: { readonly admin: KafkaAdmin; readonly clock: Clock },
  ) {
    this.#config = config;
    this.#admin = admin;
    this.#clock = clock;
  }

  /** Throws with everything that is wrong with these topics, and what to run. */
  async check(topics: readonly string[]): Promise<void> {
    const problems: TopicProblem[] = [];
    for (const topic of topics) problems.push(...(await this.problemsOf(topic)));
    if (problems.length === 0) return;
    const lines = problems.map(
      ({ topic, problem, command }) => `\n  - ${topic}: ${problem}; run\n    ${command}`,
    );
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    throw new MeteringError('METER_CONFIG_INVALID', `the topics of Kafka: ${count}${lines.join('')}`);
  }

  async problemsOf(topic: string): Promise<readonly TopicProblem[]> {
    const metadata = await this.#metadata(topic);
    if (metadata === undefined) {
      return [{ topic, problem: 'is missing', command: this.#createCommand(topic) }];
    }
    return [...this.#shapeProblems(metadata), ...this.#settingProblems(topic, await this.#settings(topic))];
  }

  async exists(topic: string): Promise<boolean> {
    return (await this.#metadata(topic)) !== undefined;
  }

  /** Makes topics that are missing, as the settings want them. What exists stays as it is: see `check`. */
  async ensure(topics: readonly string[]): Promise<readonly string[]> {
    const missing: string[] = [];
    for (const topic of topics) if ((await this.#metadata(topic)) === undefined) missing.push(topic);
    if (missing.length === 0) return [];
    const { partitions: numPartitions, replicationFactor } = this.#config.topics;
    const configEntries = Object.entries(this.#wanted()).map(([name, value]) => ({ name, value }));
    const wanted = missing.map((topic) => ({ topic, numPartitions, replicationFactor, configEntries }));
    await this.#admin.ask(`create ${missing.join(', ')}`, (admin) =>
      admin.createTopics({ topics: wanted, waitForLeaders: false }),
    );
    for (const topic of missing) await this.#appearance(topic);
    return missing;
  }

  /** What the controller has made the brokers come to know, and to serve, a little later. */
  async #appearance(topic: string): Promise<void> {
    for (let attempt = 1; !(await this.#isServed(topic)); attempt++) {
      if (attempt > APPEARANCE_TRIES) {
        const message = `Kafka made ${topic}, but no broker serves it yet; try again later`;
        throw new MeteringError('METER_LOG_UNAVAILABLE', message, { retryable: true });
      }
      await this.#clock.sleep(APPEARANCE_MS);
    }
  }

  async #isServed(topic: string): Promise<boolean> {
    try {
      if ((await this.#metadata(topic)) === undefined) return false;
      await this.#admin.bounds(topic);
      return true;
    } catch (error) {
      if (error instanceof MeteringError && error.retryable) return false;
      throw error;
    }
  }

  /** Numbers of a topic's partitions. */
  async partitions(topic: string): Promise<readonly number[]> {
    const metadata = await this.#metadata(topic);
    if (metadata === undefined) {
      const text = `${topic} is missing; run\n    ${this.#createCommand(topic)}`;
      throw new MeteringError('METER_CONFIG_INVALID', `the topic ${text}`);
    }
    return metadata.partitions.map(({ partitionId }) => partitionId).sort((a, b) => a - b);
  }

  async #metadata(topic: string): Promise<ITopicMetadata | undefined> {
    return await this.#admin.ask(`describe ${topic}`, async (admin) => {
      try {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
        return topics[0];
      } catch (error) {
        if (isUnknownTopic(error)) return undefined;
        throw error;
      }
    });
  }

  async #settings(topic: string): Promise<TopicSettings> {
    const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic };
    const { resources } = await this.#admin.ask(`read the settings of ${topic}`, (admin) =>
      admin.describeConfigs({ resources: [resource], includeSynonyms: false }),
    );
    const entries = resources[0]?.configEntries ?? [];
    return Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]));
  }

  #shapeProblems({ name: topic, partitions }: ITopicMetadata): readonly TopicProblem[] {
    const wanted = this.#config.topics;
    const problems: TopicProblem[] = [];
    if (partitions.length < wanted.partitions) {
      const problem = `has ${partitions.length} partitions, not ${wanted.partitions} or more`;
      const change = `--alter --topic ${topic} --partitions ${wanted.partitions}`;
      problems.push({ topic, problem, command: `${this.#tool('kafka-topics.sh')} ${change}` });
    }
    const copies = Math.min(...partitions.map(({ replicas }) => replicas.length));
    if (copies < wanted.replicationFactor) {
      const problem = `has ${copies} copies of a partition, not ${wanted.replicationFactor} or more`;
      const file = `--reassignment-json-file ${topic}.json --execute`;
      problems.push({ topic, problem, command: `${this.#tool('kafka-reassign-partitions.sh')} ${file}` });
    }
    return problems;
  }

  /** All settings of a topic are mended by one command. */
  #settingProblems(topic: string, actual: TopicSettings): readonly TopicProblem[] {
    const wrong = Object.entries(this.#wanted()).filter(
      ([name, wanted]) => !isEnough(name, actual[name], wanted),
    );
    if (wrong.length === 0) return [];
    const least = (name: string): string => (LEAST.has(name) ? ' or more' : '');
    const problem = wrong
      .map(([name, wanted]) => `${name} is ${actual[name] ?? 'not set'}, not ${wanted}${least(name)}`)
      .join(', ');
    const values = wrong.map(([name, wanted]) => `${name}=${wanted}`).join(',');
    const command = `${this.#tool('kafka-configs.sh')} --alter --topic ${topic} --add-config ${values}`;
    return [{ topic, problem, command }];
  }

  #wanted(): TopicSettings {
    const { minInsyncReplicas, retentionMs, maxMessageBytes } = this.#config.topics;
    return {
      'cleanup.policy': 'delete',
      'max.message.bytes': `${maxMessageBytes}`,
      'min.insync.replicas': `${minInsyncReplicas}`,
      // By size, records would go before their time, read or not.
      'retention.bytes': '-1',
      'retention.ms': `${retentionMs}`,
    };
  }

  #createCommand(topic: string): string {
    const { partitions, replicationFactor } = this.#config.topics;
    const settings = Object.entries(this.#wanted()).map(([name, value]) => ` --config ${name}=${value}`);
    const shape = `--partitions ${partitions} --replication-factor ${replicationFactor}`;
    return `${this.#tool('kafka-topics.sh')} --create --topic ${topic} ${shape}${settings.join('')}`;
  }

  #tool(name: string): string {
    return `${name} --bootstrap-server ${this.#config.brokers[0] ?? ''}`;
  }
}

const LEAST: ReadonlySet<string> = new Set(['max.message.bytes', 'min.insync.replicas', 'retention.ms']);

function isEnough(name: string, actual: string | undefined, wanted: string): boolean {
  if (actual === undefined) return false;
  if (!LEAST.has(name)) return actual === wanted;
  // -1 is for ever.
  return name === 'retention.ms' && actual === '-1' ? true : Number(actual) >= Number(wanted);
}
