import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import type { KafkaLog } from '../../core/eventlog/kafka.ts';
import type { LogConsumer } from '../../core/eventlog/sample-log.ts';
import type { ConfigTree } from '../../core/runtime/config.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { kafkaLog, newName, record, text, ToldFacts, topicOf } from '../support/kafka/kafka-log.ts';
import { API, Meddler } from '../support/kafka/meddler.ts';
import { TcpLink } from '../support/tcp-link.ts';

const missing = missingForKafka();
const MANY_BYTES = 10_000_000;
const LONG_MS = 40_000;

let broker: KafkaBroker;
/** Another way to it. */
let link: TcpLink;
/** And one on which it seems to be another than it is. */
let meddler: Meddler;
const logs: KafkaLog[] = [];
let facts = new ToldFacts();

function open(more: ConfigTree = {}, address = broker.address): KafkaLog {
  const log = kafkaLog(address, more, facts);
  logs.push(log);
  return log;
}

/** Polls until all of these have come; empty polls are what a log that is away gives. */
async function pollAll(reader: LogConsumer, wanted: Iterable<string>): Promise<readonly string[]> {
  const left = new Set(wanted);
  const values: string[] = [];
  for (const endMs = Date.now() + LONG_MS; left.size > 0 && Date.now() < endMs;) {
    const records = await reader.poll({ maxBytes: MANY_BYTES, waitMs: 500 });
    values.push(...records.map(text));
    for (const one of records) left.delete(text(one));
    const last = records.at(-1);
    if (last !== undefined) await reader.commit([{ ...last, next: last.offset + 1n }]);
  }
  expect([...left]).toEqual([]);
  return values;
}

