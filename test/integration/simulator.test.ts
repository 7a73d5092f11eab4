import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MeteringError } from '../../core/runtime/errors.ts';
import { newSimulator, START_MS } from '../unit/collectors/simulator/simulated-clock.ts';
import { rowsOf } from '../unit/collectors/simulator/page-rows.ts';

describe('the simulator over HTTP', () => {
  let cluster: ReturnType<typeof newSimulator>;
  beforeEach(async () => {
    cluster = newSimulator();
    await cluster.simulator.start();
  });
  afterEach(() => cluster.simulator.stop());

  test('every target answers with its page of now', async () => {
    const { clock, simulator } = cluster;
    clock.set(START_MS + 90_000);
    for (const { url } of simulator.targets()) {
      const response = await fetch(url);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
      const text = await response.text();
      expect(simulator.page(new URL(url).pathname)).toEqual({ kind: 'page', text });
      expect(rowsOf(text).length).toBeGreaterThan(0);
    }
  });

  test('targets carry job, instance, cluster and, where they belong to one, node', () => {
    const targets = cluster.simulator
      .targets()
      .map(({ job, instance, labels }) => ({ job, instance, labels }));
    expect(targets).toHaveLength(13);
    const node = { instance: 'demo-node-2', labels: { cluster: 'demo', node: 'demo-node-2' } };
    for (const job of ['kubelet-cadvisor', 'kubelet', 'kubelet-resource', 'beyla-network']) {
      expect(targets).toContainEqual({ job, ...node });
    }
    const job = 'kube-state-metrics';
    expect(targets).toContainEqual({ job, instance: job, labels: { cluster: 'demo' } });
  });

  test.each([
    ['gzip', 'gzip'],
    ['deflate, gzip;q=0.5', 'gzip'],
    ['*', 'gzip'],
    ['gzip;q=0', undefined],
    ['identity', undefined],
  ])('asked for %s the page comes as %s', async (accepted, coding) => {
    const { simulator } = cluster;
    const { url } = simulator.targets().at(-1)!;
    const sent = request(url, { headers: { 'accept-encoding': accepted } }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    const body = Buffer.concat((await response.toArray()) as Buffer[]);
    expect(response.headers['content-encoding']).toBe(coding);
    const text = (coding === 'gzip' ? gunzipSync(body) : body).toString();
    expect(simulator.page('/kube-state-metrics')).toEqual({ kind: 'page', text });
  });

  test('a Beyla that restarts answers 503, and 200 two seconds later', async () => {
    const { clock, simulator } = cluster;
    const urls = simulator.targets().filter(({ job }) => job === 'beyla-network');
    const statuses = () => Promise.all(urls.map(async ({ url }) => (await fetch(url)).status));
    clock.set(START_MS + 360_500);
    expect((await statuses()).sort()).toEqual([200, 200, 503]);
    clock.set(START_MS + 362_000);
    expect(await statuses()).toEqual([200, 200, 200]);
  });

  test('an unknown path is 404, another method 405', async () => {
    const { url } = cluster.simulator.targets()[0]!;
    expect((await fetch(new URL('/metrics', url))).status).toBe(404);
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
  });

  test('a port that is taken is an operating fault with a code', async () => {
    const port = Number(new URL(cluster.simulator.targets()[0]!.url).port);
    const second = newSimulator({ port });
    const failure: unknown = await second.simulator.start().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MeteringError);
    expect(failure).toMatchObject({ code: 'METER_CONFIG_INVALID', retryable: false });
    await second.simulator.stop();
  });

  test('once stopped it is gone, and stopping twice is harmless', async () => {
    const { url } = cluster.simulator.targets()[0]!;
    await cluster.simulator.stop();
    await cluster.simulator.stop();
    await expect(fetch(url)).rejects.toThrow();
  });
});

test('targets are not known before the simulator listens', () => {
  expect(() => newSimulator().simulator.targets()).toThrow('invariant broken');
});
