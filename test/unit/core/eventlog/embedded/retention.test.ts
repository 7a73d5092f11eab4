import { describe, expect, test } from 'vitest';

import type { EmbeddedLog } from '../../../../../core/eventlog/embedded.ts';
import type { LogConsumer } from '../../../../../core/eventlog/sample-log.ts';
import { openLog, records, TOPIC, type Told } from './log-in-a-folder.ts';

const HOUR_MS = 3_600_000;
const NEVER = 1e12;

function retention(limits: Readonly<Record<string, number>>): Readonly<Record<string, unknown>> {
  const retention = { maxAgeMs: NEVER, minAgeMs: 0, maxBytes: NEVER, hardMaxBytes: NEVER, ...limits };
  return { partitions: 2, retention };
}

async function committed(log: EmbeddedLog, next: bigint, group = 'aggregator'): Promise<LogConsumer> {
  const consumer = await log.consumer({ group, topics: [TOPIC] });
  await consumer.commit([{ topic: TOPIC, partition: 0, next }]);
  return consumer;
}

/** Offset of the oldest record of partition 0. */
async function oldest(consumer: LogConsumer): Promise<bigint | undefined> {
  await consumer.seek([{ topic: TOPIC, partition: 0, next: 0n }]);
  const polled = await consumer.poll({ maxBytes: 1, waitMs: 0 });
  return polled[0]?.offset;
}

function named(told: readonly Told[], event: string): readonly Told[] {
  return told.filter((fact) => fact.event === event);
}

describe('retention by age', () => {
  test('removes what is consumed and old, and nothing younger', async () => {
    const { log, told } = openLog(retention({ maxAgeMs: HOUR_MS }));
    await log.append([...records(150, 10, 2 * HOUR_MS), ...records(10, 10)]);
    const consumer = await committed(log, 160n);
    expect(await log.retain()).toEqual({ records: 150, bytes: 1500 });
    expect(await oldest(consumer)).toBe(150n);
    expect(named(told, 'logTrimmed')).toMatchObject([{ records: 150, bytes: 1500, bytesLeft: 100 }]);
  });

  test('keeps what any group has not committed', async () => {
    const { log } = openLog(retention({ maxAgeMs: HOUR_MS }));
    await log.append(records(10, 10, 2 * HOUR_MS));
    const slow = await committed(log, 3n, 'slow');
    await committed(log, 10n, 'quick');
    expect((await log.retain()).records).toBe(3);
    expect(await oldest(slow)).toBe(3n);
  });

  test('keeps what a group has only begun to read', async () => {
    const { log } = openLog(retention({ maxAgeMs: HOUR_MS }));
    await log.append(records(10, 10, 2 * HOUR_MS));
    await committed(log, 10n);
    await log.consumer({ group: 'new', topics: [TOPIC] });
    expect((await log.retain()).records).toBe(0);
  });

  test('keeps what nobody has ever read', async () => {
    const { log } = openLog(retention({ maxAgeMs: HOUR_MS }));
    await log.append(records(10, 10, 2 * HOUR_MS));
    expect((await log.retain()).records).toBe(0);
  });

  test('never hands out an offset again, even if everything is gone', async () => {
    const { log } = openLog(retention({ maxAgeMs: HOUR_MS }));
    await log.append(records(10, 10, 2 * HOUR_MS));
    const consumer = await committed(log, 10n);
    expect((await log.retain()).records).toBe(10);
    await log.append(records(1, 10));
    expect((await consumer.poll({ maxBytes: 1, waitMs: 0 }))[0]?.offset).toBe(10n);
  });
});

