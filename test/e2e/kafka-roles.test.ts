/** The roles as processes of their own, over a real broker: what is collected is metered, crash or no crash. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { kafkaLog, record } from '../support/kafka/kafka-log.ts';
import { Role } from '../support/role.ts';
import { usageOverHttp, usageReplayed } from '../support/usage-over-http.ts';
import { until } from '../support/waiting.ts';
import { metering, now, pause, ROOT, shell } from './program.ts';

let broker: KafkaBroker;
let directory: string;

async function configured(name: string, values: unknown): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, JSON.stringify(values));
  return path;
}

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

/** A record that nobody can read, before all others. */
async function poisoned(topic: string): Promise<void> {
  const log = kafkaLog(broker.address);
  await log.append([record(topic, Buffer.from([0xff, 0x01]))]);
  await log.close();
}

const missing = missingForKafka();

describe.skipIf(missing !== undefined)(`over a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  beforeAll(async () => {
    broker = await KafkaBroker.start();
    directory = await mkdtemp(join(tmpdir(), 'metering-roles-'));
  }, 120_000);
  afterEach(() => Role.killAll());
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
    await poisoned('usage.roles');
    const collector = new Role('collector', collected);
    let aggregator = new Role('aggregator', metered);
    const api = await aggregator.address('API');
    await until('usage', async () => ((await usageOverHttp(api)).length > 0 ? true : undefined));
    await aggregator.end('SIGKILL');
    await collector.end('SIGKILL');
    const second = new Role('collector', collected);
    aggregator = new Role('aggregator', metered);
    const again = await aggregator.address('API');
    expect(await pushed(await second.address('receiver'), TOKEN)).toBe(200);
    expect(await pushed(await second.address('receiver'), 'another-token-of-nobody')).toBe(401);
    await pause(5_000);
    expect(await second.end('SIGTERM')).toBe(0);

    const piped = `metering capture --config '${metered}' | metering replay -`;
    const brokers = { GH0STMETER_KAFKA__BROKERS: `${broker.address}, 127.0.0.1:1` };
    const { stdout: replayed } = await shell(piped, brokers);
    const expected = usageReplayed(replayed);
    expect(expected.length).toBeGreaterThan(10);
    // Two core-seconds were pushed, over a second that may straddle the end of an hour.
    const fromPush = expected.filter((row) => row.includes(',pushed,')).map((row) => row.split(',').at(-1));
    expect(fromPush.reduce((sum, value) => sum + BigInt(value ?? 0), 0n)).toBe(2_000_000_000n);
    await until('the same usage', async () =>
      (await usageOverHttp(again)).join('\n') === expected.join('\n') ? true : undefined,
    ).catch(async (error: unknown) => {
      expect(await usageOverHttp(again)).toEqual(expected);
      throw error;
    });
    expect(await aggregator.end('SIGTERM')).toBe(0);
    const listed = await metering('quarantine', 'list', '--config', metered);
    const [head, line, ...more] = listed.stdout.trimEnd().split('\n');
    expect(head).toBe('topic,partition,offset,point,reason,logged,retried,excerpt');
    expect(line).toMatch(/^usage\.roles,0,0,0,undecodable,[^,]+,false,.*not a well-formed OTLP.*$/);
    expect(more).toEqual([]);
    const retried = await metering('quarantine', 'retry', '--config', metered);
    expect(retried.stderr).toContain('1 records appended again, 0 are gone');
  }, 240_000);
});
