/** The program as a user runs it: a process, its output, its exit code. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SystemClock } from '../../core/runtime/clock.ts';

export const ROOT = join(import.meta.dirname, '../..');

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `npm run metering -- ...`, without npm. */
export async function metering(...args: readonly string[]): Promise<Output> {
  return await outputOf(process.execPath, [...PROGRAM, ...args]);
}

/** What a shell makes of a line in which `metering` is the program. */
export async function shell(line: string, variables: NodeJS.ProcessEnv = {}): Promise<Output> {
  const program = [process.execPath, ...PROGRAM].map((word) => `'${word}'`).join(' ');
  return await outputOf('sh', ['-c', `metering() { ${program} "$@"; }; ${line}`], variables);
}

const PROGRAM = ['--import', './node-version.js', 'main.ts'];

async function outputOf(
  command: string,
  args: readonly string[],
  variables: NodeJS.ProcessEnv = {},
): Promise<Output> {
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close') as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([child.stdout, child.stderr].map(textOf));
  const [code] = await closed;
  return { code, stdout: stdout ?? '', stderr: stderr ?? '' };
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

const clock = new SystemClock();

export interface Sum {
  readonly windowStart: string;
  readonly value: string | null;
  readonly coverage: { readonly coveredMs: number };
}

/** What `npm start` runs; through npm its exit code is lost, for npm ends by the signal itself. */
export type Launcher = 'npm start' | 'node';

const COMMANDS: Readonly<Record<Launcher, readonly [string, ...string[]]>> = {
  'npm start': ['npm', 'start', '--silent', '--'],
  node: [process.execPath, '--import', './node-version.js', 'main.ts', 'all'],
};

/** The program as a terminal runs it: a process group that hears Ctrl-C together. */
export class Program {
  readonly url: string;
  readonly pid: number;
  readonly startedMs: number;
  /** When it had said where it listens. */
  readonly readyMs: number;
  readonly #interrupt: () => void;
  readonly #output: Promise<Output>;

  private constructor(
    own: Pick<Program, 'url' | 'pid' | 'startedMs'>,
    run: { interrupt: () => void; output: Promise<Output> },
  ) {
    this.url = own.url;
    this.pid = own.pid;
    this.startedMs = own.startedMs;
    this.readyMs = clock.now();
    this.#interrupt = run.interrupt;
    this.#output = run.output;
  }

  static async start(launcher: Launcher, data: string, ...options: readonly string[]): Promise<Program> {
    const startedMs = clock.now();
    const [command, ...first] = COMMANDS[launcher];
    const child = spawn(command, [...first, '--data', data, '--port', '0', ...options], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const group = child.pid;
    if (group === undefined) throw new Error(`${command} cannot be started`);
    const closed = once(child, 'close') as Promise<[number | null]>;
    const stderr = textOf(child.stderr);
    const lines: string[] = [];
    const url = Promise.withResolvers<string>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      const api = /^API +(http:\/\/[^/]+)/.exec(line)?.[1];
      if (api !== undefined) url.resolve(api);
    });
    const output = closed.then(async ([code]) => ({ code, stdout: lines.join('\n'), stderr: await stderr }));
    output.then(
      ({ code, stderr: why }) =>
        url.reject(new Error(`it ended with ${String(code)} before it listened: ${why}`)),
      url.reject,
    );
    const listening = await url.promise;
    const status = await readFile(join(data, 'store/status'), 'utf8');
    const pid = Number(/^PID: (\d+)$/m.exec(status)?.[1]);
    const interrupt = (): void => void process.kill(-group, 'SIGINT');
    return new Program({ url: listening, pid, startedMs }, { interrupt, output });
  }

  /** Ctrl-C, and what came of it. */
  async stop(): Promise<Output & { readonly tookMs: number }> {
    const beganMs = clock.now();
    this.#interrupt();
    const output = await this.#output;
    return { ...output, tookMs: clock.now() - beganMs };
  }

  /** Usage of the last day by hour, all tenants together, or of one namespace. */
  async usage(meter: string, namespace?: string): Promise<readonly Sum[]> {
    const filter = namespace === undefined ? '' : `&filterGroupBy[namespace]=${namespace}`;
    const response = await fetch(`${this.url}/api/v1/meters/${meter}/query?windowSize=HOUR${filter}`);
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    return ((await response.json()) as { data: Sum[] }).data;
  }

  async total(meter: string, namespace?: string): Promise<bigint> {
    const sums = await this.usage(meter, namespace);
    return sums.reduce((total, { value }) => total + BigInt(value ?? 0), 0n);
  }
}

export function now(): number {
  return clock.now();
}

export async function pause(ms: number): Promise<void> {
  await clock.sleep(ms);
}
