import type { Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { collect, configFor, serve, stopAll, valuesOf } from '../support/scrape-run.ts';

afterEach(stopAll);

/** Long enough that no page is late on a busy machine. */
const INTERVAL_MS = 1_000;

test('a kept connection that the target closes as it is used again costs no scrape', async () => {
  const used = new Set<Socket>();
  let closed = 0;
  const server = await serve((request, response) => {
    if (used.has(request.socket)) {
      closed++;
      request.socket.destroy();
      return;
    }
    used.add(request.socket);
    response.setHeader('content-type', 'text/plain').end('demo 1\n');
  });
  const { log, facts } = await collect(configFor(server.url, { intervalMs: INTERVAL_MS }));
  await vi.waitUntil(() => closed >= 3, { timeout: 30_000 });
  await vi.waitUntil(() => valuesOf(log, 'up').length >= 4, { timeout: 30_000 });
  expect(new Set(valuesOf(log, 'up'))).toEqual(new Set([1]));
  expect(facts.of('scrapeFailed')).toEqual([]);
});

test('a target that hangs up on new connections too has failed, after one more try at most', async () => {
  const server = await serve((request, response) => {
    if (server.requests.length === 1) response.setHeader('content-type', 'text/plain').end('demo 1\n');
    else request.socket.destroy();
  });
  const { log } = await collect(configFor(server.url, { intervalMs: INTERVAL_MS }));
  await vi.waitUntil(() => valuesOf(log, 'up').length >= 3, { timeout: 30_000 });
  expect(valuesOf(log, 'up').slice(0, 3)).toEqual([1, 0, 0]);
  // The first scrape one request, the second two, every other one on a fresh connection.
  expect(server.requests.length).toBeLessThanOrEqual(valuesOf(log, 'up').length + 2);
});
