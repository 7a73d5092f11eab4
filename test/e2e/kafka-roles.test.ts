/** The roles as processes of their own, over a real broker: what is collected is metered, crash or no crash. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { metering, now, pause, ROOT } from './program.ts';

const LONG_MS = 60_000;
const POLL_MS = 100;

let broker: KafkaBroker;
let directory: string;
const running = new Set<Role>();

/** A role that runs; its lines say where it is reached. */
class Role {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #errors: string[] = [];

  constructor(role: string, config: string) {
    const args = ['--import', './node-version.js', 'main.ts', role, '--config', config];
    this.#child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const [stream, lines] of [
      [this.#child.stdout, this.#lines],
      [this.#child.stderr, this.#errors],
    ] as const) {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => lines.push(line));
    }
    running.add(this);
  }

  /** What follows this word on a line of its own. */
  async address(word: string): Promise<string> {
    return await until(`${word} of ${this.#lines.join('\n')}${this.#errors.join('\n')}`, () => {
      const line = this.#lines.find((text) => text.startsWith(word));
      if (line === undefined && this.#child.exitCode !== null) throw new Error(this.#errors.join('\n'));
      return /https?:\/\/[^/\s]+/.exec(line ?? '')?.[0];
    });
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    running.delete(this);
    if (this.#child.exitCode !== null) return this.#child.exitCode;
    const closed = once(this.#child, 'close') as Promise<[number | null]>;
    this.#child.kill(signal);
    return (await closed)[0];
  }
}

async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (let waitedMs = 0; waitedMs < LONG_MS; waitedMs += POLL_MS) {
    const found = await look();
    if (found !== undefined) return found;
    await pause(POLL_MS);
  }
  throw new Error(`waited in vain: ${what}`);
}

async function configured(name: string, values: unknown): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, JSON.stringify(values));
  return path;
}

/** Usage by hour, tenant, cluster, namespace as the API gives it, without hours of nothing. */
async function usage(api: string): Promise<readonly string[]> {
  const groups = ['tenant', 'cluster', 'namespace'].map((group) => `groupBy=${group}`).join('&');
  const rows: string[] = [];
  for (const meter of METERS) {
    const response = await fetch(`${api}/api/v1/meters/${meter}/query?windowSize=HOUR&${groups}`);
    const { data } = (await response.json()) as { data: Row[] };
    for (const { windowStart, value, tenant, groupBy } of data) {
      if (value === null || value === '0') continue;
      rows.push(
        [windowStart.slice(0, 13), tenant, groupBy['cluster'], groupBy['namespace'], meter, value].join(),
      );
    }
  }
  return rows.sort();
}

const METERS = ['cpu', 'memory', 'network_transmit', 'network_receive'] as const;

const TOKEN = 'a-token-of-the-cluster-roles';

