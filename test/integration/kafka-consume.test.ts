import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

import kafkajs from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import type { KafkaLog } from '../../core/eventlog/kafka.ts';
import type { LogConsumer, LogPosition, LogRecord } from '../../core/eventlog/sample-log.ts';
import type { ConfigTree } from '../../core/runtime/config.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { batchOf, produceBatch, ZSTD } from '../support/kafka/batches.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { produceByJava, valueOf, type JavaCodec } from '../support/kafka/java-producer.ts';
import { kafkaLog, newName, record, text, ToldFacts, topicOf } from '../support/kafka/kafka-log.ts';

const missing = missingForKafka();
const MANY_BYTES = 10_000_000;
const LONG_MS = 20_000;

let broker: KafkaBroker;
const logs: KafkaLog[] = [];
let facts = new ToldFacts();

function open(more: ConfigTree = {}): KafkaLog {
  const log = kafkaLog(broker.address, more, facts);
  logs.push(log);
  return log;
}

function positionsOf(records: readonly LogRecord[]): LogPosition[] {
  const last = new Map<number, LogPosition>();
  for (const { topic, partition, offset } of records)
    last.set(partition, { topic, partition, next: offset + 1n });
  return [...last.values()];
}

async function pollCount(reader: LogConsumer, count: number): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  while (records.length < count) {
    const polled = await reader.poll({ maxBytes: MANY_BYTES, waitMs: LONG_MS });
    expect(polled.length).toBeGreaterThan(0);
    records.push(...polled);
  }
  return records;
}

