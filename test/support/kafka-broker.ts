/**
 * A real Kafka broker on loopback, one process with its own data directory: started in a few seconds,
 * killed, frozen and started again by tests.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from './free-ports.ts';
import { guardOf, type Guard } from './guard.ts';
import { kafkaJars } from './kafka/jars.ts';
import { serverProperties, type BrokerPorts, type BrokerTls } from './kafka/server-properties.ts';

const START_TIMEOUT_MS = 90_000;
/** Of cluster and directory. Not drawn by lot: Kafka's tools take one that begins with a dash for an option. */
const ID = Buffer.from('gh0stmeter-tests').toString('base64url');
const JVM = ['-Xms64m', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData'];

export interface Users {
  readonly plain: Readonly<Record<string, string>>;
  /** `SCRAM-SHA-512=[name=a,password=b]` */
  readonly scram: readonly string[];
}

export interface BrokerOptions {
  readonly users?: Users;
  readonly tls?: BrokerTls;
  /** Ports of links that clients are to come by; each leads to a port of its own. */
  readonly links?: readonly number[];
}

export class KafkaBroker {
  readonly #directory: string;
  readonly #ports: BrokerPorts;
  #process: ChildProcess | undefined;
  #guard: Guard | undefined;

  private constructor(directory: string, ports: BrokerPorts) {
    this.#directory = directory;
    this.#ports = ports;
  }

  static async start(options: BrokerOptions = {}): Promise<KafkaBroker> {
    const directory = mkdtempSync(join(tmpdir(), 'kafka-'));
    const { links = [] } = options;
    const [plain, sasl, tls, controller, ...free] = await freePorts(4 + links.length);
    const behind = links.map((link, index) => ({ link, port: free[index]! }));
    const ports = { plain: plain!, sasl: sasl!, tls: tls!, controller: controller!, behind };
    const broker = new KafkaBroker(directory, ports);
    broker.#prepare(options);
    await broker.restart();
    return broker;
  }

  /** Where anybody may do anything. */
  get address(): string {
    return `127.0.0.1:${this.#ports.plain}`;
  }

  get saslAddress(): string {
    return `127.0.0.1:${this.#ports.sasl}`;
  }

  get tlsAddress(): string {
    return `127.0.0.1:${this.#ports.tls}`;
  }

  /** Where a link has to lead. */
  portBehind(link: number): number {
    return this.#ports.behind.find((one) => one.link === link)?.port ?? 0;
  }

  /** The first segment of a partition, as it lies on disk. */
  segment(topic: string, partition: number): string {
    return join(this.#dataDirectory, `${topic}-${partition}`, `${'0'.repeat(20)}.log`);
  }

  /** Starts over the same data; resolves when clients are served. */
  async restart(): Promise<void> {
    const log = join(this.#directory, 'broker.log');
    const output = openSync(log, 'w');
    const args = [...JVM, '-cp', join(kafkaJars(), '*'), 'kafka.Kafka', this.#properties];
    const child = spawn('java', args, { stdio: ['ignore', output, output] });
    closeSync(output);
    this.#process = child;
    this.#guard = guardOf(child);
    for (let waitedMs = 0; !readFileSync(log, 'utf8').includes('Kafka Server started'); waitedMs += 50) {
      if (child.exitCode !== null || child.signalCode !== null || waitedMs > START_TIMEOUT_MS) {
        throw new Error(`the broker did not start:\n${readFileSync(log, 'utf8').slice(-4000)}`);
      }
      await sleep(50);
    }
  }

  /** As a power failure of its machine, but for the disk's cache. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Stops answering, without closing anything. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    // Nothing is kept, so there is nothing to shut down in order.
    await this.#end('SIGKILL');
    rmSync(this.#directory, { recursive: true });
  }

  get #dataDirectory(): string {
    return join(this.#directory, 'data');
  }

  get #properties(): string {
    return join(this.#directory, 'server.properties');
  }

  #prepare({ users, tls }: BrokerOptions): void {
    const text = serverProperties({
      ports: this.#ports,
      dataDirectory: this.#dataDirectory,
      tls,
      plainUsers: users?.plain,
    });
    writeFileSync(this.#properties, text);
    if (users === undefined) this.#format();
    else this.#formatWith(users.scram);
  }

  /** What Kafka's own tool writes where there are no users to make; it would take a second more. */
  #format(): void {
    mkdirSync(this.#dataDirectory);
    const lines = ['version=1', `cluster.id=${ID}`, 'node.id=1', `directory.id=${ID}`];
    writeFileSync(join(this.#dataDirectory, 'meta.properties'), `${lines.join('\n')}\n`);
  }

  #formatWith(scram: readonly string[]): void {
    const users = scram.flatMap((user) => ['--add-scram', user]);
    const what = ['format', '--cluster-id', ID, '--config', this.#properties, ...users];
    const tool = ['-cp', join(kafkaJars(), '*'), 'kafka.tools.StorageTool'];
    execFileSync('java', [...JVM, ...tool, ...what], { stdio: 'pipe' });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    this.#guard?.dismiss();
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }
}
