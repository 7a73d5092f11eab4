/** A role of the program as a process of its own, over a settings file: started, killed, frozen by tests. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { guardOf, type Guard } from './guard.ts';
import { until } from './waiting.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Of what it says on its way, so much is kept for whoever asks why it ended. */
const LINES_KEPT = 200;

export class Role {
  static readonly #running = new Set<Role>();
  readonly #child: ChildProcess;
  readonly #guard: Guard;
  readonly #lines: string[] = [];
  readonly #errors: string[] = [];
  #isEnding = false;

  constructor(role: 'collector' | 'aggregator' | 'api', config: string) {
    const { env, flags } = nodeOfProgram();
    this.#child = spawn(process.execPath, [...flags, 'main.ts', role, '--config', config], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#guard = guardOf(this.#child);
    // Once it has ended, its number may become another's.
    this.#child.once('exit', () => this.#guard.dismiss());
    for (const [stream, lines] of [
      [this.#child.stdout, this.#lines],
      [this.#child.stderr, this.#errors],
    ] as const) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (lines.length > 2 * LINES_KEPT) lines.splice(0, LINES_KEPT);
      });
    }
    Role.#running.add(this);
  }

  /** For afterEach: none outlives its test. */
  static async killAll(): Promise<void> {
    for (const role of Role.#running) await role.end('SIGKILL');
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it said, the newest last. */
  get said(): string {
    return [...this.#lines, ...this.#errors].join('\n');
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Told to end by whoever started it. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Where it is reached, from its line that begins with this word. */
  async address(word: string): Promise<string> {
    return await until(
      () => `${word} of ${this.said}`,
      () => {
        const line = this.#lines.find((text) => text.startsWith(word));
        if (line === undefined && !this.isRunning) throw new Error(this.#errors.join('\n'));
        return /https?:\/\/[^/\s]+/.exec(line ?? '')?.[0];
      },
    );
  }

  /** When it is thawed it goes on where it was, and does not know that time has passed. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** The status that it ended with; null: by the signal. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    Role.#running.delete(this);
    this.#isEnding = true;
    if (!this.isRunning) return this.#child.exitCode;
    const closed = once(this.#child, 'close') as Promise<[number | null]>;
    this.#child.kill(signal);
    return (await closed)[0];
  }
}

/** What stands around `node` in `npm run metering`: with other flags it would be another program's memory. */
export function nodeOfProgram(): {
  readonly env: Readonly<Record<string, string>>;
  readonly flags: readonly string[];
} {
  const manifest = readFileSync(join(ROOT, 'package.json'), 'utf8');
  const { scripts } = JSON.parse(manifest) as { readonly scripts: Readonly<Record<string, string>> };
  const words = scripts['metering']?.split(' ') ?? [];
  const node = words.indexOf('node');
  const env = Object.fromEntries(words.slice(0, node).map((word) => word.split('=') as [string, string]));
  return { env, flags: words.slice(node + 1, words.indexOf('main.ts')) };
}
