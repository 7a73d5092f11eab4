import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Schedule } from '../../collectors/scrape/schedule.ts';
import { INTERVAL_MS, collect, configFor, rows, serve, stopAll, valuesOf } from '../support/scrape-run.ts';
import { type Answer, text } from '../support/scrape-target.ts';

const folder = mkdtempSync(join(tmpdir(), 'scrape-'));
afterAll(() => rmSync(folder, { recursive: true }));
const POLL = { timeout: 10_000 };

afterEach(stopAll);

describe('a scrape of a target that answers', () => {
  it('is a record with its samples and the report, at the time of the slot', async () => {
    const server = await serve(
      text('# TYPE a counter\na{pod="p",empty=""} 41.5\nb 1 1700000000123\nb 2 1700000000123\n'),
    );
    const { log, facts, collector } = await collect(configFor(server.url));
    await facts.until('recordsAppended', 3);
    await collector.stop();
    const all = rows(log);
    const own = 'cluster=dev,node=n1';
    const inFirst = all.slice(0, 7).map(({ name, labels, value }) => [name, labels, value]);
    expect(inFirst).toEqual([
      ['a', `${own},pod=p`, 41.5],
      ['b', own, 1],
      ['up', own, 1],
      ['scrape_duration_seconds', own, expect.any(Number)],
      ['scrape_samples_scraped', own, 3],
      ['scrape_samples_post_metric_relabeling', own, 2],
      ['scrape_series_added', own, 2],
    ]);
    expect(all.find(({ name }) => name === 'b')?.timeMs).toBe(1_700_000_000_123);
    expect(valuesOf(log, 'scrape_series_added').slice(0, 2)).toEqual([2, 0]);
    expect(facts.of('scrapeDuplicates')[0]).toMatchObject({ count: 1 });
    const { offsetMs } = new Schedule(`demo 127.0.0.1:${server.port}`, INTERVAL_MS);
    const ups = all.filter(({ name }) => name === 'up');
    for (const { timeMs } of ups) {
      const pastSlotMs = (timeMs - offsetMs) % INTERVAL_MS;
      // Of the slot, unless this machine was too busy to keep it.
      expect(pastSlotMs === 0 || pastSlotMs > INTERVAL_MS * 0.1).toBe(true);
    }
    expect(all.every(({ value }) => value !== 'stale')).toBe(true);
    expect(server.connections).toBe(1);
  });

  it('asks for the classic format, says its limit and takes gzip', async () => {
    const packed: Answer = (_, response) =>
      response.setHeader('content-encoding', 'gzip').end(gzipSync('a 1\n'));
    const server = await serve(packed);
    const { log, facts } = await collect(configFor(server.url));
    await facts.until('recordsAppended', 1);
    expect(valuesOf(log, 'a')[0]).toBe(1);
    expect(server.requests[0]?.headers).toMatchObject({
      accept: 'text/plain;version=0.0.4;q=0.9,*/*;q=0.1',
      'accept-encoding': 'gzip',
      'x-prometheus-scrape-timeout-seconds': String(INTERVAL_MS / 1000),
    });
  });

  it('takes start times from OpenMetrics', async () => {
    const body = '# TYPE a counter\na_total 5\na_created 1700000000.5\n# EOF\n';
    const server = await serve(text(body, 'application/openmetrics-text; version=1.0.0; charset=utf-8'));
    const { log, facts } = await collect(configFor(server.url, { format: 'openmetrics' }));
    await facts.until('recordsAppended', 1);
    expect(server.requests[0]?.headers.accept).toContain('application/openmetrics-text');
    expect(rows(log)[0]).toMatchObject({ name: 'a_total', value: 5, startMs: 1_700_000_000_500 });
    expect(valuesOf(log, 'a_created')).toEqual([]);
  });

  it('sends the bearer token, read anew from its file', async () => {
    const path = join(folder, 'token');
    writeFileSync(path, 'first\n');
    const server = await serve(text('a 1\n'));
    const { facts } = await collect(configFor(server.url, { bearerTokenFile: path }));
    await facts.until('scrapeDone', 1);
    writeFileSync(path, 'second');
    await expect.poll(() => server.requests.at(-1)?.headers.authorization, POLL).toBe('Bearer second');
    expect(server.requests[0]?.headers.authorization).toBe('Bearer first');
    writeFileSync(path, '');
    await expect.poll(() => facts.of('scrapeFailed').at(-1)?.reason, POLL).toBe('credentials');
  });

  it('takes a token from the composition root', async () => {
    const server = await serve(text('a 1\n'));
    const { facts } = await collect(configFor(server.url, { bearerToken: () => 'given' }));
    await facts.until('scrapeDone', 1);
    expect(server.requests[0]?.headers.authorization).toBe('Bearer given');
  });
});

describe('a process that stands still', () => {
  it('skips the slots that passed, says how many, and dates no sample long before it was read', async () => {
    const server = await serve((_, response) => response.end(`read_at ${Date.now()}\n`));
    const { log, facts } = await collect(configFor(server.url));
    await facts.until('scrapeDone', 2);
    const standstillEnds = Date.now() + 3.5 * INTERVAL_MS;
    while (Date.now() < standstillEnds);
    await facts.until('scrapesSkipped', 1);
    await facts.until('recordsAppended', facts.of('recordsAppended').length + 2);
    expect(facts.of('scrapesSkipped')[0]).toMatchObject({
      reason: 'late',
      count: expect.any(Number) as number,
    });
    expect(facts.of('scrapesSkipped')[0]?.count).toBeGreaterThanOrEqual(1);
    const lateness = rows(log)
      .filter(({ name }) => name === 'read_at')
      .map(({ timeMs, value }) => Number(value) - timeMs);
    expect(Math.max(...lateness)).toBeLessThan(INTERVAL_MS);
  });
});