/** Two samples of a pod, a second apart, as an OpenTelemetry sender pushes them; the answer's status. */
async function pushed(receiver: string, token: string): Promise<number> {
  const endMs = now();
  const labels = { namespace: 'pushed', pod: 'p', node: 'n', id: '/kubepods/pod-p' };
  const attributes = Object.entries(labels).map(([key, value]) => ({ key, value: { stringValue: value } }));
  const dataPoints = [5, 7].map((asDouble, i) => ({
    ...{ attributes, asDouble },
    timeUnixNano: `${endMs - (1 - i) * 1_000}000000`,
  }));
  const resource = [
    { key: 'service.name', value: { stringValue: 'kubelet-cadvisor' } },
    { key: 'service.instance.id', value: { stringValue: 'pushed' } },
  ];
  const metrics = [{ name: 'container_cpu_usage_seconds_total', gauge: { dataPoints } }];
  const body = { resourceMetrics: [{ resource: { attributes: resource }, scopeMetrics: [{ metrics }] }] };
  const { status } = await fetch(`${receiver}/v1/metrics`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  return status;
}

interface Row {
  readonly windowStart: string;
  readonly value: string | null;
  readonly tenant: string;
  readonly groupBy: Readonly<Record<string, string>>;
}

const missing = missingForKafka();

describe.skipIf(missing !== undefined)(`over a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  beforeAll(async () => {
    broker = await KafkaBroker.start();
    directory = await mkdtemp(join(tmpdir(), 'metering-roles-'));
  }, 120_000);
  afterEach(async () => {
    for (const role of running) await role.end('SIGKILL');
  });
  afterAll(async () => {
    await broker.stop();
    await rm(directory, { recursive: true });
  });

  const kafka = (): Record<string, unknown> => ({
    brokers: [broker.address],
    topics: { partitions: 3, replicationFactor: 1, minInsyncReplicas: 1 },
    membership: { sessionTimeoutMs: 6_000, heartbeatIntervalMs: 1_000 },
  });

  test('a role whose topics are missing says which command makes them', async () => {
    const config = await configured('missing.json', {
      kafka: kafka(),
      clusters: ['nowhere'],
      store: { directory: join(directory, 'none') },
      ops: { port: 0 },
    });
    const { code, stderr } = await metering('aggregator', '--config', config);
    expect(code).toBe(1);
    expect(stderr).toContain('usage.nowhere');
    expect(stderr).toContain('topics');
  });

  test('the files of the demo are those of a simulator and of an aggregator', async () => {
    const here = async (name: string): Promise<string> => {
      const text = await readFile(join(ROOT, 'alloy/demo', name), 'utf8');
      const moved = text
        .replace('127.0.0.1:9092', broker.address)
        .replaceAll(/port: \d+/g, 'port: 0')
        .replace('data/alloy-demo', join(directory, 'demo'));
      await writeFile(join(directory, name), moved);
      return join(directory, name);
    };
    const metered = await here('aggregator.yaml');
    expect(await metering('topics', '--config', metered)).toMatchObject({ code: 0 });
    const simulator = new Role('collector', await here('simulator.yaml'));
    const page = `${await simulator.address('simulated cluster')}/kube-state-metrics`;
    expect(await (await fetch(page)).text()).toContain('kube_namespace_labels{');
    const aggregator = new Role('aggregator', metered);
    const { status } = await fetch(`${await aggregator.address('OPS')}/readyz`);
    expect(status).toBe(200);
    expect(await Promise.all([simulator, aggregator].map((role) => role.end('SIGTERM')))).toEqual([0, 0]);
  });

  test('collector and aggregator die and come back: usage is that of the records in the topic', async () => {
    const collected = await configured('collector.json', {
      kafka: kafka(),
      simulator: { cluster: 'roles', scrapeIntervalMs: 1_000 },
      receiver: { port: 0, clusters: { roles: { tokens: [TOKEN] } } },
      ops: { port: 0 },
    });
    const metered = await configured('aggregator.json', {
      kafka: kafka(),
      clusters: ['roles'],
      store: { directory: join(directory, 'store') },
      api: { port: 0 },
      ops: { port: 0 },
    });
    const made = await metering('topics', '--config', metered);
    expect(made).toMatchObject({ code: 0, stdout: 'usage.roles made\n' });
    const collector = new Role('collector', collected);
    let aggregator = new Role('aggregator', metered);
    const api = await aggregator.address('API');
    await until('usage', async () => ((await usage(api)).length > 0 ? true : undefined));
    await aggregator.end('SIGKILL');
    await collector.end('SIGKILL');
    const second = new Role('collector', collected);
    aggregator = new Role('aggregator', metered);
    const again = await aggregator.address('API');
    expect(await pushed(await second.address('receiver'), TOKEN)).toBe(200);
    expect(await pushed(await second.address('receiver'), 'another-token-of-nobody')).toBe(401);
    await pause(5_000);
    expect(await second.end('SIGTERM')).toBe(0);

    const captured = join(directory, 'captured.jsonl');
    const { stdout: lines } = await metering('capture', '--config', metered);
    await writeFile(captured, lines);
    const { stdout: replayed } = await metering('replay', captured);
    const expected = rowsOf(replayed);
    expect(expected.length).toBeGreaterThan(10);
    // Two core-seconds were pushed, over a second that may straddle the end of an hour.
    const fromPush = expected.filter((row) => row.includes(',pushed,')).map((row) => row.split(',').at(-1));
    expect(fromPush.reduce((sum, value) => sum + BigInt(value ?? 0), 0n)).toBe(2_000_000_000n);
    await until('the same usage', async () =>
      (await usage(again)).join('\n') === expected.join('\n') ? true : undefined,
    ).catch(async (error: unknown) => {
      expect(await usage(again)).toEqual(expected);
      throw error;
    });
    expect(await aggregator.end('SIGTERM')).toBe(0);
    const listed = await metering('quarantine', 'list', '--config', metered);
    expect(listed).toMatchObject({
      code: 0,
      stdout: 'topic,partition,offset,point,reason,logged,retried,excerpt\n',
    });
    const retried = await metering('quarantine', 'retry', '--config', metered);
    expect(retried.stderr).toContain('0 records appended again');
  }, 240_000);
});

function rowsOf(text: string): readonly string[] {
  const [, ...lines] = text.trim().split('\n');
  return lines
    .map((line) => line.split(','))
    .filter(([, , , , meter]) => METERS.some((name) => name === meter))
    .map(([hour = '', tenant, cluster, namespace, meter, quantity]) =>
      [hour.slice(0, 13), tenant, cluster, namespace, meter, quantity].join(),
    )
    .sort();
}
