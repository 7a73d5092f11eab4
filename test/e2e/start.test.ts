/** `npm start` as a user meets it: how soon it shows usage, how fresh, how large, how it stops, goes on and refuses. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Schedule } from '../../collectors/scrape/schedule.ts';
import { peakBytes } from '../support/peak-memory.ts';
import { ScrapeTargetServer } from '../support/scrape-target.ts';
import { metering, now, pause, Program } from './program.ts';

const HOUR = 3_600_000;
const GIB = 1024 ** 3;
const FIRST_USAGE_MS = 20_000;
const FRESHNESS_MS = 10_000;
const STOP_MS = 5_000;
const WATCH_MS = 15_000;
const POLL_MS = 250;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'metering-start-'));
});
afterAll(() => rm(root, { recursive: true }));

/** The longest that a scrape was older than this without being in what the API gave. */
async function freshness(oldestUnseenMs: () => Promise<number>): Promise<number> {
  const untilMs = now() + WATCH_MS;
  let longest = 0;
  while (now() < untilMs) {
    const oldest = await oldestUnseenMs();
    longest = Math.max(longest, now() - oldest);
    await pause(POLL_MS);
  }
  return longest;
}

describe('the demo', () => {
  const DEMO_INTERVAL_MS = 5_000;
  const METERS = ['cpu', 'memory', 'network_receive', 'egress', 'storage', 'cpu_request'];
  const WITHOUT_ISSUER = 'no issuer is configured: the API listens on 127.0.0.1 only and shows every tenant';
  let data: string;
  let program: Program;
  let said = '';
  const before = new Map<string, bigint>();

  beforeAll(async () => {
    data = join(root, 'demo');
    program = await Program.start('npm start', data);
  });

  test('shows a first usage figure within 20 s of its start', async () => {
    await vi.waitUntil(async () => (await program.total('cpu')) > 0n, { timeout: 30_000, interval: 100 });
    const tookMs = now() - program.startedMs;
    console.log(
      `first usage figure ${tookMs} ms after npm start (listening after ${program.readyMs - program.startedMs} ms)`,
    );
    expect(tookMs).toBeLessThan(FIRST_USAGE_MS);
  });

  test('shows a scrape within 10 s', async () => {
    const target = 'kube-state-metrics kube-state-metrics';
    const first = new Schedule(target, DEMO_INTERVAL_MS).next(program.readyMs).atMs;
    // Covered time goes from the first scrape of the only target of this meter to the newest one seen.
    const longest = await freshness(async () => {
      const sums = await program.usage('storage');
      const covered = sums.reduce((sum, { coverage }) => sum + coverage.coveredMs, 0);
      return first + covered + DEMO_INTERVAL_MS;
    });
    console.log(`a scrape was at most ${longest} ms old before the API showed it`);
    expect(longest).toBeGreaterThan(0);
    expect(longest).toBeLessThan(FRESHNESS_MS);
  });

  test('takes at most 1 GiB of memory', () => {
    const bytes = peakBytes(program.pid);
    console.log(`peak memory ${(bytes / 1024 ** 2).toFixed(0)} MiB`);
    expect(bytes).toBeLessThan(GIB);
  });

  test('the doctor leaves what runs alone, and says so', async () => {
    const { code, stdout } = await metering('doctor', '--data', data);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^info +store +a process runs on /m)]);
  });

  test('a second process on the same data is refused, with whom to stop', async () => {
    const { code, stdout, stderr } = await metering('all', '--data', data, '--port', '0');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('METER_DATA_LOCKED: ');
    expect(stderr).toContain(`process ${program.pid} is using the data directory`);
    expect(stderr).not.toContain('    at ');
    expect((await fetch(`${program.url}/readyz`)).status).toBe(200);
  });

  test('says in `/readyz` that without an issuer it shows every tenant, on loopback alone', async () => {
    const { notices } = (await (await fetch(`${program.url}/readyz`)).json()) as { notices: string[] };
    expect(notices).toEqual([WITHOUT_ISSUER]);
  });

  test('Ctrl-C stops it within 5 s, cleanly', async () => {
    for (const meter of METERS) before.set(meter, await program.total(meter));
    const { stdout, stderr, tookMs } = await program.stop();
    console.log(`stopped in ${tookMs} ms`);
    expect(stderr).not.toContain('"level":"error"');
    said = stderr;
    expect(stdout).toContain('Stopped (SIGINT); the next start goes on from here.');
    expect(tookMs).toBeLessThan(STOP_MS);
  });

  test('had said so once in its log, as it is by default', () => {
    const lines = said.split('\n').filter((line) => line.includes('no issuer'));
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { level: 'warn', event: 'notice', text: WITHOUT_ISSUER },
    ]);
  });

  test('a restart still has the usage of the first run, and it grows on', async () => {
    program = await Program.start('node', data);
    for (const [meter, usage] of before) {
      expect(usage).toBeGreaterThan(0n);
      expect(await program.total(meter)).toBeGreaterThanOrEqual(usage);
    }
    const cpu = await program.total('cpu');
    await vi.waitUntil(async () => (await program.total('cpu')) > cpu, { timeout: 30_000, interval: 100 });
    expect((await program.stop()).code).toBe(0);
  });
});

