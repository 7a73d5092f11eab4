import { beforeEach, expect, test } from 'vitest';
import { Reread } from '../../../../aggregator/ingest/reread.ts';
import type { LogConsumer, LogPosition } from '../../../../core/eventlog/sample-log.ts';
import { MemoryLog } from '../../../support/memory-log.ts';

const TOPIC = 'usage.demo';
const position = (partition: number, next: number): LogPosition => ({
  topic: TOPIC,
  partition,
  next: BigInt(next),
});
const POLL = { maxBytes: 1 << 20, waitMs: 1 };

let consumer: LogConsumer;
let told: number;
let reread: Reread;
/** Two partitions of ten records each, of which eight are committed. */
beforeEach(async () => {
  const log = new MemoryLog({ partitions: 2 });
  const record = { topic: TOPIC, timestampMs: 0, key: null, value: Uint8Array.of(1) };
  for (let n = 0; n < 20; n++) await log.append([{ ...record, partition: n % 2 }]);
  consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
  await consumer.commit([position(0, 8), position(1, 8)]);
  told = 0;
  reread = new Reread(consumer, async () => {
    told++;
  });
});

test('with nothing to read again it has caught up at once, and commits as ever', async () => {
  await reread.begin([]);
  expect({ told, caughtUp: reread.isCaughtUp, remaining: reread.remaining }).toEqual({
    told: 1,
    caughtUp: true,
    remaining: 0n,
  });
  await reread.commit([position(0, 9)]);
  expect(await reread.committed()).toEqual([position(0, 9), position(1, 8)]);
  expect(told).toBe(1);
});

test('what is read again is not committed a second time; what lies beyond is', async () => {
  await reread.begin([position(0, 2), position(1, 5)]);
  expect(reread.remaining).toBe(9n);
  await reread.commit([position(0, 6)]);
  expect(reread.remaining).toBe(5n);
  await reread.commit([position(1, 7)]);
  expect(await reread.committed()).toEqual([position(0, 8), position(1, 8)]);
  await reread.commit([position(0, 10)]);
  expect(await reread.committed()).toEqual([position(0, 10), position(1, 8)]);
});

test('it has caught up once, when the last partition is where it was', async () => {
  await reread.begin([position(0, 2), position(1, 5)]);
  await reread.commit([position(0, 8)]);
  expect([told, reread.isCaughtUp]).toEqual([0, false]);
  await reread.commit([position(1, 8)]);
  expect([told, reread.isCaughtUp]).toEqual([1, true]);
  await reread.commit([position(0, 10), position(1, 10)]);
  expect(told).toBe(1);
});

test('polling goes on from where it was sent back to', async () => {
  await reread.begin([position(0, 2)]);
  const offsets = (await reread.poll(POLL))
    .filter(({ partition }) => partition === 0)
    .map(({ offset }) => offset);
  expect(offsets).toEqual([2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n]);
});

test('records that the log no longer has are not waited for: at its end it has caught up', async () => {
  await reread.begin([position(0, 2)]);
  await consumer.seek([position(0, 10), position(1, 10)]);
  expect(await reread.poll(POLL)).toEqual([]);
  expect([told, reread.remaining]).toEqual([1, 0n]);
});

test('a poll that was told to stop says nothing about the end of the log', async () => {
  await reread.begin([position(0, 2)]);
  await consumer.seek([position(0, 10), position(1, 10)]);
  await reread.poll({ ...POLL, signal: AbortSignal.abort() });
  expect([told, reread.isCaughtUp]).toEqual([0, false]);
});

test('a fault while it says so is told to whoever commits, and it has not caught up', async () => {
  const faulty = new Reread(consumer, () => Promise.reject(new Error('away')));
  await expect(faulty.begin([])).rejects.toThrow('away');
  expect(faulty.isCaughtUp).toBe(false);
});

test('sent back anew, it waits for nothing of a partition that somebody else has now', async () => {
  await reread.begin([position(0, 2), position(1, 5)]);
  await reread.commit([position(0, 4)]);
  await reread.begin([position(1, 3)]);
  expect(reread.remaining).toBe(5n);
  await reread.commit([position(1, 8)]);
  expect([told, reread.isCaughtUp]).toEqual([1, true]);
});
