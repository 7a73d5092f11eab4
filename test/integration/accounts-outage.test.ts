/** Passes and batches after the store, or the partitions, were away: what was waited for is not taken for work. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { MAX_RETRY_MS } from '../../core/runtime/retry.ts';
import { AccountsBench, Scrapes } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { FaultyStore, type FaultPlan } from '../support/faulty-store.ts';
import { openFastStore } from '../support/pipeline.ts';
import { until } from '../support/waiting.ts';

const OUTAGE_MS = 60_000;
const WORK_MS = 20_000;
const RESTS = 5;
const away = new MeteringError('METER_STORE_UNAVAILABLE', 'away', { retryable: true });

let opened: TestStore;
let store: FaultyStore;
let bench: AccountsBench;

beforeEach(async () => {
  opened = await openFastStore();
  store = new FaultyStore(opened.store);
  bench = new AccountsBench(store, ['north']);
});

afterEach(() => opened.dispose());

describe('passes', () => {
  /** How long was slept after passes of which the first read goes like this, pass by pass. */
  async function slept(reads: readonly ReturnType<FaultPlan>[], tookMs: number): Promise<readonly number[]> {
    const sleep = vi.spyOn(bench.clock, 'sleep');
    const left = [...reads];
    store.plan = (operation) => {
      if (operation !== 'read' || left.length === 0) return undefined;
      bench.clock.advance(tookMs);
      return left.shift();
    };
    const stop = new AbortController();
    const running = bench.accounts.run(stop.signal);
    try {
      const before = (): number => sleep.mock.calls.length;
      await until('reads', () => (left.length === 0 ? true : undefined));
      const at = before();
      await until('rests', () => (before() >= at + RESTS ? true : undefined));
    } finally {
      stop.abort();
      await running;
    }
    return sleep.mock.calls.map(([ms]) => ms);
  }

  test('go on soon after a store that was away', async () => {
    const longest = Math.max(...(await slept(Array(6).fill({ when: 'before', error: away }), OUTAGE_MS / 6)));
    expect(longest).toBeLessThanOrEqual(MAX_RETRY_MS);
  });

  test('go on soon after a store that was frozen', async () => {
    expect(Math.max(...(await slept([undefined], OUTAGE_MS)))).toBeLessThanOrEqual(MAX_RETRY_MS);
  });

  test('rest by what they take when each of them takes long', async () => {
    // A pass has several reads.
    const longest = Math.max(...(await slept(Array(60).fill(undefined), WORK_MS)));
    expect(longest).toBeGreaterThan(WORK_MS);
  });
});

describe('ingest', () => {
  test('has no backlog once there is nothing to read, whatever the last batch was', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'outage-'));
    const config = embeddedLogSchema.parse({ directory, partitions: 1 });
    const log = new EmbeddedLog(config, { clock: bench.clock, facts: { event: () => undefined } });
    const consumer = await log.consumer({ group: 'aggregator', topics: ['usage.north'] });
    const stop = new AbortController();
    const running = bench.ingest.run(consumer, stop.signal);
    try {
      await log.append([{ ...new Scrapes().at(0, { cpu: { 'team/web': 1 } }), partition: 0 }]);
      const isCommitted = async () => ((await consumer.committed())[0]?.next === 1n ? true : undefined);
      await until('the commit', isCommitted);
      await until('no backlog', () => (bench.ingest.isBehind ? undefined : true), { forMs: 5_000 });
    } finally {
      stop.abort();
      await running;
      await consumer.close();
      await log.close();
      await rm(directory, { recursive: true });
    }
  });
});