/**
 * A kubelet of one pod whose counter stands at n after n pages, and of one whose samples carry times of an hour long
 * past: from 10 minutes into it, 30 s and 1.5 core-seconds apart, 41 of them.
 */
class Kubelet {
  readonly pastHour = Math.floor(now() / HOUR) * HOUR - 3 * HOUR;
  readonly pastUsage = 40n * 1_500_000_000n;
  readonly pageTimes: number[] = [];
  down = false;

  answer(_: http.IncomingMessage, response: http.ServerResponse): void {
    if (this.down) {
      response.writeHead(503).end();
      return;
    }
    this.pageTimes.push(now());
    response.setHeader('content-type', 'text/plain; version=0.0.4').end(this.page(this.pageTimes.length));
  }

  /** Usage that the first n pages show, the first being where metering begins. */
  static usageOf(pages: number): bigint {
    return BigInt(pages - 1) * 1_000_000_000n;
  }

  private page(n: number): string {
    const row = (namespace: string, uid: string): string =>
      `container_cpu_usage_seconds_total{namespace="${namespace}",pod="web",container="",image="",cpu="total",` +
      `id="/kubepods/burstable/pod${uid}"}`;
    const step = Math.min(n, 41);
    const past = this.pastHour + 600_000 + step * 30_000;
    return [
      '# TYPE container_cpu_usage_seconds_total counter',
      `${row('shop', '8a7b5c1e-0000-4000-8000-000000000001')} ${n}`,
      `${row('blog', '8a7b5c1e-0000-4000-8000-000000000002')} ${1000 + step * 1.5} ${past}`,
      '# TYPE kube_namespace_labels gauge',
      'kube_namespace_labels{namespace="shop",label_gh0stcloud_io_tenant="acme"} 1',
      'kube_namespace_labels{namespace="blog",label_gh0stcloud_io_tenant="globex"} 1',
      '',
    ].join('\n');
  }
}

