import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type TargetSettings,
  collect,
  configFor,
  rows,
  serve,
  stopAll,
  valuesOf,
} from '../support/scrape-run.ts';
import { type Answer, text } from '../support/scrape-target.ts';

const MIB = 1024 * 1024;

const POLL = { timeout: 10_000 };

afterEach(stopAll);

describe('a target that misbehaves', () => {
  const dripping: Answer = (_, response) => {
    response.write('a 1\n');
    const timer = setInterval(() => response.write('# more\n'), 5);
    response.on('close', () => clearInterval(timer));
  };
  const unpackedBytes = 1024 * MIB;
  // A gzip may be many in a row: none of them is ever here in full.
  const part = gzipSync(Buffer.alloc(16 * MIB, '\n'));
  const bomb = Buffer.concat(Array.from({ length: unpackedBytes / (16 * MIB) }, () => part));
  const cases: [string, Answer, string, TargetSettings?][] = [
    ['never answers', () => undefined, 'timeout'],
    ['never ends its body', dripping, 'timeout'],
    ['sends too much', text('# '.padEnd(2 * MIB)), 'body_too_large', { bodyLimitBytes: MIB }],
    [
      'sends a zip bomb',
      (_, response) => response.setHeader('content-encoding', 'gzip').end(bomb),
      'body_too_large',
      { bodyLimitBytes: MIB, intervalMs: 2_000 },
    ],
    ['claims gzip', (_, response) => response.setHeader('content-encoding', 'gzip').end('a 1\n'), 'encoding'],
    [
      'cuts its gzip short',
      (_, response) => response.setHeader('content-encoding', 'gzip').end(gzipSync('a 1\n').subarray(0, 12)),
      'encoding',
    ],
    [
      'uses an unknown encoding',
      (_, response) => response.setHeader('content-encoding', 'br').end(''),
      'encoding',
    ],
    ['answers with a page', text('<html>', 'text/html'), 'content_type'],
    ['answers with protobuf', text('', 'application/vnd.google.protobuf'), 'content_type'],
    ['redirects', (_, response) => response.writeHead(302, { location: '/' }).end(), 'http_status'],
    ['hangs up', (request) => request.socket.destroy(), 'connection'],
    [
      'hangs up within the body',
      (request, response) => {
        response.writeHead(200, { 'content-length': 100 }).write('a 1\n', () => request.socket.destroy());
      },
      'connection',
    ],
    ['has a bad line', text('a 1\nb\n'), 'unparsable'],
    ['has no end', text('a 1\n', 'application/openmetrics-text'), 'unparsable'],
    ['has too many samples', text('a 1\nb 1\nc 1\n'), 'too_many_samples', { sampleLimit: 2 }],
  ];
  it.each(cases)('%s: up is 0, nothing of its body counts', async (_, answer, reason, settings) => {
    const server = await serve(answer);
    const { log, facts } = await collect(configFor(server.url, settings));
    await facts.until('recordsAppended', 1);
    expect(facts.of('scrapeFailed')[0]).toMatchObject({ reason });
    const first = rows(log).slice(0, 5);
    expect(first.map(({ name, value }) => [name, value])).toEqual([
      ['up', 0],
      ['scrape_duration_seconds', expect.any(Number)],
      ['scrape_samples_scraped', 0],
      ['scrape_samples_post_metric_relabeling', 0],
      ['scrape_series_added', 0],
    ]);
    server.answer = text('fresh 1\n');
    await expect.poll(() => valuesOf(log, 'fresh').length, POLL).toBeGreaterThan(0);
  });

  it('takes no memory beyond its limit for a zip bomb', async () => {
    const server = await serve((_, response) => response.setHeader('content-encoding', 'gzip').end(bomb));
    const before = process.memoryUsage().rss;
    const { facts } = await collect(configFor(server.url, { bodyLimitBytes: MIB, intervalMs: 2_000 }));
    await facts.until('scrapeFailed', 2);
    expect(process.memoryUsage().rss - before).toBeLessThan(unpackedBytes / 2);
  });
});
