import kafkajs, { type Message, type Producer, type RecordMetadata } from 'kafkajs';

import type { Clock } from '../../runtime/clock.ts';
import { invariant, MeteringError } from '../../runtime/errors.ts';
import type { LogAppend } from '../sample-log.ts';
import type { KafkaClients } from './client.ts';
import type { KafkaLogConfig } from './config.ts';
import { translateFault } from './faults.ts';
import { JointRequests } from './joint-requests.ts';
import type { Topics } from './topics.ts';

const { CompressionTypes, Partitioners } = kafkajs;

const COMPRESSION = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  zstd: CompressionTypes.ZSTD,
};
/** Every in-sync copy, so that an acknowledged record survives its leader. */
const ALL = -1;
const ACK_TIMEOUT_MS = 30_000;
/** How long the number of partitions is taken for granted; a topic that grows is seen after it. */
const METADATA_MS = 300_000;
/** While one is on its way the next is made. */
const REQUESTS_AT_ONCE = 2;
/** A record's own framing in a batch, at most. */
const RECORD_OVERHEAD_BYTES = 64;

export interface ProducerDeps {
  readonly clients: KafkaClients;
  readonly topics: Topics;
  readonly clock: Clock;
}

interface Placed {
  readonly topic: string;
  readonly message: Message & { readonly partition: number };
  readonly bytes: number;
}

interface Known {
  readonly partitions: readonly number[];
  readonly untilMs: number;
}

/**
 * Appends with acks=all and bounded retries. Every record is given its partition before anything is sent:
 * the library would choose again at a retry, and then take what one broker acknowledged for what another had
 * refused. For the same reason the answer is held against what was sent.
 */
export class KafkaAppender {
  readonly #config: KafkaLogConfig;
  readonly #deps: ProducerDeps;
  readonly #choose = Partitioners.DefaultPartitioner();
  readonly #known = new Map<string, Known>();
  readonly #requests: JointRequests<Placed>;
  #producer: Promise<Producer> | undefined;
  #roundRobin = 0;

  constructor(config: KafkaLogConfig, deps: ProducerDeps) {
    this.#config = config;
    this.#deps = deps;
    const options = { maxBytes: config.maxRequestBytes, atOnce: REQUESTS_AT_ONCE };
    this.#requests = new JointRequests(options, (request) => this.#send(request));
  }

