/** Records that could not be read or counted: shown with why, and tried again from the log that still has them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readQuarantine, retryQuarantine } from '../../aggregator/ingest/quarantine.ts';
import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import { AccountsBench, Scrapes } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { openFastStore } from '../support/pipeline.ts';

const OCTOBER = Date.UTC(2026, 9, 1);
const MINUTE = 60_000;
const TOPIC = 'usage.north';

let opened: TestStore;
let bench: AccountsBench;
let log: EmbeddedLog;
let directory: string;
beforeEach(async () => {
  opened = await openFastStore();
  bench = new AccountsBench(opened.store, ['north']);
  bench.clock.advance(OCTOBER);
  directory = await mkdtemp(join(tmpdir(), 'quarantine-'));
  log = new EmbeddedLog(embeddedLogSchema.parse({ directory, partitions: 2 }), {
    clock: bench.clock,
    facts: { event: () => undefined },
  });
});
afterEach(async () => {
  await log.close();
  await opened.dispose();
  await rm(directory, { recursive: true });
});

/** A poisonous record between two good ones, and one from the future. */
async function begin(): Promise<void> {
  const scrapes = new Scrapes();
  const good = [0, 1].map((i) =>
    scrapes.at(OCTOBER + i * MINUTE, { cpu: { 'web/a': i * 6 }, owners: { web: 'acme' } }),
  );
  const future = { ...scrapes.at(OCTOBER + 60 * MINUTE, { cpu: { 'web/a': 60 } }), timestampMs: OCTOBER };
  const poison = { ...good[0]!, value: Buffer.from([0xff, 0x01]) };
  await log.append([good[0]!, poison, good[1]!, future].map((record) => ({ ...record, partition: 1 })));
  await ingest();
}

async function ingest(): Promise<void> {
  const stop = new AbortController();
  const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
  const running = bench.ingest.run(consumer, stop.signal);
  const ends = new Map((await log.endPositions([TOPIC])).map(({ partition, next }) => [partition, next]));
  while ((await consumer.committed()).some(({ partition, next }) => next < (ends.get(partition) ?? 0n))) {
    await bench.clock.sleep(5);
  }
  stop.abort();
  await running;
  await consumer.close();
}

const deps = (): Parameters<typeof retryQuarantine>[0] => ({ store: opened.store, log, clock: bench.clock });

async function samples(): Promise<number> {
  const [row] = await opened.store.rows<{ n: string }>('SELECT count() AS n FROM samples FINAL');
  return Number(row?.n);
}

describe('the quarantine', () => {
  test('shows what was refused, where it lies and why; one poisonous record stops nothing', async () => {
    await begin();
    expect(await samples()).toBe(2);
    expect(await readQuarantine(opened.store, { limit: 10 })).toMatchObject([
      { topic: TOPIC, partition: 1, offset: 1n, n: 0, reason: 'undecodable', retried: false },
      { offset: 3n, reason: 'future' },
      { offset: 3n, reason: 'future' },
    ]);
    expect(await readQuarantine(opened.store, { reason: 'future', limit: 1 })).toMatchObject([
      { reason: 'future', excerpt: expect.stringContaining('@') as unknown },
    ]);
  });

  test('is tried again from the log: what has become right counts, what is still wrong comes back', async () => {
    await begin();
    bench.clock.advance(60 * MINUTE);
    expect(await retryQuarantine(deps(), { limit: 10 })).toEqual({ retried: 2, gone: 0 });
    await ingest();
    expect(await samples()).toBe(3);
    const lines = await readQuarantine(opened.store, { limit: 10 });
    expect(lines.filter(({ retried }) => !retried)).toMatchObject([{ offset: 5n, reason: 'undecodable' }]);
    expect(lines).toHaveLength(4);
    // The new one is a record of its own; those that were tried are not tried again.
    expect(await retryQuarantine(deps(), { limit: 10 })).toEqual({ retried: 1, gone: 0 });
    expect(await retryQuarantine(deps(), { reason: 'future', limit: 10 })).toEqual({ retried: 0, gone: 0 });
  });

  test('of records that the log no longer has can only be counted', async () => {
    await begin();
    await opened.store.insert('quarantine', [
      {
        topic: TOPIC,
        partition: 0,
        offset: 7,
        n: 0,
        reason: 'undecodable',
        excerpt: '',
        log_timestamp: OCTOBER,
      },
    ]);
    // Partition 0 has fewer records than that: it was replaced.
    await expect(retryQuarantine(deps(), { reason: 'undecodable', limit: 10 })).rejects.toMatchObject({
      code: 'METER_LOG_BEHIND_STORE',
    });
  });

  test('that cannot be noted is tried once more, and counts once', async () => {
    await begin();
    bench.clock.advance(60 * MINUTE);
    const failing = new FaultyStore(opened.store);
    failing.plan = (operation) =>
      operation === 'insert quarantine_retry' ? { when: 'before', error: new Error('gone') } : undefined;
    const retried = retryQuarantine({ ...deps(), store: failing }, { reason: 'future', limit: 9 });
    await expect(retried).rejects.toThrow('gone');
    expect(await retryQuarantine(deps(), { reason: 'future', limit: 9 })).toEqual({ retried: 1, gone: 0 });
    await ingest();
    expect(await samples()).toBe(3);
  });
});
