import type { KafkaMessage } from 'kafkajs';

import type { LogRecord, TopicPartition } from '../sample-log.ts';
import { UNREADABLE_HEADER } from './record-batch.ts';

const NOTHING = new Uint8Array();

export function recordOf({ topic, partition }: TopicPartition, message: KafkaMessage): LogRecord {
  const headers = Object.entries(message.headers ?? {}).map(([name, content]): [string, Uint8Array] => {
    // A name that comes more than once: the last one counts.
    const last = Array.isArray(content) ? content.at(-1) : content;
    return [name, last === undefined ? NOTHING : bytesOf(last)];
  });
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    timestampMs: Number(message.timestamp),
    key: message.key,
    headers: Object.fromEntries(headers),
    // A record without a value says nothing, as an empty message does.
    value: message.value ?? NOTHING,
  };
}

/** Why a record is one in place of another that could not be unpacked; undefined: it is what was sent. */
export function reasonUnreadable({ headers }: LogRecord): string | undefined {
  const reason = headers[UNREADABLE_HEADER];
  return reason === undefined ? undefined : Buffer.from(reason).toString('utf8');
}

function bytesOf(content: Buffer | string): Uint8Array {
  return typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
}