  async append(records: readonly LogAppend[]): Promise<void> {
    const placed: Placed[] = [];
    for (const record of records) placed.push(await this.#place(record));
    // One after the other: what a caller appends keeps its order.
    for (const part of partsOf(placed, this.#config.maxRequestBytes)) {
      const bytes = part.reduce((sum, one) => sum + one.bytes, 0);
      await this.#requests.append(part, bytes);
    }
  }

  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.then((connected) => connected.disconnect()).catch(() => undefined);
  }

  async #place({ topic, partition, timestampMs, key, headers = {}, value }: LogAppend): Promise<Placed> {
    invariant(Number.isSafeInteger(timestampMs), 'a record carries its time in whole milliseconds');
    const message = {
      partition: await this.#partitionOf(topic, partition, key),
      timestamp: `${timestampMs}`,
      // Anything but a Buffer the library would write as text.
      key: key === null ? null : bufferOf(key),
      value: bufferOf(value),
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, content]) => [name, bufferOf(content)]),
      ),
    };
    const headerBytes = Object.entries(headers).reduce(
      (sum, [name, { length }]) => sum + name.length + length,
      0,
    );
    const bytes = value.length + (key?.length ?? 0) + headerBytes + RECORD_OVERHEAD_BYTES;
    return { topic, message, bytes };
  }

  async #partitionOf(topic: string, wanted: number | undefined, key: Uint8Array | null): Promise<number> {
    const partitions = await this.#partitions(topic);
    // A partition that does not exist the library would drop without a word.
    invariant(
      wanted === undefined || partitions.includes(wanted),
      `${topic} has a partition ${wanted ?? ''}`,
    );
    if (wanted !== undefined) return wanted;
    if (key === null) return partitions[this.#roundRobin++ % partitions.length] ?? 0;
    const partitionMetadata = partitions.map((partitionId) => ({ partitionId, leader: 0 }));
    const message = { key: bufferOf(key), value: null };
    return this.#choose({ topic, partitionMetadata: partitionMetadata as never, message });
  }

  async #partitions(topic: string): Promise<readonly number[]> {
    const known = this.#known.get(topic);
    const nowMs = this.#deps.clock.now();
    if (known !== undefined && nowMs < known.untilMs) return known.partitions;
    const partitions = await this.#deps.topics.partitions(topic);
    this.#known.set(topic, { partitions, untilMs: nowMs + METADATA_MS });
    return partitions;
  }

  async #send(request: readonly Placed[]): Promise<void> {
    const topics = [...new Set(request.map(({ topic }) => topic))];
    const topicMessages = topics.map((topic) => ({
      topic,
      messages: request.filter((placed) => placed.topic === topic).map(({ message }) => message),
    }));
    const compression = COMPRESSION[this.#config.compression];
    const connecting = this.#connected();
    try {
      const producer = await connecting;
      const answer = await producer.sendBatch({
        acks: ALL,
        timeout: ACK_TIMEOUT_MS,
        compression,
        topicMessages,
      });
      checkAcknowledged(request, answer);
    } catch (error) {
      const operation = `append to ${topics.join(', ')}`;
      const fault = translateFault(error, { operation, principal: this.#deps.clients.principal });
      // With a new connection the next append finds brokers that have moved, and topics made meanwhile.
      const isLost = fault instanceof MeteringError && fault.retryable;
      if (isLost && this.#producer === connecting) await this.close();
      for (const topic of topics) this.#known.delete(topic);
      throw fault;
    }
  }

  /** One that could not be made is not kept, whatever the fault: a person may mend it while this runs. */
  #connected(): Promise<Producer> {
    if (this.#producer !== undefined) return this.#producer;
    const connecting = this.#connect();
    this.#producer = connecting;
    connecting.catch(() => {
      if (this.#producer === connecting) this.#producer = undefined;
    });
    return connecting;
  }

  async #connect(): Promise<Producer> {
    const { kafka, attend } = this.#deps.clients.create();
    const producer = kafka.producer({
      allowAutoTopicCreation: false,
      // Idempotence is not needed: the sample store absorbs repeats.
      idempotent: false,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    attend(producer);
    try {
      await producer.connect();
    } catch (error) {
      void producer.disconnect().catch(() => undefined);
      throw error;
    }
    return producer;
  }
}

/** Parts of at most so many bytes, in order; a larger record goes alone. */
function partsOf(placed: readonly Placed[], maxBytes: number): readonly (readonly Placed[])[] {
  const parts: Placed[][] = [];
  let left = 0;
  for (const one of placed) {
    if (parts.length === 0 || one.bytes > left) {
      parts.push([]);
      left = maxBytes;
    }
    parts.at(-1)?.push(one);
    left -= one.bytes;
  }
  return parts;
}

/**
 * A partition whose leader moved between two tries can be missing from what the library calls a success:
 * another broker's answer stood for it. Sent again, its records come twice rather than never.
 */
export function checkAcknowledged(
  sent: readonly { readonly topic: string; readonly message: { readonly partition: number } }[],
  answer: readonly Pick<RecordMetadata, 'topicName' | 'partition' | 'errorCode'>[],
): void {
  const acknowledged = new Set(
    answer.filter(({ errorCode }) => errorCode === 0).map((one) => `${one.topicName}/${one.partition}`),
  );
  const missing = sent.map(({ topic, message }) => `${topic}/${message.partition}`);
  const lost = [...new Set(missing)].filter((name) => !acknowledged.has(name));
  if (lost.length === 0) return;
  const message = `Kafka acknowledged nothing for ${lost.join(', ')}; append again`;
  throw new MeteringError('METER_LOG_UNAVAILABLE', message, { retryable: true });
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
