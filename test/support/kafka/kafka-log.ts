/** Logs on a broker of a test, and topics that nothing else writes to. */
import { KafkaLog, kafkaLogSchema } from '../../../core/eventlog/kafka.ts';
import type { LogAppend, LogRecord } from '../../../core/eventlog/sample-log.ts';
import { SystemClock } from '../../../core/runtime/clock.ts';
import { loadConfig, mergeConfig, type ConfigTree } from '../../../core/runtime/config.ts';
import type { FactFields, FactName, FactSink } from '../../../core/runtime/facts.ts';

export const PARTITIONS = 3;
export const clock = new SystemClock();

/** One broker, and answers that do not wait for more. */
const SMALL: ConfigTree = {
  topics: { partitions: PARTITIONS, replicationFactor: 1, minInsyncReplicas: 1 },
  fetch: { maxWaitMs: 100 },
  membership: { sessionTimeoutMs: 6_000, heartbeatIntervalMs: 300 },
};

/** Keeps what was told, for tests to look at and to wait for. */
export class ToldFacts implements FactSink {
  readonly #told: { readonly name: FactName; readonly fields: unknown }[] = [];

  event<N extends FactName>(name: N, fields: FactFields<N>): void {
    this.#told.push({ name, fields });
  }

  of<N extends FactName>(name: N): readonly FactFields<N>[] {
    return this.#told.filter((told) => told.name === name).map(({ fields }) => fields as FactFields<N>);
  }
}

export function kafkaLog(broker: string, more: ConfigTree = {}, facts: FactSink = new ToldFacts()): KafkaLog {
  const values = mergeConfig(SMALL, { brokers: [broker] }, more);
  return new KafkaLog(loadConfig(kafkaLogSchema, { name: 'the test', values }), { clock, facts });
}

let made = 0;

/** The name of a topic, or a group, that nothing has used. */
export function newName(what = 'usage'): string {
  return `${what}.${process.pid}-${++made}`;
}

/** A topic of its own for whoever asks. */
export async function topicOf(log: KafkaLog): Promise<string> {
  const topic = newName();
  await log.ensureTopics([topic]);
  return topic;
}

/** For the first partition, now. */
export function record(topic: string, value: string | Buffer, more: Partial<LogAppend> = {}): LogAppend {
  return { topic, partition: 0, timestampMs: Date.now(), key: null, value: Buffer.from(value), ...more };
}

export function text({ value }: LogRecord): string {
  return Buffer.from(value).toString('utf8');
}
