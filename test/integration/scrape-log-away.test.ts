import { afterEach, describe, expect, it } from 'vitest';
import { MeteringError } from '../../core/runtime/errors.ts';
import { collect, configFor, rows, serve, stopAll, valuesOf } from '../support/scrape-run.ts';
import { text } from '../support/scrape-target.ts';

const MIB = 1024 * 1024;

const POLL = { timeout: 10_000 };

afterEach(stopAll);

describe('a log that is away', () => {
  it('loses nothing that was scraped: records wait, in order', async () => {
    const server = await serve(text('a 1\n'));
    let isAway = true;
    const { log, facts } = await collect(configFor(server.url), {
      beforeAppend: () => {
        if (isAway) throw new MeteringError('METER_LOG_UNAVAILABLE', 'away', { retryable: true });
      },
    });
    await facts.until('appendFailed', 1);
    await facts.until('scrapeDone', 3);
    isAway = false;
    await facts.until('recordsAppended', 1);
    const times = rows(log)
      .filter(({ name }) => name === 'up')
      .map(({ timeMs }) => timeMs);
    expect(times.length).toBeGreaterThanOrEqual(3);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(facts.of('recordsLost')).toEqual([]);
  });

  it('pauses the scrapes when the buffer is full, and they go on after it', async () => {
    const server = await serve(
      text(
        `a{x="${'y'.repeat(60_000)}"} 1\n`.repeat(1) +
          Array.from({ length: 20 }, (_, i) => `b{i="${i}",x="${'y'.repeat(60_000)}"} 1\n`).join(''),
      ),
    );
    let isAway = true;
    const { log, facts } = await collect(configFor(server.url, {}, { bufferBytes: MIB }), {
      beforeAppend: () => {
        if (isAway) throw new MeteringError('METER_LOG_UNAVAILABLE', 'away', { retryable: true });
      },
    });
    await facts.until('scrapesSkipped', 2);
    expect(facts.of('scrapesSkipped').map(({ reason }) => reason)).toContain('buffer_full');
    const scraped = facts.of('scrapeDone').length;
    isAway = false;
    await facts.until('scrapeDone', scraped + 1);
    await expect.poll(() => valuesOf(log, 'up').length, POLL).toBeGreaterThan(scraped);
    expect(facts.of('recordsLost')).toEqual([]);
  });
});

describe('a stop', () => {
  it('aborts a scrape under way at once and says nothing of its target', async () => {
    const server = await serve(() => undefined);
    const { log, facts, collector } = await collect(
      configFor(server.url, { intervalMs: 60_000, timeoutMs: 60_000 }),
    );
    // The slot is up to a minute away: a stop while the loop sleeps is as quick.
    const startedMs = Date.now();
    await collector.stop();
    expect(Date.now() - startedMs).toBeLessThan(1_000);
    expect(log.records('usage.dev')).toEqual([]);
    expect(facts.of('scrapeFailed')).toEqual([]);
  });

  it('while a target hangs gives no up of that scrape', async () => {
    const server = await serve(() => undefined);
    const { log, facts, collector } = await collect(configFor(server.url, { intervalMs: 1_000 }));
    await expect.poll(() => server.requests.length, { timeout: 3_000 }).toBe(1);
    const startedMs = Date.now();
    await collector.stop();
    expect(Date.now() - startedMs).toBeLessThan(900);
    expect(log.records('usage.dev')).toEqual([]);
    expect(facts.of('scrapeFailed')).toEqual([]);
  });
});
