import { afterEach, describe, expect, it } from 'vitest';
import {
  isPrometheusInstalled,
  Prometheus,
  sampleKey,
  startNodeExporter,
  stopPrograms,
} from '../support/prometheus.ts';
import {
  openOutageLog,
  type OutageLog,
  rowsOf,
  startReceiver,
  stopReceivers,
  TOKEN,
} from '../support/receiver.ts';

const INTERVAL_MS = 250;
const ALL = '{job="node"}';
const POLL = { timeout: 30_000, interval: 100 };

afterEach(async () => {
  await stopPrograms();
  await stopReceivers();
});

/**
 * Every sample on the log, by the name that Prometheus gives it, without markers, which Prometheus does not
 * show; and how many are there more than once.
 */
async function written(log: OutageLog): Promise<{ values: Map<string, string>; copies: number }> {
  const rows = rowsOf(await log.records());
  const values = new Map<string, string>();
  for (const { name, labels, resource, timeMs, value } of rows) {
    const [job, instance] = [resource['service.name'], resource['service.instance.id']] as string[];
    const metric = {
      ...(labels as Record<string, string>),
      __name__: name,
      job: job ?? '',
      instance: instance ?? '',
    };
    values.set(sampleKey(metric, timeMs), String(value));
  }
  const copies = rows.length - values.size;
  for (const [key, value] of values) if (value === 'stale') values.delete(key);
  return { values, copies };
}

function timesOf(samples: ReadonlyMap<string, string>): number[] {
  const times = [...samples.keys()].filter((key) => key.includes('["__name__","up"]'));
  return times.map((key) => Number(key.slice(key.lastIndexOf(' ') + 1))).sort((a, b) => a - b);
}

async function setUp() {
  const log = openOutageLog();
  const first = await startReceiver({}, log);
  const { port } = new URL(first.url);
  const prometheus = new Prometheus({
    scrapeUrl: await startNodeExporter(),
    remoteWriteUrl: `${first.url}/api/v1/write`,
    token: TOKEN,
    intervalMs: INTERVAL_MS,
  });
  await prometheus.start();
  const restart = () => startReceiver({ settings: { port: Number(port) } }, log);
  /** Waits until as many more scrapes are stored by Prometheus. */
  const scrapes = async (count: number) => {
    const before = timesOf(await prometheus.samples('up')).length;
    await expect
      .poll(async () => timesOf(await prometheus.samples('up')).length, POLL)
      .toBeGreaterThanOrEqual(before + count);
  };
  /** Waits until the log has a sample that is newer than now. */
  const caughtUp = async () => {
    const nowMs = Date.now();
    await expect
      .poll(async () => timesOf((await written(log)).values).at(-1) ?? 0, POLL)
      .toBeGreaterThan(nowMs);
  };
  return { log, first, prometheus, restart, scrapes, caughtUp };
}

/** What both sides have of the times that both have seen to their end. */
function until<V>(samples: ReadonlyMap<string, V>, endMs: number): [string, V][] {
  return [...samples]
    .filter(([key]) => Number(key.slice(key.lastIndexOf(' ') + 1)) <= endMs)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** NaN is written in several ways; everything else as JavaScript writes numbers. */
function asNumbers(samples: readonly [string, string][]): [string, number][] {
  return samples.map(([key, value]) => [key, value === '+Inf' ? Infinity : Number(value)]);
}

describe.skipIf(!isPrometheusInstalled)(
  'needs prometheus and prometheus-node-exporter: a real Prometheus',
  () => {
    it('loses nothing and doubles nothing over restarts of the receiver and an outage of the log', async () => {
      const { log, first, prometheus, restart, scrapes, caughtUp } = await setUp();
      await caughtUp();
      // The receiver is gone for a while, and comes back as another one.
      await first.receiver.stop();
      await scrapes(3);
      const second = await restart();
      await caughtUp();
      // The log is gone for a while.
      await log.takeAway();
      await scrapes(4);
      expect(second.of('pushRefused').some(({ reason }) => reason === 'log_away')).toBe(true);
      log.bringBack();
      await caughtUp();
      // Both at once.
      await log.takeAway();
      await second.receiver.stop();
      await scrapes(2);
      log.bringBack();
      const third = await restart();
      await caughtUp();

      const { values, copies } = await written(log);
      const endMs = timesOf(values).at(-2) ?? 0;
      const stored = until(await prometheus.samples(ALL), endMs);
      expect(timesOf(new Map(stored)).length).toBeGreaterThan(10);
      expect(asNumbers(until(values, endMs))).toEqual(asNumbers(stored));
      expect(copies).toBe(0);
      expect(await prometheus.own('prometheus_remote_storage_samples_failed_total')).toBe(0);
      expect(await prometheus.own('prometheus_remote_storage_samples_dropped_total')).toBe(0);
      const refused = [first, second, third].flatMap(({ of }) => of('pushPointsRefused'));
      expect(refused).toEqual([]);
    });

    it('that is restarted while the log is away loses what it had not sent, and nothing else', async () => {
      const { log, prometheus, scrapes, caughtUp } = await setUp();
      await scrapes(4);
      await caughtUp();
      const sentMs = timesOf((await written(log)).values).at(-3) ?? Infinity;
      await log.takeAway();
      await scrapes(4);
      await prometheus.stop();
      await prometheus.start();
      const restartedMs = Date.now();
      await scrapes(3);
      log.bringBack();
      await caughtUp();

      const { values, copies } = await written(log);
      const endMs = timesOf(values).at(-2) ?? 0;
      const stored = until(await prometheus.samples(ALL), endMs);
      const missing = stored
        .filter(([key]) => !values.has(key))
        .map(([key]) => Number(key.slice(key.lastIndexOf(' '))));
      // Its own log of samples is read from the moment of its start: what it scraped before stays unsent.
      expect(missing.length).toBeGreaterThan(0);
      expect(Math.min(...missing)).toBeGreaterThan(sentMs);
      expect(Math.max(...missing)).toBeLessThan(restartedMs);
      const kept = new Map(stored.filter(([key]) => values.has(key)));
      expect(timesOf(kept).some((timeMs) => timeMs > restartedMs)).toBe(true);
      expect(copies).toBe(0);
    });
  },
);
