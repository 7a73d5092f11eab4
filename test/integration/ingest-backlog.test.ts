/**
 * A backlog in the log is told by what waits there, however little a poll brings, and is not rested over; one
 * at the senders by how old the samples are.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import type { LogConsumer } from '../../core/eventlog/sample-log.ts';
import { clusterOfUsageTopic } from '../../core/eventlog/usage-topic.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { Scrapes, SETTINGS } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { MemoryLog } from '../support/memory-log.ts';
import { openFastStore } from '../support/pipeline.ts';

const TOPIC = 'usage.north';
const RECORDS = 6;
const BATCH_BYTES = 1 << 20;
const POLL_MS = 10;
/** Longer than the test may take. */
const REST_MS = 120_000;
const CONFIG = {
  ...{ settings: SETTINGS, clusterOfTopic: clusterOfUsageTopic },
  ...{ maxBatchBytes: BATCH_BYTES, pollMs: POLL_MS },
};

let opened: TestStore;

beforeAll(async () => {
  opened = await openFastStore();
});

afterAll(async () => {
  await opened.dispose();
});

const parts = () => ({
  store: opened.store,
  clock: new SystemClock(),
  facts: { event: () => undefined },
});

test('while as much again waits, the next poll is for half a batch and comes at once; then there is rest', async () => {
  const log = new MemoryLog();
  const scrapes = new Scrapes();
  for (let i = 0; i < RECORDS; i++)
    await log.append([scrapes.at(Date.now() + i, { cpu: { 'shop/web-0': i } })]);
  const real = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
  const asked: unknown[] = [];
  const committed: bigint[] = [];
  const consumer: LogConsumer = {
    ...real,
    poll: async ({ minBytes, waitMs, signal }) => {
      asked.push({ minBytes, waitMs, isBehind: ingest.isBehind });
      return await real.poll({ maxBytes: 1, waitMs, ...(signal && { signal }) });
    },
    commit: async (positions) => {
      await real.commit(positions);
      committed.push(...positions.map(({ next }) => next));
    },
  };
  const ingest = new Ingest({ ...CONFIG, restMs: REST_MS }, parts());
  const stop = new AbortController();
  const running = ingest.run(consumer, stop.signal);
  await expect.poll(() => committed.length, { timeout: 30_000, interval: 10 }).toBe(RECORDS);
  await expect.poll(() => ingest.isBehind, { interval: 10 }).toBe(false);
  stop.abort();
  await running;
  const backlog = { minBytes: BATCH_BYTES / 2, waitMs: REST_MS, isBehind: true };
  expect(asked).toEqual([
    { minBytes: undefined, waitMs: POLL_MS, isBehind: false },
    ...Array.from({ length: RECORDS - 1 }, () => backlog),
  ]);
}, 60_000);

test('samples that come from far behind the clock are a backlog at their senders, until none come', async () => {
  const log = new MemoryLog();
  const ingest = new Ingest(CONFIG, parts());
  const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
  const scrapes = new Scrapes();
  const stop = new AbortController();
  const running = ingest.run(consumer, stop.signal);
  const told: boolean[] = [];
  for (const ageMs of [300_000, 0]) {
    const committed = (await consumer.committed())[0]?.next ?? 0n;
    await log.append([scrapes.at(Date.now() - ageMs, { cpu: { 'shop/web-0': ageMs } })]);
    const isCommitted = async (): Promise<boolean> =>
      (await consumer.committed())[0]?.next === committed + 1n;
    await expect.poll(isCommitted, { timeout: 30_000, interval: 1 }).toBe(true);
    told.push(ingest.isBehind);
    await expect.poll(() => ingest.isBehind, { interval: 1 }).toBe(false);
  }
  stop.abort();
  await running;
  expect(told).toEqual([true, false]);
}, 60_000);