/** Overwrites what the broker has on disk; it serves it from there. */
function damage(topic: string, at: number, bytes: Uint8Array): void {
  const file = openSync(broker.segment(topic, 0), 'r+');
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

function placeOf(topic: string, marker: string): number {
  const at = readFileSync(broker.segment(topic, 0)).indexOf(marker);
  expect(at).toBeGreaterThan(0);
  return at;
}

async function asAdmin<T>(work: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const admin = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** As retention does. */
async function deleteBelow(topic: string, offset: string): Promise<void> {
  await asAdmin(async (admin) => {
    // Or the library does not know where the partition is.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] });
  });
}

describe.skipIf(missing !== undefined)(`on a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  beforeAll(async () => {
    broker = await KafkaBroker.start();
  });
  afterAll(async () => {
    await broker.stop();
  });
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close()));
    facts = new ToldFacts();
  });

  describe('a group of several', () => {
    test('every record is given to somebody, before and after a member comes and goes', async () => {
      const log = open();
      const topic = await topicOf(log);
      const group = newName('group');
      const seen = new Set<string>();
      const alive = new AbortController();
      const read = async (reader: LogConsumer, signal: AbortSignal): Promise<void> => {
        while (!signal.aborted) {
          const records = await reader.poll({ maxBytes: 50, waitMs: 200, signal });
          for (const one of records) seen.add(text(one));
          await reader.commit(positionsOf(records));
        }
      };
      let sent = 0;
      const append = async (): Promise<void> => {
        const more = Array.from({ length: 30 }, () => record(topic, `${sent++}`, { partition: sent % 3 }));
        await log.append(more);
      };
      const everything = async (): Promise<void> => {
        await expect.poll(() => seen.size, { timeout: LONG_MS }).toBe(sent);
      };

      const first = read(await log.consumer({ group, topics: [topic] }), alive.signal);
      await append();
      await everything();
      const joining = open();
      const second = await joining.consumer({ group, topics: [topic] });
      const leaving = new AbortController();
      const reading = read(second, leaving.signal);
      await append();
      await everything();
      expect((await second.committed()).length).toBeGreaterThan(0);
      expect((await second.committed()).length).toBeLessThan(3);
      leaving.abort();
      await reading;
      await joining.close();
      await append();
      await everything();
      alive.abort();
      await first;
    });

    test('a reader is told of a rebalance before the first record that comes after it', async () => {
      const log = open();
      const topic = await topicOf(log);
      const group = newName('group');
      const told: (string | readonly LogPosition[])[] = [];
      const onReassigned = (positions: readonly LogPosition[]): void => void told.push(positions);
      const reader = await log.consumer({ group, topics: [topic], onReassigned });
      await log.append([record(topic, 'before', { partition: 0 })]);
      const [before] = await pollCount(reader, 1);
      await reader.commit(positionsOf([before!]));
      const other = open();
      const second = await other.consumer({ group, topics: [topic] });
      await log.append([0, 1, 2].map((partition) => record(topic, `after ${partition}`, { partition })));
      // Each sees only what is its own, so both have to read for all of it to come.
      const polls = [reader, second].map(async (one) => {
        for (let polled = 0; polled === 0;) {
          const records = await one.poll({ maxBytes: MANY_BYTES, waitMs: LONG_MS });
          polled = records.length;
          if (one === reader) told.push(...records.map(text));
        }
      });
      await Promise.all(polls);
      expect(told.length).toBeGreaterThan(1);
      expect(Array.isArray(told[0])).toBe(true);
      const texts = told.filter((one) => typeof one === 'string');
      expect(texts.length).toBeGreaterThan(0);
      expect(texts.filter((one) => !one.startsWith('after'))).toEqual([]);
    });

    test('a commit of what was polled before a rebalance moves nobody back', async () => {
      const log = open();
      const topic = await topicOf(log);
      const group = newName('group');
      const slow = await log.consumer({ group, topics: [topic] });
      const values = Array.from({ length: 12 }, (_, n) => record(topic, `${n}`, { partition: n % 3 }));
      await log.append(values);
      const polled: LogRecord[] = [];
      while (polled.length < 3) polled.push(...(await slow.poll({ maxBytes: 1, waitMs: LONG_MS })));
      const quick = await open().consumer({ group, topics: [topic] });
      const own = (await quick.committed()).map(({ partition }) => partition);
      const mine = await pollCount(quick, 4 * own.length);
      await quick.commit(positionsOf(mine));
      await slow.commit(positionsOf(polled));
      expect(facts.of('logCommitDropped')).toEqual([{ group, partitions: expect.any(Array) as string[] }]);
      const positions = await asAdmin((admin) => admin.fetchOffsets({ groupId: group, topics: [topic] }));
      const of = (partition: number): string | undefined =>
        positions[0]?.partitions.find((one) => one.partition === partition)?.offset;
      expect(own.map(of)).toEqual(own.map(() => '4'));
    });
  });

  describe('back-pressure', () => {
    test('while nobody polls, the buffer stays within its bound and the member stays in its group', async () => {
      const bound = 200_000;
      const log = open({ compression: 'none', maxRequestBytes: 60_000, fetch: { bufferBytes: bound } });
      const topic = await topicOf(log);
      const value = Buffer.alloc(10_000, 'x');
      for (let n = 0; n < 20; n++) {
        await log.append(Array.from({ length: 5 }, (_, m) => record(topic, value, { partition: m % 3 })));
      }
      const fetched = { maxBytesPerPartition: 5_242_880, maxBytes: 60_000 };
      const reading = open({ fetch: { ...fetched, bufferBytes: bound } });
      const group = newName('group');
      const reader = await reading.consumer({ group, topics: [topic] });
      await expect.poll(() => facts.of('logHeldBack').length, { timeout: LONG_MS }).toBe(1);
      // Longer than the session: only heartbeats keep the membership.
      await new Promise((resolve) => setTimeout(resolve, 7_000));
      const { groups } = await asAdmin((admin) => admin.describeGroups([group]));
      expect(groups[0]).toMatchObject({ state: 'Stable', members: [{}] });
      // Full once, and then nothing more was fetched; a starved machine may have made it join again.
      expect(facts.of('logHeldBack').length).toBe(facts.of('logAssigned').length);
      for (const { bytes } of facts.of('logHeldBack')) expect(bytes).toBeLessThan(bound + 200_000);
      const seen = new Set<string>();
      while (seen.size < 100) {
        const records = await reader.poll({ maxBytes: MANY_BYTES, waitMs: LONG_MS });
        expect(records.length).toBeGreaterThan(0);
        for (const { partition, offset } of records) seen.add(`${partition}/${offset}`);
        await reader.commit(positionsOf(records));
      }
    });
  });

  test('a poll waits for as many bytes as are wanted while more is in the log, and no longer', async () => {
    const log = open({ compression: 'none' });
    const topic = await topicOf(log);
    const value = Buffer.alloc(10_000, 'x');
    const records = Array.from({ length: 60 }, () => record(topic, value, { partition: 0 }));
    await log.append(records);
    // So that no fetch brings it all.
    const reading = open({ fetch: { maxBytesPerPartition: 5_242_880, maxBytes: 25_000 } });
    const reader = await reading.consumer({ group: newName('group'), topics: [topic] });
    const first = await reader.poll({ maxBytes: 20_000, waitMs: LONG_MS });
    const waits = reader.waiting();
    expect([first.length > 0, first.length + Number(waits)]).toEqual([true, 60]);
    const many = await reader.poll({ maxBytes: 400_000, minBytes: 300_000, waitMs: LONG_MS });
    expect(many.length).toBeGreaterThanOrEqual(30);
    const began = performance.now();
    let left = 60 - first.length - many.length;
    while (left > 0)
      left -= (await reader.poll({ maxBytes: MANY_BYTES, minBytes: MANY_BYTES, waitMs: LONG_MS })).length;
    expect([left, reader.waiting()]).toEqual([0, 0n]);
    expect(performance.now() - began).toBeLessThan(LONG_MS / 2);
  });

  test('connections that are not in use keep no timer going', async () => {
    const log = open({ fetch: { maxWaitMs: 2_000 } });
    const topic = await topicOf(log);
    const reader = await log.consumer({ group: newName('group'), topics: [topic] });
    await log.append([record(topic, 'one')]);
    await pollCount(reader, 1);
    const timers = vi.spyOn(globalThis, 'setTimeout');
    await new Promise((resolve) => setTimeout(resolve, 500));
    const idle = timers.mock.calls.filter(([, ms = 0]) => ms < 10);
    timers.mockRestore();
    // The library's own: one a millisecond and connection.
    expect(idle.length).toBeLessThan(50);
  });

  describe('what others write', () => {
    const codecs: readonly JavaCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

    test('batches of the Java producer are read in every codec, and transactions leave no hole', async () => {
      const log = open();
      const topics = await Promise.all(codecs.map(() => topicOf(log)));
      const transactions = await topicOf(log);
      produceByJava(broker.address, [
        ...codecs.map((codec, index) => ({ topic: topics[index]!, codec, mode: 'plain' as const })),
        { topic: transactions, codec: 'zstd', mode: 'transactions' },
      ]);
      for (const [index, codec] of codecs.entries()) {
        const reader = await log.consumer({ group: newName('group'), topics: [topics[index]!] });
        const records = await pollCount(reader, 10);
        expect(records.map(text)).toEqual(Array.from({ length: 10 }, (_, n) => valueOf(codec, n)));
      }
      const reader = await log.consumer({ group: newName('group'), topics: [transactions] });
      const records = await pollCount(reader, 6);
      expect(records.map(text)).toEqual(Array.from({ length: 6 }, (_, n) => valueOf('zstd', n)));
      await reader.commit(positionsOf(records));
      await log.append([record(transactions, 'next')]);
      expect((await pollCount(reader, 1)).map(text)).toEqual(['next']);
      expect(facts.of('logRecordsSkipped')).toEqual([]);
      expect(facts.of('logBatchUnreadable')).toEqual([]);
    });

    test('an aborted transaction is passed over, also where it takes more than one fetch, and nothing else', async () => {
      const bytes = 5_000;
      const log = open({
        ...{ topics: { maxMessageBytes: bytes }, maxRequestBytes: bytes },
        fetch: { maxBytesPerPartition: bytes },
      });
      const topic = await topicOf(log);
      await log.append([record(topic, 'before')]);
      const reader = await log.consumer({ group: newName('group'), topics: [topic] });
      expect((await pollCount(reader, 1)).map(text)).toEqual(['before']);
      const kafka = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING });
      const producer = kafka.producer({ transactionalId: topic, maxInFlightRequests: 1, idempotent: true });
      await producer.connect();
      const transaction = await producer.transaction();
      const value = 'x'.repeat(bytes - 1_000);
      for (let n = 0; n < 4; n++) await transaction.send({ topic, messages: [{ partition: 0, value }] });
      await transaction.abort();
      await producer.disconnect();
      await log.append([record(topic, 'after')]);
      const [after] = await pollCount(reader, 1);
      // Beyond four records; the marker of their end may come before it or later.
      expect(after?.offset).toBeGreaterThanOrEqual(5n);
      expect(text(after!)).toBe('after');
      await reader.commit(positionsOf([after!]));
      expect(facts.of('logRecordsSkipped')).toEqual([]);
    });

    test('what this program writes is read back in every codec it can be set to', async () => {
      for (const compression of ['none', 'gzip', 'zstd']) {
        const log = open({ compression });
        const topic = await topicOf(log);
        const values = Array.from({ length: 10 }, (_, n) => 'value '.repeat(500) + `${n}`);
        await log.append(values.map((value) => record(topic, value)));
        const reader = await log.consumer({ group: newName('group'), topics: [topic] });
        expect((await pollCount(reader, 10)).map(text)).toEqual(values);
        const onDisk = readFileSync(broker.segment(topic, 0)).includes('value value');
        expect(onDisk).toBe(compression === 'none');
      }
    });

    test.each([
      ['zstd', 'zstd: the checksum of the batch does not fit'],
      ['none', 'not packed: the checksum of the batch does not fit'],
    ])(
      'a damaged batch (%s) is told, its records come as unreadable, and the partition goes on',
      async (compression, reason) => {
        const log = open({ compression });
        const topic = await topicOf(log);
        await log.append([record(topic, 'good 0')]);
        await log.append([record(topic, 'bad payload 1'), record(topic, 'bad payload 2')]);
        await log.append([record(topic, 'good 3')]);
        damage(topic, placeOf(topic, 'bad payload'), Buffer.from('sad'));
        const reader = await log.consumer({ group: newName('group'), topics: [topic] });
        const records = await pollCount(reader, 4);
        expect(records.map(({ offset }) => offset)).toEqual([0n, 1n, 2n, 3n]);
        expect(records.map(text)).toEqual(['good 0', `\u0007${reason}`, `\u0007${reason}`, 'good 3']);
        const told = facts.of('logBatchUnreadable');
        expect(told).toEqual([{ topic, partition: 0, offset: 1n, records: 2, reason }]);
      },
    );

    /** One batch, of now. */
    async function produceAtOnce(topic: string, records: number, bytes: number): Promise<void> {
      const batch = batchOf({ records, bytes, codec: ZSTD, times: [Date.now(), Date.now()] });
      await produceBatch(broker.address, topic, batch);
    }

    test('a batch of 200,000 tiny records is read to its end, and the partition goes on', async () => {
      const log = open();
      const topic = await topicOf(log);
      await produceAtOnce(topic, 200_000, 10);
      await log.append([record(topic, 'after')]);
      const reader = await log.consumer({ group: newName('group'), topics: [topic] });
      const records = await pollCount(reader, 200_001);
      expect(records.findIndex(({ offset }, index) => offset !== BigInt(index))).toBe(-1);
      expect(records.slice(-2).map(text)).toEqual(['xxxxxxxxxx', 'after']);
      await reader.commit(positionsOf(records));
      expect(facts.of('logBatchUnreadable')).toEqual([]);
    });

    test('a batch of more records than are read is told, stands as its first and last, and is passed', async () => {
      const log = open();
      const topic = await topicOf(log);
      await produceAtOnce(topic, 250_001, 0);
      await log.append([record(topic, 'after')]);
      const reader = await log.consumer({ group: newName('group'), topics: [topic] });
      const records = await pollCount(reader, 3);
      expect(records.map(({ offset }) => offset)).toEqual([0n, 250_000n, 250_001n]);
      expect(text(records[2]!)).toBe('after');
      const reason = expect.stringMatching(/^a batch of 250001 records, of which 250000 are read/) as string;
      expect(facts.of('logBatchUnreadable')).toEqual([
        { topic, partition: 0, offset: 0n, records: 2, reason },
      ]);
      await reader.commit(positionsOf(records));
    });

    test('many small batches that unpack to much are not unpacked at once, and all of them are read', async () => {
      const mib = 1024 * 1024;
      const log = open({ compression: 'zstd', fetch: { bufferBytes: 16 * mib } });
      const topic = await topicOf(log);
      const values = Buffer.alloc(8 * mib);
      for (let n = 0; n < 60; n++) await log.append([record(topic, values)]);
      const held = (): number => process.memoryUsage().arrayBuffers;
      const before = held();
      let most = 0;
      const watch = setInterval(() => (most = Math.max(most, held() - before)), 5);
      const reader = await log.consumer({ group: newName('group'), topics: [topic] });
      const offsets: bigint[] = [];
      while (offsets.length < 60) {
        const records = await reader.poll({ maxBytes: 1, waitMs: LONG_MS });
        expect(records.length).toBeGreaterThan(0);
        offsets.push(...records.map(({ offset }) => offset));
        // As a store that takes its time.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      clearInterval(watch);
      expect(offsets).toEqual(Array.from({ length: 60 }, (_, n) => BigInt(n)));
      expect(most).toBeLessThan(240 * mib);
    });

    test('a batch whose header is damaged stops the reader with a name', async () => {
      const log = open();
      const topic = await topicOf(log);
      await log.append([record(topic, 'a payload')]);
      // The number of its records.
      damage(topic, 57, Buffer.from([0, 0, 1, 0]));
      const group = newName('group');
      const reader = await log.consumer({ group, topics: [topic] });
      await expect(reader.poll({ maxBytes: MANY_BYTES, waitMs: LONG_MS })).rejects.toMatchObject({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: false,
        message:
          `Kafka: consume ${topic} in group ${group}: a damaged batch that does not say how many records ` +
          'it holds; an answer of the brokers cannot be read',
      });
    });
  });

  describe('records that are gone', () => {
    test('are told where a group finds them missing at its start', async () => {
      const log = open();
      const topic = await topicOf(log);
      const group = newName('group');
      await log.append(Array.from({ length: 8 }, (_, n) => record(topic, `${n}`)));
      const first = await log.consumer({ group, topics: [topic] });
      await first.commit(positionsOf((await pollCount(first, 8)).slice(0, 2)));
      await first.close();
      await deleteBelow(topic, '5');
      const reader = await log.consumer({ group, topics: [topic] });
      expect((await pollCount(reader, 3)).map(text)).toEqual(['5', '6', '7']);
      const told = { topic, partition: 0, group, records: 3n };
      expect(facts.of('logRecordsSkipped')).toEqual([told]);
    });

    test('are told where retention is faster than a reader that runs', async () => {
      const log = open({ compression: 'none', fetch: { bufferBytes: 1 } });
      const topic = await topicOf(log);
      const group = newName('group');
      await log.append([record(topic, '0')]);
      const reader = await log.consumer({ group, topics: [topic] });
      await expect.poll(() => facts.of('logHeldBack').length, { timeout: LONG_MS }).toBe(1);
      for (let n = 1; n < 9; n++) await log.append([record(topic, `${n}`)]);
      await deleteBelow(topic, '6');
      expect((await pollCount(reader, 4)).map(text)).toEqual(['0', '6', '7', '8']);
      expect(facts.of('logRecordsSkipped')).toEqual([{ topic, partition: 0, group, records: 5n }]);
    });

    test('at the end refuse a group that had read them', async () => {
      const log = open();
      const topic = await topicOf(log);
      const group = newName('group');
      await log.append([record(topic, '0')]);
      const partitions = [{ partition: 0, offset: '7' }];
      await asAdmin((admin) => admin.setOffsets({ groupId: group, topic, partitions }));
      await expect(log.consumer({ group, topics: [topic] })).rejects.toMatchObject({
        code: 'METER_LOG_BEHIND_STORE',
        message:
          `${topic}/0 ends at 1, reading is to go on at 7: its newest records are lost, ` +
          'or it was made anew; restore it, or give it a new name',
      });
      expect(facts.of('logBehindStore')).toEqual([{ topic, partition: 0, end: 1n, known: 7n }]);
    });

    test('with their whole topic stop the reader with what to run', async () => {
      const log = open();
      const topic = await topicOf(log);
      await log.append([record(topic, '0')]);
      const reader = await log.consumer({ group: newName('group'), topics: [topic] });
      await pollCount(reader, 1);
      await asAdmin((admin) => admin.deleteTopics({ topics: [topic] }));
      const read = async (): Promise<never> => {
        for (;;) await reader.poll({ maxBytes: MANY_BYTES, waitMs: 500 });
      };
      await expect(read()).rejects.toMatchObject({
        code: 'METER_CONFIG_INVALID',
        message: expect.stringContaining(`${topic}: is missing; run`) as string,
      });
    });
  });
});