describe('retention by size', () => {
  test('removes just as many of the oldest consumed records as it has to', async () => {
    const { log } = openLog(retention({ maxBytes: 505 }));
    await log.append(records(100, 10));
    const consumer = await committed(log, 100n);
    expect(await log.retain()).toEqual({ records: 50, bytes: 500 });
    expect(await oldest(consumer)).toBe(50n);
  });

  test('takes the oldest of all partitions first', async () => {
    const { log } = openLog(retention({ maxBytes: 100 }));
    await log.append(records(10, 10, HOUR_MS));
    await log.append(records(10, 10, 2 * HOUR_MS).map((record) => ({ ...record, partition: 1 })));
    const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
    await consumer.commit(await log.endPositions([TOPIC]));
    expect(await log.retain()).toEqual({ records: 10, bytes: 100 });
    expect(await oldest(consumer)).toBe(0n);
  });

  test('keeps consumed records that are young: a consumer may have to go back to them', async () => {
    const { log } = openLog(retention({ maxBytes: 50, minAgeMs: HOUR_MS }));
    await log.append([...records(4, 10, 2 * HOUR_MS), ...records(10, 10)]);
    await committed(log, 14n);
    expect((await log.retain()).records).toBe(4);
  });

  test('says which group holds more than the limit', async () => {
    const { log, told } = openLog(retention({ maxBytes: 50 }));
    await log.append(records(10, 10));
    await committed(log, 2n, 'slow');
    expect((await log.retain()).records).toBe(2);
    expect(named(told, 'logRetentionHeld')).toMatchObject([
      { level: 'warn', bytes: 80, maxBytes: 50, waitingFor: 'slow' },
    ]);
  });

  test('says that a topic over the limit has no reader', async () => {
    const { log, told } = openLog(retention({ maxBytes: 50 }));
    await log.append(records(10, 10));
    await log.retain();
    expect(named(told, 'logRetentionHeld')).toMatchObject([{ waitingFor: `any reader of ${TOPIC}` }]);
  });
});

describe('the hard limit', () => {
  test('removes unconsumed records, counts them and names the runbook', async () => {
    const { log, told } = openLog(retention({ maxBytes: 50, hardMaxBytes: 60 }));
    await log.append(records(10, 10));
    await committed(log, 2n);
    expect(await log.retain()).toEqual({ records: 4, bytes: 40 });
    expect(named(told, 'logRecordsLost')).toMatchObject([
      {
        level: 'error',
        topic: TOPIC,
        partition: 0,
        records: 2,
        runbook: 'docs/runbooks/log-records-lost.md',
      },
    ]);
  });

  test('removes young consumed records before unconsumed ones', async () => {
    const { log, told } = openLog(retention({ maxBytes: 50, hardMaxBytes: 50, minAgeMs: HOUR_MS }));
    await log.append(records(5, 10, 2 * HOUR_MS).map((record) => ({ ...record, partition: 1 })));
    await log.append(records(5, 10));
    await committed(log, 5n);
    expect((await log.retain()).records).toBe(5);
    expect(named(told, 'logRecordsLost')).toEqual([]);
    expect(await log.endPositions([TOPIC])).toHaveLength(2);
  });

  test('makes a reader that comes too late say what it missed', async () => {
    const { log, told } = openLog(retention({ maxBytes: 50, hardMaxBytes: 60 }));
    await log.append(records(10, 10));
    const consumer = await committed(log, 2n);
    await log.retain();
    expect((await consumer.poll({ maxBytes: 1, waitMs: 0 }))[0]?.offset).toBe(4n);
    await consumer.seek([{ topic: TOPIC, partition: 0, next: 2n }]);
    expect((await consumer.poll({ maxBytes: 1, waitMs: 0 }))[0]?.offset).toBe(4n);
    expect(named(told, 'logRecordsSkipped').at(-1)).toMatchObject({ group: 'aggregator', records: '2' });
  });

  test('may not be below the soft one', () => {
    expect(() => openLog(retention({ maxBytes: 60, hardMaxBytes: 50 }))).toThrow(
      'must not be below maxBytes',
    );
  });
});

describe('removed records', () => {
  test('make room: a file that is trimmed does not grow', async () => {
    const { log } = openLog({ ...retention({ maxBytes: 1_000_000 }), maxFileBytes: 4_000_000 });
    const consumer = await committed(log, 0n);
    for (let round = 0; round < 20; round++) {
      await log.append(records(10, 50_000));
      await consumer.commit(await log.endPositions([TOPIC]));
      await log.retain();
    }
    expect((await log.endPositions([TOPIC]))[0]?.next).toBe(200n);
  });
});
