/** Debian's Prometheus and node exporter, as processes of their own on the loopback. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const NODE_EXPORTER = 'prometheus-node-exporter';
const PROMETHEUS = 'prometheus';
const READY_MS = 30_000;

/** Both programs are there; where they have to be (in CI) and are not, whoever starts them fails. */
export const isPrometheusInstalled =
  process.env['CI'] !== undefined ||
  [PROMETHEUS, NODE_EXPORTER].every((program) => spawnSync(program, ['--version']).status === 0);

interface Program {
  readonly url: string;
  readonly process: ChildProcess;
}

export interface PrometheusOptions {
  readonly scrapeUrl: string;
  readonly remoteWriteUrl: string;
  readonly token: string;
  readonly intervalMs: number;
}

/** The end of it all; for afterEach. */
const cleanups: (() => Promise<void> | void)[] = [];
export async function stopPrograms(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

/** Collectors that any container has, so that a scrape is small and quick. */
export async function startNodeExporter(): Promise<string> {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const collectors = ['loadavg', 'stat', 'meminfo', 'uname'].map((name) => `--collector.${name}`);
  const args = [`--web.listen-address=${address}`, '--collector.disable-defaults', ...collectors];
  const { url } = await start(NODE_EXPORTER, args, { address, readyPath: '/metrics' });
  return url;
}

/** A Prometheus that scrapes one target and writes all of it on; it keeps its data over its restarts. */
export class Prometheus {
  readonly #options: PrometheusOptions;
  readonly #directory = mkdtempSync(join(tmpdir(), 'prometheus-'));
  #program: Program | undefined;

  constructor(options: PrometheusOptions) {
    this.#options = options;
    cleanups.push(async () => {
      await this.kill();
      rmSync(this.#directory, { recursive: true, force: true });
    });
  }

  async start(): Promise<void> {
    const file = join(this.#directory, 'prometheus.yml');
    writeFileSync(file, configuration(this.#options));
    const address = `127.0.0.1:${await freePort()}`;
    const args = [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(this.#directory, 'data')}`,
      `--web.listen-address=${address}`,
      // What is left to send when it stops is given up at once: a stop during an outage would wait a minute.
      '--storage.remote.flush-deadline=200ms',
    ];
    this.#program = await start(PROMETHEUS, args, { address, readyPath: '/-/ready' });
  }

  /** As an orchestrator would: asks, and waits. */
  async stop(): Promise<void> {
    await end(this.#program, 'SIGTERM');
    this.#program = undefined;
  }

  async kill(): Promise<void> {
    await end(this.#program, 'SIGKILL');
    this.#program = undefined;
  }

  /** Every stored sample of the series that a selector names: `name{labels} time` to value. */
  async samples(selector: string): Promise<ReadonlyMap<string, string>> {
    const answer = await this.#query(`${selector}[1h]`);
    return new Map(
      answer.flatMap(({ metric, values = [] }) =>
        values.map(([time, value]) => [sampleKey(metric, Math.round(time * 1000)), value]),
      ),
    );
  }

  /** The sum of a metric about Prometheus itself; 0 where there is none. */
  async own(metric: string): Promise<number> {
    const text = await (await fetch(`${this.#url}/metrics`)).text();
    const lines = text
      .split('\n')
      .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  async #query(query: string): Promise<readonly Vector[]> {
    const url = `${this.#url}/api/v1/query?query=${encodeURIComponent(query)}`;
    const body = (await (await fetch(url)).json()) as { data: { result: readonly Vector[] } };
    return body.data.result;
  }

  get #url(): string {
    if (this.#program === undefined) throw new Error('Prometheus is not running');
    return this.#program.url;
  }
}

interface Vector {
  readonly metric: Readonly<Record<string, string>>;
  readonly values?: readonly (readonly [number, string])[];
}

/** Names one sample; labels in order. */
export function sampleKey(metric: Readonly<Record<string, string>>, timeMs: number): string {
  const labels = Object.entries(metric).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify(labels)} ${timeMs}`;
}

function configuration({ scrapeUrl, remoteWriteUrl, token, intervalMs }: PrometheusOptions): string {
  return `
global: { scrape_interval: ${intervalMs}ms, scrape_timeout: ${intervalMs}ms }
scrape_configs:
  - job_name: node
    static_configs: [{ targets: ['${new URL(scrapeUrl).host}'] }]
remote_write:
  - url: ${remoteWriteUrl}
    authorization: { credentials: ${token} }
    queue_config: { batch_send_deadline: 100ms, min_backoff: 30ms, max_backoff: 200ms, retry_on_http_429: true }
    metadata_config: { send_interval: 1s }
`;
}

async function start(
  program: string,
  args: readonly string[],
  { address, readyPath }: { readonly address: string; readonly readyPath: string },
): Promise<Program> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-4_000)));
  const started = { url: `http://${address}`, process: child };
  cleanups.push(() => end(started, 'SIGKILL'));
  const failed = once(child, 'error').then(([error]) => {
    throw error as Error;
  });
  await Promise.race([ready(`${started.url}${readyPath}`, child), failed]).catch((cause: unknown) => {
    throw new Error(`${program} did not start: ${log}`, { cause });
  });
  return started;
}

async function ready(url: string, child: ChildProcess): Promise<void> {
  const endMs = Date.now() + READY_MS;
  while (Date.now() < endMs && child.exitCode === null) {
    const response = await fetch(url).catch(() => undefined);
    await response?.arrayBuffer();
    if (response?.ok === true) return;
    await sleep(30);
  }
  throw new Error(`${url} did not answer`);
}

async function end(program: Program | undefined, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (program === undefined) return;
  const { process: child } = program;
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
