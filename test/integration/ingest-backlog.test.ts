/** A backlog is told by what waits in the log, however little a poll brings, and is not rested over. */
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
const BEGIN = Date.UTC(2026, 9, 3, 10);

let opened: TestStore;

beforeAll(async () => {
  opened = await openFastStore();
});

afterAll(async () => {
  await opened.dispose();
});

test('while as much again waits, the next poll is for half a batch and comes at once; then there is rest', async () => {
  const log = new MemoryLog();
  const scrapes = new Scrapes();
  for (let i = 0; i < RECORDS; i++)
    await log.append([scrapes.at(BEGIN + i * 60_000, { cpu: { 'shop/web-0': i } })]);
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
  const ingest = new Ingest(
    {
      ...{ settings: SETTINGS, clusterOfTopic: clusterOfUsageTopic },
      ...{ maxBatchBytes: BATCH_BYTES, pollMs: POLL_MS, restMs: REST_MS },
    },
    { store: opened.store, clock: new SystemClock(), facts: { event: () => undefined } },
  );
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
