/** SIGTERM to an API that is being asked, with a store that takes its time: what was asked is answered. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Role } from '../support/role.ts';
import { StoreProcess } from '../support/store-process.ts';
import { until } from '../support/waiting.ts';
import { now, pause } from './program.ts';

/** A check of a store that does not answer takes 2 s. */
const DRAIN_MS = 3_000;

let directory: string;
let store: StoreProcess;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metering-drain-'));
  store = await StoreProcess.start(join(directory, 'store'));
});
afterEach(() => Role.killAll());
afterAll(async () => {
  await store.stop();
  await rm(directory, { recursive: true });
});

interface Readiness {
  readonly status: number;
  readonly checks: readonly { readonly name: string; readonly ready: boolean }[];
}

async function readiness(url: string): Promise<Readiness> {
  const response = await fetch(`${url}/readyz`);
  return { ...((await response.json()) as Readiness), status: response.status };
}

const NOT_READY = {
  status: 503,
  checks: expect.arrayContaining([expect.objectContaining({ name: 'api', ready: false })]) as unknown,
};

test('a request under way is answered whole, readiness turns first, nobody new is let in, and the end is clean', async () => {
  const config = join(directory, 'api.json');
  const values = { store: { url: store.url }, api: { port: 0, drainMs: DRAIN_MS }, ops: { port: 0 } };
  await writeFile(config, JSON.stringify(values));
  const role = new Role('api', config);
  const [api, ops] = [await role.address('API'), await role.address('OPS')];
  expect((await readiness(ops)).status).toBe(200);

  store.freeze();
  const answer = fetch(`${api}/api/v1/meters/cpu/query?windowSize=HOUR`);
  await pause(300);
  const beganMs = now();
  const ended = role.end('SIGTERM');
  await pause(500);
  // Still within reach of those who have not seen it yet.
  for (const seen of await Promise.all([readiness(api), readiness(ops)])) {
    expect(seen).toMatchObject(NOT_READY);
  }
  await until('a closed door', () =>
    fetch(`${api}/healthz`).then(
      () => undefined,
      (error: unknown) =>
        (error as { cause?: { code?: string } }).cause?.code === 'ECONNREFUSED' ? true : undefined,
    ),
  );
  expect(now() - beganMs).toBeGreaterThan(DRAIN_MS - 100);
  expect(await readiness(ops)).toMatchObject(NOT_READY);

  store.thaw();
  const response = await answer;
  expect([response.status, response.headers.get('connection')]).toEqual([200, 'close']);
  expect(await response.json()).toMatchObject({ data: expect.any(Array) as unknown });
  expect(await ended).toBe(0);
  expect(now() - beganMs).toBeLessThan(20_000);
  expect(role.said).toContain('Stopped (SIGTERM)');
});
