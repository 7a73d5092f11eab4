/**
 * Records of a log as JSON lines `{topic, partition, offset, timestamp, key, headers, value}` with bytes in
 * base64: what `replay` reads. In: a log and its topics. Out: everything from their oldest records up to
 * where they end as it begins. Nothing is committed, so nobody else is disturbed.
 */
import { randomUUID } from 'node:crypto';
import { MeteringError } from '../runtime/errors.ts';
import type { LogPosition, LogRecord, SampleLog } from './sample-log.ts';

const BATCH_BYTES = 8 * 1024 * 1024;
const POLL_MS = 1_000;
/** Polls in a row that give nothing although there should be more. */
const MAX_EMPTY_POLLS = 30;

export async function* captureLines(
  log: SampleLog,
  topics: readonly string[],
  options: { readonly isEmptyTheEnd: boolean },
): AsyncGenerator<string> {
  const left = new Map((await log.endPositions(topics)).map((end) => [nameOf(end), end.next]));
  const consumer = await log.consumer({ group: `capture-${randomUUID()}`, topics });
  try {
    for (const { next, ...start } of await consumer.committed()) settle(left, { ...start, next });
    let empty = 0;
    while (left.size > 0) {
      const records = await consumer.poll({ maxBytes: BATCH_BYTES, waitMs: POLL_MS });
      empty = records.length === 0 ? empty + 1 : 0;
      // Of a log in this process: what is missing was removed from it.
      if (empty > 0 && options.isEmptyTheEnd) return;
      if (empty > MAX_EMPTY_POLLS) throw incomplete(left);
      for (const record of records) {
        const isWanted = record.offset < (left.get(nameOf(record)) ?? 0n);
        if (isWanted) yield `${JSON.stringify(lineOf(record))}\n`;
        settle(left, { ...record, next: record.offset + 1n });
      }
    }
  } finally {
    await consumer.close();
  }
}

/** A partition that was read up to its end is done. */
function settle(left: Map<string, bigint>, position: LogPosition): void {
  const end = left.get(nameOf(position));
  if (end !== undefined && position.next >= end) left.delete(nameOf(position));
}

function incomplete(left: ReadonlyMap<string, bigint>): MeteringError {
  const partitions = [...left].map(([name, end]) => `${name} up to ${end}`).join(', ');
  return new MeteringError(
    'METER_LOG_UNAVAILABLE',
    `no more records come, and these partitions are not read to their ends: ${partitions}; ` +
      'see to the brokers and capture again',
  );
}

function lineOf(record: LogRecord): Record<string, unknown> {
  const { topic, partition, offset, timestampMs, key, headers, value } = record;
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return {
    ...{ topic, partition, offset: String(offset), timestamp: String(timestampMs) },
    key: key === null ? null : base64(key),
    headers: Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, base64(bytes)])),
    value: base64(value),
  };
}

function nameOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}