describe.skipIf(missing !== undefined)(`on a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  beforeAll(async () => {
    link = await TcpLink.start();
    meddler = await Meddler.start();
    broker = await KafkaBroker.start({ links: [link.port, meddler.port] });
    link.leadTo(broker.portBehind(link.port));
    meddler.leadTo(broker.portBehind(meddler.port));
  });
  afterAll(async () => {
    await link.close();
    meddler.close();
    await broker.stop();
  });
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close()));
    facts = new ToldFacts();
    meddler.meddling = () => undefined;
  });

  test('a broker killed during appends has all it acknowledged, and reader and appender go on', async () => {
    const log = open({ compression: 'none' });
    const topic = await topicOf(log);
    const reader = await open().consumer({ group: newName('group'), topics: [topic] });
    const acknowledged: string[] = [];
    const refused: unknown[] = [];
    let isOver = false;
    let sent = 0;
    const append = async (): Promise<void> => {
      while (!isOver) {
        const value = `${sent++}`;
        try {
          await log.append([record(topic, value)]);
          acknowledged.push(value);
        } catch (error) {
          refused.push(error);
        }
      }
    };
    const appending = [append(), append(), append()];
    await expect.poll(() => acknowledged.length, { timeout: LONG_MS }).toBeGreaterThan(50);
    await broker.kill();
    const before = acknowledged.length;
    await broker.restart();
    await expect.poll(() => acknowledged.length, { timeout: LONG_MS }).toBeGreaterThan(before + 50);
    isOver = true;
    await Promise.all(appending);

    await pollAll(reader, acknowledged);
    const again = await open().consumer({ group: newName('group'), topics: [topic] });
    const records = await pollAll(again, acknowledged);
    expect(records.length).toBeGreaterThanOrEqual(acknowledged.length);
    for (const error of refused) {
      expect(error).toBeInstanceOf(MeteringError);
      expect(error).toMatchObject({ code: 'METER_LOG_UNAVAILABLE', retryable: true });
    }
    // When it goes, and perhaps once more while it comes; not for each of the many tries.
    expect(facts.of('logUnreachable').length).toBeGreaterThan(0);
    expect(facts.of('logUnreachable').length).toBeLessThanOrEqual(3);
    expect(facts.of('logReachable')).toHaveLength(facts.of('logUnreachable').length);
    expect(facts.of('logBatchUnreadable')).toEqual([]);
    expect(facts.of('logRecordsSkipped')).toEqual([]);
  });

  test('while its broker is away an append is refused in bounded time, a reader waits, and both close', async () => {
    const log = open();
    const topic = await topicOf(log);
    await log.append([record(topic, 'before')]);
    const leaving = open();
    const reader = await leaving.consumer({ group: newName('group'), topics: [topic] });
    expect(await pollAll(reader, ['before'])).toEqual(['before']);
    await broker.kill();
    try {
      const appending = log.append([record(topic, 'while away')]).catch((error: unknown) => error);
      expect(await reader.poll({ maxBytes: MANY_BYTES, waitMs: 500 })).toEqual([]);
      const started = performance.now();
      await leaving.close();
      expect(performance.now() - started).toBeLessThan(10_000);
      await expect(reader.poll({ maxBytes: 1, waitMs: 0 })).rejects.toThrow('the consumer is closed');
      expect(await appending).toMatchObject({ code: 'METER_LOG_UNAVAILABLE', retryable: true });
    } finally {
      await broker.restart();
    }
    await log.append([record(topic, 'after')]);
    const again = await log.consumer({ group: newName('group'), topics: [topic] });
    expect(await pollAll(again, ['before', 'after'])).toEqual(['before', 'after']);
  });

  test('a frozen broker loses nothing: the append that waited for it resolves, the reader joins again', async () => {
    const membership = { sessionTimeoutMs: 2_000, heartbeatIntervalMs: 300 };
    const log = open({ membership });
    const topic = await topicOf(log);
    const reader = await log.consumer({ group: newName('group'), topics: [topic] });
    await log.append([record(topic, 'before')]);
    await pollAll(reader, ['before']);
    broker.freeze();
    const appending = log.append([record(topic, 'meanwhile')]);
    // Longer than the session, so that the group may have given the partitions away.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    broker.thaw();
    await appending;
    await log.append([record(topic, 'after')]);
    expect(new Set(await pollAll(reader, ['meanwhile', 'after']))).toEqual(new Set(['meanwhile', 'after']));
  });

  test('connections that have gone silent are broken once a request has had its time, and all goes on', async () => {
    const log = open({}, link.address);
    const topic = await topicOf(log);
    const reader = await log.consumer({ group: newName('group'), topics: [topic] });
    await log.append([record(topic, 'before')]);
    await pollAll(reader, ['before']);
    link.hold();
    const started = performance.now();
    const appending = log.append([record(topic, 'meanwhile')]);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await link.mendForNew();
    await appending;
    await log.append([record(topic, 'after')]);
    expect(new Set(await pollAll(reader, ['meanwhile', 'after']))).toEqual(new Set(['meanwhile', 'after']));
    // A request waits for half a minute; the library by itself asks six times over the same connection.
    expect(performance.now() - started).toBeLessThan(LONG_MS + 5_000);
  });

  describe('a coordinator that moves, and is not ready where it comes to', () => {
    const NOT_COORDINATOR = Buffer.from([0, 0, 0, 0, 0, 16]);
    /** Loading; no generation, no names, no members. */
    const LOADING = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 14]), Buffer.alloc(4 + 3 * 2 + 4)]);

    /** The next heartbeat finds it gone, and the try to join that follows finds it loading. */
    function move(): { readonly tries: number } {
      const told = { tries: 0 };
      let isGone = false;
      meddler.meddling = ({ api }) => {
        if (told.tries > 0) return undefined;
        if (api === API.heartbeat) {
          isGone = true;
          return NOT_COORDINATOR;
        }
        if (api !== API.joinGroup || !isGone) return undefined;
        told.tries++;
        return LOADING;
      };
      return told;
    }

    /** Reads, and commits what was read, until the group has the position. */
    async function committedTo(reader: LogConsumer, place: bigint): Promise<void> {
      const reached = async (): Promise<bigint | undefined> => {
        const last = (await reader.poll({ maxBytes: MANY_BYTES, waitMs: 100 })).at(-1) ?? kept;
        kept = last;
        if (last !== undefined) await reader.commit([{ ...last, next: last.offset + 1n }]);
        return (await reader.committed()).find(({ partition }) => partition === 0)?.next;
      };
      let kept: Awaited<ReturnType<LogConsumer['poll']>>[number] | undefined;
      await expect.poll(reached, { timeout: 15_000 }).toBe(place);
    }

    test('leaves a member what it has: it goes on committing without joining again', async () => {
      const log = open({}, meddler.address);
      const topic = await topicOf(log);
      const reader = await log.consumer({ group: newName('group'), topics: [topic] });
      await log.append([record(topic, 'before')]);
      await committedTo(reader, 1n);
      // Some heartbeats later.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const told = move();
      await expect.poll(() => told.tries, { timeout: LONG_MS }).toBe(1);
      await log.append([record(topic, 'after')]);
      await committedTo(reader, 2n);
      expect(facts.of('logAssigned')).toHaveLength(1);
      expect(facts.of('logError')).toEqual([]);
    });

    test('right after a member has joined has it join again', async () => {
      const log = open({}, meddler.address);
      const topic = await topicOf(log);
      await log.append([record(topic, 'before')]);
      // Before the first heartbeat, which would tell the generation.
      const told = move();
      const reader = await log.consumer({ group: newName('group'), topics: [topic] });
      await expect.poll(() => told.tries, { timeout: LONG_MS }).toBe(1);
      await log.append([record(topic, 'after')]);
      await committedTo(reader, 2n);
      const why = expect.stringMatching(
        /^a try to join group .* came to nothing; it is joined anew$/,
      ) as string;
      expect(facts.of('logError')).toMatchObject([{ operation: 'consume', error: { message: why } }]);
    });
  });
});
