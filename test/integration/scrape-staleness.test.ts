import { afterEach, describe, expect, it } from 'vitest';
import { scrapeConfig } from '../../collectors/scrape/config.ts';
import { INTERVAL_MS, collect, configFor, rows, serve, stopAll, valuesOf } from '../support/scrape-run.ts';
import { text } from '../support/scrape-target.ts';

const POLL = { timeout: 10_000 };

afterEach(stopAll);

describe('series that vanish', () => {
  it('get one marker, also those with timestamps of their own', async () => {
    const server = await serve(text('a 1\nb 2\nc 3 1700000000123\n'));
    const { log, facts } = await collect(configFor(server.url));
    await facts.until('recordsAppended', 1);
    server.answer = text('a 1\n');
    const before = facts.of('scrapeDone').length;
    await facts.until('recordsAppended', before + 3);
    const stale = rows(log).filter(({ value }) => value === 'stale');
    expect(stale.map(({ name }) => name)).toEqual(['b', 'c']);
    const upTimes = rows(log)
      .filter(({ name }) => name === 'up')
      .map(({ timeMs }) => timeMs);
    for (const { timeMs } of stale) expect(upTimes).toContain(timeMs);
  });

  it('with timestamps of their own get none when that is turned off', async () => {
    const server = await serve(text('b 2\nc 3 1700000000123\n'));
    const { log, facts } = await collect(configFor(server.url, { trackTimestampsStaleness: false }));
    await facts.until('recordsAppended', 1);
    server.answer = text('');
    await expect.poll(() => valuesOf(log, 'b'), POLL).toContain('stale');
    expect(valuesOf(log, 'c')).not.toContain('stale');
  });

  it('by a failed scrape get theirs once, with up 0, and begin anew after it', async () => {
    const server = await serve(text('a 1\nb 2\n'));
    const { log, facts } = await collect(configFor(server.url));
    await facts.until('recordsAppended', 1);
    server.answer = (_, response) => response.writeHead(503).end();
    await facts.until('scrapeFailed', 3);
    server.answer = text('a 5\n');
    await expect.poll(() => valuesOf(log, 'a').at(-1), POLL).toBe(5);
    expect(valuesOf(log, 'a').filter((value) => value === 'stale')).toHaveLength(1);
    expect(valuesOf(log, 'b').filter((value) => value === 'stale')).toHaveLength(1);
    expect(valuesOf(log, 'up')).toContain(0);
    expect(valuesOf(log, 'up')).not.toContain('stale');
    expect(facts.of('scrapeFailed')[0]).toMatchObject({
      target: `demo 127.0.0.1:${server.port}`,
      reason: 'http_status',
    });
  });

  it('with their target get theirs, up included; a stop gives none', async () => {
    const gone = await serve(text('a 1\n'));
    const kept = await serve(text('k 1\n'));
    const config = scrapeConfig({
      cluster: 'dev',
      targets: [
        { job: 'gone', url: gone.url, intervalMs: INTERVAL_MS },
        { job: 'kept', url: kept.url, intervalMs: INTERVAL_MS },
      ],
    });
    const { log, facts, collector } = await collect(config);
    await expect.poll(() => valuesOf(log, 'a').length > 0 && valuesOf(log, 'k').length > 0, POLL).toBe(true);
    const connections = kept.connections;
    await collector.reload(config.targets.filter(({ job }) => job === 'kept'));
    const requests = gone.requests.length;
    await expect.poll(() => valuesOf(log, 'a').at(-1), POLL).toBe('stale');
    const before = facts.of('recordsAppended').length;
    await facts.until('recordsAppended', before + 2);
    await collector.stop();
    const stale = rows(log)
      .filter(({ value }) => value === 'stale')
      .map(({ name }) => name);
    expect(stale.sort()).toEqual([
      'a',
      'scrape_duration_seconds',
      'scrape_samples_post_metric_relabeling',
      'scrape_samples_scraped',
      'scrape_series_added',
      'up',
    ]);
    expect(gone.requests).toHaveLength(requests);
    expect(kept.connections).toBe(connections);
  });

  it('by a change of the target’s labels are marked under the old ones', async () => {
    const server = await serve(text('a 1\n'));
    const config = configFor(server.url);
    const { log, facts, collector } = await collect(config);
    await facts.until('recordsAppended', 1);
    await collector.reload(configFor(server.url, { labels: { node: 'n2' } }).targets);
    await expect
      .poll(() => rows(log).some(({ labels, value }) => value === 1 && labels.includes('node=n2')), POLL)
      .toBe(true);
    const stale = rows(log).filter(({ value }) => value === 'stale');
    expect(new Set(stale.map(({ labels }) => labels))).toEqual(new Set(['cluster=dev,node=n1']));
    expect(stale.map(({ name }) => name)).toContain('a');
    expect(stale.map(({ name }) => name)).toContain('up');
  });
});
