import { closeSync, openSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { describe, expect, test } from 'vitest';

import { EmbeddedLog, embeddedLogSchema, MAX_VALUE_BYTES } from '../../../../core/eventlog/embedded.ts';
import { clock, newDirectory, openLog, recordedFacts, records, TOPIC } from './embedded/log-in-a-folder.ts';

function failure(code: string, message: RegExp, retryable = false): unknown {
  return expect.objectContaining({ code, retryable, message: expect.stringMatching(message) as string });
}

/** A log in a directory that outlives it. */
function openIn(directory: string): EmbeddedLog {
  return new EmbeddedLog(embeddedLogSchema.parse({ directory }), { clock, facts: recordedFacts().facts });
}

async function writtenDirectory(count: number, bytes: number): Promise<string> {
  const directory = newDirectory();
  const log = openIn(directory);
  await log.append(records(count, bytes));
  await log.close();
  return directory;
}

describe('limits', () => {
  test('a value of 4 MiB is taken, one byte more is refused with the limit', async () => {
    const { log } = openLog();
    await log.append(records(1, MAX_VALUE_BYTES));
    await expect(log.append(records(1, MAX_VALUE_BYTES + 1))).rejects.toEqual(
      failure('METER_INPUT_UNREADABLE', /4194305 bytes of value.*takes 4194304/),
    );
    expect((await log.endPositions([TOPIC]))[0]?.next).toBe(1n);
  });

  test('keys and headers have limits of their own', async () => {
    const { log } = openLog();
    const [record] = records(1, 1);
    const large = Buffer.alloc(70_000);
    await expect(log.append([{ ...record!, key: large }])).rejects.toEqual(
      failure('METER_INPUT_UNREADABLE', /70000 bytes of key/),
    );
    await expect(log.append([{ ...record!, headers: { h: large } }])).rejects.toEqual(
      failure('METER_INPUT_UNREADABLE', /70001 bytes of headers/),
    );
  });

  test('a refused append takes no other down with it', async () => {
    const { log } = openLog();
    const results = await Promise.allSettled([
      log.append(records(1, 10)),
      log.append(records(1, MAX_VALUE_BYTES + 1)),
      log.append(records(1, 10).map((record) => ({ ...record, partition: 4 }))),
      log.append(records(1, 10).map((record) => ({ ...record, timestampMs: 0.5 }))),
      log.append(records(1, 10)),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
      'fulfilled',
    ]);
    expect((await log.endPositions([TOPIC]))[0]?.next).toBe(2n);
  });

  test('more than 64 MiB waiting to be written is refused for now', async () => {
    const { log } = openLog();
    const appends = Array.from({ length: 20 }, () => log.append(records(1, MAX_VALUE_BYTES)));
    const results = await Promise.allSettled(appends);
    const refused = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason as unknown] : [],
    );
    expect(refused).toEqual(Array.from({ length: 4 }, () => failure('METER_LOG_UNAVAILABLE', /later/, true)));
    await log.append(records(1, 10));
    expect((await log.endPositions([TOPIC]))[0]?.next).toBe(17n);
  });
});

describe('a file that may not grow', () => {
  test('refuses appends until there is room, keeps what it has and says so', async () => {
    const { log, told } = openLog({ maxFileBytes: 1_000_000 });
    const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    await log.append(records(5, 100_000));
    const full = failure('METER_LOG_UNAVAILABLE', /may not grow/, true);
    await expect(log.append(records(10, 100_000))).rejects.toEqual(full);
    expect(told.filter(({ event }) => event === 'logError')).toMatchObject([
      { operation: 'append', level: 'warn' },
    ]);

    const polled = await consumer.poll({ maxBytes: 10_000_000, waitMs: 0 });
    expect(polled.map(({ offset }) => offset)).toEqual([0n, 1n, 2n, 3n, 4n]);
    await log.append(records(1, 100_000));
    expect((await consumer.poll({ maxBytes: 10_000_000, waitMs: 0 })).map(({ offset }) => offset)).toEqual([
      5n,
    ]);
  });
});

describe('opening', () => {
  test('a file that another log has open is refused with what to do', async () => {
    const directory = newDirectory();
    const log = openIn(directory);
    expect(() => openIn(directory)).toThrow(failure('METER_DATA_LOCKED', /stop that process.*--data/));
    await log.append(records(1, 10));
    await log.close();
    await openIn(directory).close();
  });

  test('a file of another release is refused', async () => {
    const directory = await writtenDirectory(1, 10);
    const database = new DatabaseSync(join(directory, 'log.sqlite'));
    database.exec('PRAGMA user_version = 9');
    database.close();
    expect(() => openIn(directory)).toThrow(failure('METER_MIGRATION_CONFLICT', /version 9.*knows 1/));
  });

  test('a database of something else is refused and left as it is', () => {
    const directory = newDirectory();
    const path = join(directory, 'log.sqlite');
    const database = new DatabaseSync(path);
    database.exec('CREATE TABLE mine (x)');
    database.close();
    expect(() => openIn(directory)).toThrow(failure('METER_LOG_UNAVAILABLE', /no log of ours/));
    const again = new DatabaseSync(path);
    expect(again.prepare('SELECT name FROM sqlite_schema').all()).toMatchObject([{ name: 'mine' }]);
    again.close();
  });

  test('a file that is no database is refused and left as it is', () => {
    const directory = newDirectory();
    const path = join(directory, 'log.sqlite');
    writeFileSync(path, 'x'.repeat(5000));
    expect(() => openIn(directory)).toThrow(failure('METER_LOG_UNAVAILABLE', /no log of ours/));
    expect(statSync(path).size).toBe(5000);
  });

  test('a directory that cannot be made is refused', () => {
    const file = join(newDirectory(), 'file');
    writeFileSync(file, '');
    expect(() => openIn(join(file, 'data'))).toThrow(failure('METER_LOG_UNAVAILABLE', /data directory/));
  });

  test('a log whose records do not end where its counters say is refused', async () => {
    const directory = await writtenDirectory(3, 10);
    const database = new DatabaseSync(join(directory, 'log.sqlite'));
    database.exec('DELETE FROM record WHERE position = (SELECT max(position) FROM record)');
    database.close();
    expect(() => openIn(directory)).toThrow(failure('METER_LOG_UNAVAILABLE', /does not end at offset 3/));
  });

  test('a topic keeps its partitions when the setting changes', async () => {
    const directory = await writtenDirectory(1, 10);
    const config = embeddedLogSchema.parse({ directory, partitions: 9 });
    const log = new EmbeddedLog(config, { clock, facts: recordedFacts().facts });
    await log.append([{ ...records(1, 10)[0]!, topic: 'usage.new', partition: 8 }]);
    expect(await log.endPositions([TOPIC])).toHaveLength(4);
    expect(await log.endPositions(['usage.new'])).toHaveLength(9);
    await log.close();
  });
});

