import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type {
  LogAppend,
  LogConsumer,
  LogPosition,
  LogRecord,
  SampleLog,
} from '../../core/eventlog/sample-log.ts';

/** One side of the port, over data of its own that nothing else writes to. */
export interface OpenedLog {
  readonly log: SampleLog;
  /** Two topics without records, of three partitions or more. */
  readonly topics: readonly [string, string];
  /** Closes the log and opens it again over the same data, as a restart of the process does. */
  reopen(): Promise<OpenedLog>;
  /** Closes the log and removes its data. */
  dispose(): Promise<void>;
}

const TIME_MS = Date.UTC(2026, 2, 1, 10);
const MANY_BYTES = 1_000_000;
/** Long enough that a poll which waits for it in vain fails the test's time, not the poll. */
const LONG_MS = 20_000;

function record(topic: string, value: string, more: Partial<LogAppend> = {}): LogAppend {
  return { topic, timestampMs: TIME_MS, key: null, value: Buffer.from(value), ...more };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

/** Polls until so many records have come. */
async function pollCount(consumer: LogConsumer, count: number): Promise<readonly LogRecord[]> {
  const records: LogRecord[] = [];
  while (records.length < count) {
    const polled = await consumer.poll({ maxBytes: MANY_BYTES, waitMs: LONG_MS });
    expect(polled.length).toBeGreaterThan(0);
    records.push(...polled);
  }
  return records;
}

function after(records: readonly LogRecord[]): readonly LogPosition[] {
  const last = new Map<number, LogPosition>();
  for (const { topic, partition, offset } of records) {
    last.set(partition, { topic, partition, next: offset + 1n });
  }
  return [...last.values()];
}

/** What both sides of the port promise; `open` gives an empty log. */
export function sampleLogContract(name: string, open: () => Promise<OpenedLog>): void {
  describe(`the contract of ${name}`, () => {
    let topic: string;
    let other: string;
    let opened: OpenedLog;

    beforeEach(async () => {
      opened = await open();
      [topic, other] = opened.topics;
    });

    afterEach(async () => {
      await opened.dispose();
    });

    function consumer(group = 'aggregator', topics: readonly string[] = [topic]): Promise<LogConsumer> {
      return opened.log.consumer({ group, topics });
    }

    test('an append is durable before it returns', async () => {
      await opened.log.append([record(topic, 'kept')]);
      opened = await opened.reopen();
      const records = await pollCount(await consumer(), 1);
      expect(records.map(({ value }) => text(value))).toEqual(['kept']);
    });

    test('a record comes back as it was appended', async () => {
      const value = Uint8Array.from({ length: 256 }, (_, index) => index);
      const headers = { 'content-type': Buffer.from('application/x-protobuf'), empty: new Uint8Array() };
      await opened.log.append([
        { topic, partition: 1, timestampMs: TIME_MS, key: Buffer.from('k'), headers, value },
      ]);
      const [polled] = await pollCount(await consumer(), 1);
      expect(polled).toMatchObject({ topic, partition: 1, offset: 0n, timestampMs: TIME_MS });
      expect(polled?.key && text(polled.key)).toBe('k');
      expect(Buffer.from(polled?.value ?? [])).toEqual(Buffer.from(value));
      expect(Object.keys(polled?.headers ?? {}).sort()).toEqual(['content-type', 'empty']);
      expect(text(polled?.headers['content-type'] ?? Buffer.from('none'))).toBe('application/x-protobuf');
      expect(polled?.headers['empty']?.length).toBe(0);
    });

    test('no key and no headers come back as such', async () => {
      await opened.log.append([record(topic, 'bare')]);
      const [polled] = await pollCount(await consumer(), 1);
      expect(polled?.key).toBeNull();
      expect(polled?.headers).toEqual({});
    });

    test('offsets of a partition are dense and in the order of the appends', async () => {
      for (let n = 0; n < 5; n++) {
        await opened.log.append([
          record(topic, `${n}a`, { partition: 0 }),
          record(topic, `${n}b`, { partition: 0 }),
        ]);
      }
      const records = await pollCount(await consumer(), 10);
      expect(records.map(({ offset }) => offset)).toEqual(
        Array.from({ length: 10 }, (_, index) => BigInt(index)),
      );
      expect(records.map(({ value }) => text(value)).join(' ')).toBe('0a 0b 1a 1b 2a 2b 3a 3b 4a 4b');
    });

    test('appends at the same time all land, each on an offset of its own', async () => {
      const appends = Array.from({ length: 50 }, (_, n) =>
        opened.log.append([record(topic, `${n}`, { partition: 0 })]),
      );
      await Promise.all(appends);
      const records = await pollCount(await consumer(), 50);
      expect(new Set(records.map(({ value }) => text(value))).size).toBe(50);
      expect(records.map(({ offset }) => offset)).toEqual(
        Array.from({ length: 50 }, (_, index) => BigInt(index)),
      );
    });

    test('equal keys go to equal partitions, also after a restart', async () => {
      const keys = Array.from({ length: 20 }, (_, index) => Buffer.from(`node-${index}`));
      const all = keys.map((key) => record(topic, key.toString(), { key }));
      await opened.log.append(all);
      opened = await opened.reopen();
      await opened.log.append(all);
      const partitions = new Map<string, Set<number>>();
      for (const { key, partition } of await pollCount(await consumer(), 40)) {
        const name = text(key!);
        partitions.set(name, (partitions.get(name) ?? new Set()).add(partition));
      }
      expect([...partitions.values()].map((found) => found.size)).toEqual(keys.map(() => 1));
      expect(new Set([...partitions.values()].flatMap((found) => [...found])).size).toBeGreaterThan(1);
    });

    test('a poll stops at its bytes, and returns a larger record alone', async () => {
      const sizes = [40, 40, 40, 500, 10];
      await opened.log.append(sizes.map((size) => record(topic, 'x'.repeat(size), { partition: 0 })));
      const reader = await consumer();
      const batches: number[][] = [];
      while (batches.flat().length < sizes.length) {
        const polled = await reader.poll({ maxBytes: 100, waitMs: LONG_MS });
        batches.push(polled.map(({ value }) => value.length));
      }
      expect(batches).toEqual([[40, 40], [40], [500], [10]]);
    });

    test('what waits beyond a poll is counted, and what was polled before is committed after the next', async () => {
      await opened.log.append(
        ['a', 'b', 'c', 'd'].map((value) => record(topic, value.repeat(50), { partition: 0 })),
      );
      const reader = await consumer();
      const polled: (readonly LogRecord[])[] = [];
      const waiting: bigint[] = [];
      while (polled.flat().length < 4) {
        const records = await reader.poll({ maxBytes: 100, waitMs: LONG_MS });
        if (records.length === 0) continue;
        polled.push(records);
        waiting.push(reader.waiting());
      }
      expect(waiting.at(-1)).toBe(0n);
      expect(waiting.at(0)).toBe(4n - BigInt(polled[0]?.length ?? 0));
      for (const records of polled) await reader.commit(after(records));
      expect((await reader.committed()).find(({ partition }) => partition === 0)?.next).toBe(4n);
    });

    test('an empty poll takes its time and no longer', async () => {
      const reader = await consumer();
      const started = performance.now();
      expect(await reader.poll({ maxBytes: MANY_BYTES, waitMs: 200 })).toEqual([]);
      expect(performance.now() - started).toBeGreaterThan(150);
      expect(performance.now() - started).toBeLessThan(5000);
    });

    test('an append wakes a poll that waits', async () => {
      const reader = await consumer();
      const polling = reader.poll({ maxBytes: MANY_BYTES, waitMs: LONG_MS });
      await opened.log.append([record(topic, 'awaited')]);
      expect((await polling).map(({ value }) => text(value))).toEqual(['awaited']);
    });

    test('an abort ends a poll that waits, and one that has not begun', async () => {
      const reader = await consumer();
      const stop = new AbortController();
      const polling = reader.poll({ maxBytes: MANY_BYTES, waitMs: LONG_MS, signal: stop.signal });
      stop.abort();
      expect(await polling).toEqual([]);
      expect(await reader.poll({ maxBytes: MANY_BYTES, waitMs: LONG_MS, signal: stop.signal })).toEqual([]);
    });

    test('what is committed is not polled again after a restart, what is not is', async () => {
      await opened.log.append(['a', 'b', 'c'].map((value) => record(topic, value, { partition: 0 })));
      const before = await consumer();
      const records = await pollCount(before, 3);
      await before.commit(after(records.slice(0, 2)));
      opened = await opened.reopen();
      const reader = await consumer();
      expect((await pollCount(reader, 1)).map(({ value }) => text(value))).toEqual(['c']);
      expect((await reader.committed()).find(({ partition }) => partition === 0)?.next).toBe(2n);
    });

    test('a consumer takes up where the last one of its group committed', async () => {
      await opened.log.append(['a', 'b'].map((value) => record(topic, value, { partition: 0 })));
      const first = await consumer();
      await first.commit(after((await pollCount(first, 2)).slice(0, 1)));
      await first.close();
      expect((await pollCount(await consumer(), 1)).map(({ value }) => text(value))).toEqual(['b']);
    });

    test('a committed position never goes back', async () => {
      await opened.log.append(['a', 'b'].map((value) => record(topic, value, { partition: 0 })));
      const reader = await consumer();
      await reader.commit(after(await pollCount(reader, 2)));
      await expect(reader.commit([{ topic, partition: 0, next: 1n }])).rejects.toThrow('never goes back');
      await reader.commit([{ topic, partition: 0, next: 2n }]);
      expect((await reader.committed()).find(({ partition }) => partition === 0)?.next).toBe(2n);
    });

    test('a consumer can go back and read again without moving what is committed', async () => {
      await opened.log.append(['a', 'b', 'c'].map((value) => record(topic, value, { partition: 0 })));
      const reader = await consumer();
      await reader.commit(after(await pollCount(reader, 3)));
      await reader.seek([{ topic, partition: 0, next: 1n }]);
      expect((await pollCount(reader, 2)).map(({ value }) => text(value))).toEqual(['b', 'c']);
      expect((await reader.committed()).find(({ partition }) => partition === 0)?.next).toBe(3n);
    });

    test('groups do not see each other', async () => {
      await opened.log.append([record(topic, 'a', { partition: 0 })]);
      const one = await consumer('one');
      await one.commit(after(await pollCount(one, 1)));
      expect((await pollCount(await consumer('two'), 1)).map(({ value }) => text(value))).toEqual(['a']);
    });

    test('a consumer of several topics gets the records of each', async () => {
      await opened.log.append([record(topic, 'a'), record(other, 'b')]);
      const records = await pollCount(await consumer('aggregator', [topic, other]), 2);
      expect(records.map((found) => `${found.topic} ${text(found.value)}`).sort()).toEqual([
        `${topic} a`,
        `${other} b`,
      ]);
    });

    test('a new consumer has a position in every partition, and reads from the oldest record', async () => {
      await opened.log.append([record(topic, 'old', { partition: 0 })]);
      const reader = await consumer('late');
      const ends = await opened.log.endPositions([topic]);
      const committed = await reader.committed();
      expect(committed.map(({ partition }) => partition)).toEqual(ends.map(({ partition }) => partition));
      expect(new Set(committed.map(({ next }) => next))).toEqual(new Set([0n]));
      expect((await pollCount(reader, 1)).map(({ offset }) => offset)).toEqual([0n]);
    });

    test('end positions are one past the newest record', async () => {
      await opened.log.append(['a', 'b'].map((value) => record(topic, value, { partition: 0 })));
      await opened.log.append([record(topic, 'c', { partition: 1 })]);
      const ends = await opened.log.endPositions([topic]);
      expect(ends.slice(0, 3)).toEqual([
        { topic, partition: 0, next: 2n },
        { topic, partition: 1, next: 1n },
        { topic, partition: 2, next: 0n },
      ]);
    });
  });
}