describe('a target of the user', () => {
  let data: string;
  let config: string;
  let server: ScrapeTargetServer;
  let program: Program;
  const kubelet = new Kubelet();

  beforeAll(async () => {
    server = await new ScrapeTargetServer((request, response) => kubelet.answer(request, response)).listen();
    data = join(root, 'own');
    config = join(root, 'targets.json');
    const target = { job: 'kubelet-cadvisor', url: server.url, intervalMs: 250, labels: { node: 'n1' } };
    await writeFile(config, JSON.stringify({ cluster: 'rt1', targets: [target] }));
    program = await Program.start('node', data, '--config', config);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test('is scraped, and a scrape is in the API within 10 s', async () => {
    await vi.waitUntil(async () => (await program.total('cpu', 'shop')) > 0n, {
      timeout: 30_000,
      interval: 100,
    });
    const longest = await freshness(async () => {
      const seen = Number((await program.total('cpu', 'shop')) / 1_000_000_000n) + 1;
      return kubelet.pageTimes[seen] ?? now();
    });
    console.log(`a page was at most ${longest} ms old before the API showed it`);
    expect(longest).toBeLessThan(FRESHNESS_MS);
  });

  test('comes out exact, to the nanosecond', async () => {
    kubelet.down = true;
    const usage = Kubelet.usageOf(kubelet.pageTimes.length);
    await vi.waitUntil(async () => (await program.total('cpu', 'shop')) >= usage, {
      timeout: 15_000,
      interval: 100,
    });
    await pause(2_000);
    expect(await program.total('cpu', 'shop')).toBe(usage);
    expect(await program.total('cpu', 'blog')).toBe(kubelet.pastUsage);
    expect(await program.total('cpu')).toBe(usage + kubelet.pastUsage);
    const windowStart = new Date(kubelet.pastHour).toISOString().replace('.000Z', 'Z');
    const past = (await program.usage('cpu', 'blog')).filter(({ value }) => value !== null && value !== '0');
    expect(past).toMatchObject([{ windowStart, value: `${kubelet.pastUsage}` }]);
  });

  test('after a restart an hour of the past is unchanged, and the counter goes on across the gap', async () => {
    const usage = Kubelet.usageOf(kubelet.pageTimes.length);
    expect((await program.stop()).code).toBe(0);
    kubelet.down = false;
    program = await Program.start('node', data, '--config', config);
    expect(await program.total('cpu', 'blog')).toBe(kubelet.pastUsage);
    expect(await program.total('cpu', 'shop')).toBeGreaterThanOrEqual(usage);
    const pages = kubelet.pageTimes.length;
    await vi.waitUntil(() => kubelet.pageTimes.length > pages + 8, { timeout: 15_000, interval: 50 });
    kubelet.down = true;
    const grown = Kubelet.usageOf(kubelet.pageTimes.length);
    await vi.waitUntil(async () => (await program.total('cpu', 'shop')) >= grown, {
      timeout: 15_000,
      interval: 100,
    });
    expect(await program.total('cpu', 'shop')).toBe(grown);
    expect(await program.total('cpu', 'blog')).toBe(kubelet.pastUsage);
    expect((await program.stop()).code).toBe(0);
  });
});

describe('what a user gets wrong is said in one message', () => {
  const inRoot = (name: string): string => join(root, name);

  async function refused(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await metering(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^METER_CONFIG_INVALID: /);
    expect(stderr.match(/METER_/g)).toHaveLength(1);
    expect(stderr).not.toContain('    at ');
    return stderr;
  }

  test.each([
    ['no command', [], 'no command given'],
    ['an unknown command', ['repaly'], 'unknown command "repaly" (did you mean "replay"?)'],
    ['an unknown option', ['all', '--prot', '1'], 'unknown option --prot (did you mean "port"?)'],
    ['a replay of nothing', ['replay'], 'needs FILE...'],
    ['an unknown format', ['replay', 'x', '--format', 'xml'], '--format is one of csv, json, not "xml"'],
    ['a speed of nothing', ['all', '--speed', '0'], '--speed is a number above 0'],
    ['a port beyond ports', ['all', '--port', '99999'], '--port is a number from 0 to 65535, not 99999'],
    ['settings that are not there', ['all', '--settings', 'nothing.json'], 'nothing.json cannot be read'],
    ['targets that are not there', ['all', '--config', 'nothing.yaml'], 'nothing.yaml cannot be read'],
  ])('%s', async (_, args, message) => {
    const own = args[0] === 'all' ? ['--data', inRoot('refused')] : [];
    expect(await refused(...args, ...own)).toContain(message);
  });

  test('settings with several problems: all of them, by name', async () => {
    const path = inRoot('settings.json');
    await writeFile(path, JSON.stringify({ maxHoldMS: 1, latenessMs: -1, maxCores: 'many' }));
    const message = await refused('all', '--settings', path, '--data', inRoot('refused'));
    expect(message).toContain(`${path}: 3 problems`);
    for (const name of ['maxHoldMS', 'latenessMs', 'maxCores']) expect(message).toContain(`- ${name}: `);
  });

  test('targets with several problems: all of them, by name', async () => {
    const path = inRoot('targets.yaml');
    await writeFile(path, 'cluster: "a b"\ntargets:\n  - job: kubelet\n    url: ftp://x\n    intervall: 3\n');
    const message = await refused('all', '--config', path, '--data', inRoot('refused'));
    for (const name of ['cluster', 'targets.0.url', 'targets.0.intervall'])
      expect(message).toContain(`- ${name}: `);
  });

  test('a port that is taken', async () => {
    const server = await new ScrapeTargetServer((_, response) => response.end()).listen();
    const { code, stderr } = await metering('all', '--port', `${server.port}`, '--data', inRoot('taken'));
    const taken = `METER_CONFIG_INVALID: the API cannot listen on 127.0.0.1:${server.port}: free the port`;
    expect({ code, last: stderr.trimEnd().split('\n').at(-1) }).toEqual({
      code: 1,
      last: expect.stringContaining(taken) as string,
    });
    await server[Symbol.asyncDispose]();
  });
});