describe('a damaged file', () => {
  test('fails the poll that meets the damage, every time, and skips nothing', async () => {
    const directory = await writtenDirectory(200, 20_000);
    const path = join(directory, 'log.sqlite');
    const descriptor = openSync(path, 'r+');
    // Pages of records in the middle; those that lead to them and the newest ones stay as they are.
    const { size } = statSync(path);
    writeSync(descriptor, Buffer.alloc(Math.floor(size / 4), 0xff), 0, undefined, Math.floor(size / 2));
    closeSync(descriptor);

    const log = openIn(directory);
    const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    const damaged = failure('METER_LOG_UNAVAILABLE', /damaged; restore it/);
    const all = { maxBytes: 100_000_000, waitMs: 0 };
    await expect(consumer.poll(all)).rejects.toEqual(damaged);
    await expect(consumer.poll(all)).rejects.toEqual(damaged);
    expect((await consumer.poll({ maxBytes: 50_000, waitMs: 0 })).map(({ offset }) => offset)).toEqual([
      0n,
      1n,
    ]);
    await log.close();
  });
});

describe('consumers', () => {
  test('a group has one consumer at a time', async () => {
    const { log } = openLog();
    await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    await expect(log.consumer({ group: 'aggregator', topics: [TOPIC] })).rejects.toThrow(
      'one consumer at a time',
    );
  });

  test('reading on beyond the end says that the log is behind', async () => {
    const { log } = openLog();
    await log.append(records(3, 10));
    const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    await expect(consumer.seek([{ topic: TOPIC, partition: 0, next: 4n }])).rejects.toEqual(
      failure('METER_LOG_BEHIND_STORE', /ends at 3.*go on at 4/),
    );
    await expect(consumer.commit([{ topic: TOPIC, partition: 0, next: 4n }])).rejects.toThrow(
      'within the log',
    );
  });

  test('a commit of several positions with a wrong one changes none', async () => {
    const { log } = openLog();
    await log.append(records(3, 10));
    const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    const wrong = [
      { topic: TOPIC, partition: 0, next: 2n },
      { topic: TOPIC, partition: 9, next: 0n },
    ];
    await expect(consumer.commit(wrong)).rejects.toThrow('is assigned to this consumer');
    expect((await consumer.committed()).map(({ next }) => next)).toEqual([0n, 0n, 0n, 0n]);
  });

  test('a long backlog in one partition does not starve the others', async () => {
    const { log } = openLog();
    await log.append(records(100, 1000));
    await log.append(records(1, 1000).map((record) => ({ ...record, partition: 3 })));
    const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    const seen = new Set<number>();
    for (let poll = 0; poll < 4; poll++) {
      for (const { partition } of await consumer.poll({ maxBytes: 2000, waitMs: 0 })) seen.add(partition);
    }
    expect([...seen].sort()).toEqual([0, 3]);
  });

  test('tiny records make several polls, not an endless one', async () => {
    const { log } = openLog();
    await log.append(records(10_001, 0));
    const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    expect(await consumer.poll({ maxBytes: 1000, waitMs: 0 })).toHaveLength(10_000);
    expect(await consumer.poll({ maxBytes: 1000, waitMs: 0 })).toHaveLength(1);
  });

  test('a reader that always finds something lets others have their turn', async () => {
    const { log } = openLog();
    await log.append(records(2000, 10));
    const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    let appended = false;
    const append = log.append(records(1, 10)).then(() => (appended = true));
    for (let poll = 0; poll < 100; poll++) await consumer.poll({ maxBytes: 10, waitMs: 0 });
    expect(appended).toBe(true);
    await append;
  });
});

describe('closing', () => {
  test('writes what is pending and ends polls that wait', async () => {
    const directory = newDirectory();
    const log = openIn(directory);
    const consumer = await log.consumer({ group: 'aggregator', topics: ['usage.other'] });
    const polling = consumer.poll({ maxBytes: 10, waitMs: 20_000 });
    const append = log.append(records(1, 10));
    await log.close();
    await append;
    expect(await polling).toEqual([]);
    const again = openIn(directory);
    expect((await again.endPositions([TOPIC]))[0]?.next).toBe(1n);
    await again.close();
  });

  test('refuses what comes later', async () => {
    const { log } = openLog();
    const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    await log.close();
    await log.close();
    const closed = failure('METER_LOG_UNAVAILABLE', /closed/);
    await expect(log.append(records(1, 10))).rejects.toEqual(closed);
    await expect(consumer.poll({ maxBytes: 10, waitMs: 0 })).rejects.toEqual(closed);
    await expect(log.endPositions([TOPIC])).rejects.toEqual(closed);
  });
});
