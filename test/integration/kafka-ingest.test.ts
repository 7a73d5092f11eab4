/**
 * What lies in a topic, as ingest meets it on a real broker: poison between good records, and a topic that is
 * not the one the store has read.
 */
import kafkajs from 'kafkajs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Aggregator } from '../../aggregator/aggregator.ts';
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { refuseOtherLog } from '../../aggregator/ingest/log-continuity.ts';
import { readQuarantine, retryQuarantine } from '../../aggregator/ingest/quarantine.ts';
import { MAX_ATTRIBUTES_BYTES } from '../../core/otlp/attributes.ts';
import { ONE_PROCESS, Quiet } from '../../aggregator/ledger/quiet.ts';
import type { KafkaLog } from '../../core/eventlog/kafka.ts';
import type { LogAppend } from '../../core/eventlog/sample-log.ts';
import { clusterOfUsageTopic } from '../../core/eventlog/usage-topic.ts';
import { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import { Scrapes, SETTINGS } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { clock, kafkaLog, newName, ToldFacts } from '../support/kafka/kafka-log.ts';
import { emptyStore, openFastStore } from '../support/pipeline.ts';

const missing = missingForKafka();
const MINUTE = 60_000;
const DAY = 86_400_000;

let broker: KafkaBroker;
let opened: TestStore;
let log: KafkaLog;
let facts: ToldFacts;
let made = 0;

const begin = (): number => Math.floor(Date.now() / MINUTE) * MINUTE - 30 * MINUTE;

/** Small numbers from a seed, the same each time. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ;) yield (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 8;
}

function cutAndFlipped(value: Uint8Array, count: number): Uint8Array[] {
  const random = numbers(20_261_130);
  const below = (limit: number): number => random.next().value % limit;
  return Array.from({ length: count }, (_, n) => {
    if (n % 2 === 0) return value.subarray(0, 1 + below(value.length - 1));
    const flipped = Uint8Array.from(value);
    for (let flips = 0; flips < 4; flips++) flipped[below(value.length)]! ^= 1 << below(8);
    return flipped;
  });
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

async function ingestAll(topic: string): Promise<void> {
  const stop = new AbortController();
  const consumer = await log.consumer({ group: `group.${topic}`, topics: [topic] });
  const config = {
    settings: SETTINGS,
    clusterOfTopic: clusterOfUsageTopic,
    maxBatchBytes: 50_000,
    pollMs: 200,
  };
  const running = new Ingest(config, { store: opened.store, clock, facts }).run(consumer, stop.signal);
  const ends = new Map((await log.endPositions([topic])).map(({ partition, next }) => [partition, next]));
  const isBehind = async (): Promise<boolean> =>
    (await consumer.committed()).some(({ partition, next }) => next < (ends.get(partition) ?? 0n));
  await expect.poll(isBehind, { timeout: 30_000, interval: 50 }).toBe(false);
  stop.abort();
  await running;
  await consumer.close();
}

describe.skipIf(missing !== undefined)(`on a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  beforeAll(async () => {
    [broker, opened] = await Promise.all([KafkaBroker.start(), openFastStore()]);
  });
  afterAll(async () => {
    await Promise.all([broker.stop(), opened.dispose()]);
  });
  beforeEach(async () => {
    facts = new ToldFacts();
    log = kafkaLog(broker.address, {}, facts);
    await emptyStore(opened.store);
  });
  afterEach(async () => {
    await log.close();
  });

  function newCluster(): { cluster: string; topic: string } {
    const cluster = `c${process.pid}x${++made}`;
    return { cluster, topic: `usage.${cluster}` };
  }

  async function samples(): Promise<number> {
    const [row] = await opened.store.rows<{ n: string }>('SELECT count() AS n FROM samples FINAL');
    return Number(row?.n);
  }

  describe('poison', () => {
    test('lands in the quarantine with its place and why, and what is good beside it is metered', async () => {
      const { cluster, topic } = newCluster();
      await log.ensureTopics([topic]);
      const scrapes = new Scrapes();
      const t = begin();
      const good = (i: number): LogAppend =>
        scrapes.at(t + i * MINUTE, { cluster, cpu: { 'web/a': i, 'web/b': 2 * i }, owners: { web: 'acme' } });
      const timestampMs = t;
      const deep = `{"resourceMetrics":${'['.repeat(100_000)}`;
      const poison: readonly [string, LogAppend][] = [
        ...cutAndFlipped(good(0).value, 40).map((value): [string, LogAppend] => ['', { ...good(0), value }]),
        ['undecodable', { ...good(0), value: Buffer.from(deep) }],
        ['undecodable', { ...good(0), value: Buffer.alloc(100_000, 0xff) }],
        [
          'future',
          { ...good(0), ...scrapes.at(t + 20 * MINUTE, { cluster, cpu: { 'web/late': 1 } }), timestampMs },
        ],
        [
          'too_old',
          { ...good(0), ...scrapes.at(t - 60 * DAY, { cluster, cpu: { 'web/old': 1 } }), timestampMs },
        ],
        ['bad_label', scrapes.at(t, { cluster, cpu: { [`web/${'x'.repeat(MAX_ATTRIBUTES_BYTES)}`]: 1 } })],
        ['overflow', { ...scrapes.at(t, { cluster, cpu: { 'web/huge': 1e30 } }), timestampMs }],
        ['negative', { ...scrapes.at(t, { cluster, cpu: { 'web/below': -1 } }), timestampMs }],
      ];
      const appended: LogAppend[] = [good(1)];
      for (const [i, [, bad]] of poison.entries())
        appended.push(bad, ...(i % 10 === 0 ? [good(2 + i / 10)] : []));
      appended.push(good(20));
      await log.append(appended.map((record) => ({ ...record, partition: 1 })));
      await ingestAll(topic);

      const lines = await readQuarantine(opened.store, { limit: 10_000 });
      const reasonsAt = (offset: number): string[] =>
        lines.filter((line) => line.offset === BigInt(offset)).map(({ reason }) => reason);
      const cut = new Set<string>();
      for (const [reason, bad] of poison) {
        const offset = appended.indexOf(bad);
        if (reason !== '') expect(reasonsAt(offset)).toContain(reason);
        else for (const one of reasonsAt(offset)) cut.add(one);
      }
      expect(cut).toContain('undecodable');
      for (const line of lines) {
        expect(line).toMatchObject({ topic, partition: 1, retried: false });
        expect(line.excerpt.length).toBeGreaterThan(0);
      }
      // A flipped bit may leave another value or another time of its own; it never takes a good one away.
      const offsets = appended.flatMap((one, at) => (poison.some(([, bad]) => bad === one) ? [] : [at]));
      const [own] = await opened.store.rows<{ n: string }>(
        'SELECT count() AS n FROM samples FINAL WHERE topic = {topic:String} AND offset IN {offsets:Array(Int64)}',
        { topic, offsets },
      );
      expect(Number(own?.n)).toBe(2 * offsets.length);

      const before = await samples();
      const deps = { store: opened.store, log, clock };
      expect(await retryQuarantine(deps, { reason: 'future', limit: 100 })).toEqual({ retried: 1, gone: 0 });
      await ingestAll(topic);
      expect(await samples()).toBe(before + 1);
    });
  });

  test('a store that was restored gets what it lacks, although members come while it is read again', async () => {
    const { cluster, topic } = newCluster();
    const group = `group.${topic}`;
    await log.ensureTopics([topic]);
    const scrapes = new Scrapes();
    const all = Array.from({ length: 30 }, (_, i) => ({
      ...scrapes.at(begin() + i * 1_000, { cluster, cpu: { [`web/${i}`]: i } }),
      partition: i % 3,
    }));
    await log.append(all);
    await ingestAll(topic);
    const before = await samples();
    // An older copy of it, which knows nothing of what the group has committed.
    await emptyStore(opened.store);

    const settings = new SettingsTimeline([{ validFrom: 0, settings: SETTINGS }]);
    const failures: unknown[] = [];
    const startOne = async (place: string): Promise<Aggregator> => {
      const shared = { place, leaseMs: 30_000, renewEveryMs: 10_000 };
      const deps = { store: opened.store, log, clock, facts, retain: async () => undefined };
      const aggregator = new Aggregator({ settings, clusters: [cluster], group, shared }, deps);
      await aggregator.start((error) => void failures.push(error));
      return aggregator;
    };
    const assignments = (): number => facts.of('logAssigned').length;
    // Nothing is stored until both have been given their partitions.
    const aggregators = await new Quiet(ONE_PROCESS, { store: opened.store, clock }).during(
      'test',
      async () => {
        const first = await startOne('first');
        const alone = assignments();
        const second = await startOne('second');
        await expect.poll(assignments, { timeout: 30_000 }).toBeGreaterThanOrEqual(alone + 2);
        return [first, second];
      },
    );
    expect(aggregators).toHaveLength(2);
    await expect.poll(samples, { timeout: 20_000 }).toBe(before);
    await log.append([{ ...scrapes.at(begin() + MINUTE, { cluster, cpu: { 'web/0': 9 } }), partition: 0 }]);
    await expect.poll(samples, { timeout: 20_000 }).toBe(before + 1);
    await Promise.all((aggregators ?? []).map((aggregator) => aggregator.stop()));
    expect(failures).toEqual([]);
  });

  describe('a topic that was deleted and made anew while nothing ran', () => {
    const records = (scrapes: Scrapes, cluster: string, at: { from: number; count: number }): LogAppend[] =>
      Array.from({ length: at.count }, (_, i) => ({
        ...scrapes.at(at.from + i * 1_000, { cluster, cpu: { 'web/a': i } }),
        partition: 2,
      }));

    test('refuses the start, however far it has grown; one that only went on does not', async () => {
      const { cluster, topic } = newCluster();
      await log.ensureTopics([topic]);
      const from = begin();
      const scrapes = new Scrapes();
      await log.append(records(scrapes, cluster, { from, count: 3 }));
      await ingestAll(topic);
      await log.append(records(scrapes, cluster, { from: from + 10 * MINUTE, count: 5 }));
      const deps = { store: opened.store, log, facts };
      await refuseOtherLog([topic], deps);

      await asAdmin((admin) => admin.deleteTopics({ topics: [topic] }));
      await log.ensureTopics([topic]);
      const settings = new SettingsTimeline([{ validFrom: 0, settings: SETTINGS }]);
      const started = (): Promise<void> =>
        new Aggregator(
          { settings, clusters: [cluster], group: newName('group') },
          { ...deps, clock, retain: async () => undefined },
        ).start(() => undefined);
      const code = 'METER_LOG_BEHIND_STORE';
      for (const [count, why] of [
        [1, 'ends at 1, but the store saw 3'],
        [1, 'ends at 2, but the store saw 3'],
        [1, 'holds at 0 a record newer than all that the store saw below 3: it was deleted and made anew'],
        [5, 'holds at 0 a record newer than all'],
      ] as const) {
        await log.append(records(scrapes, cluster, { from: from + 20 * MINUTE, count }));
        await expect(started()).rejects.toMatchObject({
          code,
          message: expect.stringContaining(why) as string,
        });
      }
      const place = { topic, partition: 2 };
      expect(facts.of('logReplaced').at(-1)).toEqual({ ...place, offset: 0n, known: 3n });
    });
  });
});
