import type { IHeaders } from 'kafkajs';

import type { LogRecord } from '../sample-log.ts';

/** A poll ends here even if its bytes are not used up: tiny records would make an endless batch. */
const MAX_POLL_RECORDS = 10_000;
/** What a record takes beside its bytes, roughly. */
const RECORD_BYTES = 256;

interface Held {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: Readonly<Record<string, Uint8Array>> | IHeaders;
}

interface Queue {
  records: LogRecord[];
  /** Index of the next record to take; those before it are gone. */
  taken: number;
}

/**
 * Records that were fetched and wait to be polled, in offset order by partition. It counts their bytes, so
 * that fetching can stop while nobody polls.
 */
export class FetchBuffer {
  readonly #queues = new Map<string, Queue>();
  #bytes = 0;
  #turn = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return [...this.#queues.values()].reduce((sum, { records, taken }) => sum + records.length - taken, 0);
  }

  push(source: string, records: readonly LogRecord[]): void {
    let queue = this.#queues.get(source);
    if (queue === undefined) this.#queues.set(source, (queue = { records: [], taken: 0 }));
    for (const record of records) {
      queue.records.push(record);
      this.#bytes += messageBytes(record);
    }
  }

  /** Forgets what waits of a partition. */
  drop(source: string): void {
    const queue = this.#queues.get(source);
    if (queue === undefined) return;
    for (const record of queue.records.slice(queue.taken)) this.#bytes -= messageBytes(record);
    this.#queues.delete(source);
  }

  clear(): void {
    this.#queues.clear();
    this.#bytes = 0;
  }

  /**
   * Up to so many bytes of values; a first record always fits. Starts with another partition each time, so
   * that a long backlog in one does not starve the others.
   */
  take(maxBytes: number): readonly LogRecord[] {
    const sources = [...this.#queues.keys()];
    const first = this.#turn++ % Math.max(1, sources.length);
    const batch: LogRecord[] = [];
    let left = maxBytes;
    for (const source of [...sources.slice(first), ...sources.slice(0, first)]) {
      const queue = this.#queues.get(source);
      if (queue === undefined) continue;
      for (let record = queue.records[queue.taken]; record !== undefined;) {
        const isFull = batch.length === MAX_POLL_RECORDS || record.value.length > left;
        if (isFull && batch.length > 0) return batch;
        batch.push(record);
        left -= record.value.length;
        this.#bytes -= messageBytes(record);
        record = queue.records[++queue.taken];
      }
      this.#queues.delete(source);
    }
    return batch;
  }
}

/** What a record takes, roughly, as the library has it or as it waits here. */
export function messageBytes({ key, value, headers = {} }: Held): number {
  let bytes = RECORD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const name in headers)
    bytes += [headers[name] ?? ''].flat().reduce((sum, { length }) => sum + length, 0);
  return bytes;
}
