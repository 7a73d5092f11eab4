/** A store in a process of its own, as a server is: several processes share it, and tests kill and freeze it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePorts } from './free-ports.ts';
import { guardOf, type Guard } from './guard.ts';

const CHILD = join(import.meta.dirname, 'clickhouse-front-process.ts');

export class StoreProcess {
  readonly url: string;
  readonly #path: string;
  readonly #port: number;
  #child: ChildProcess | undefined;
  #guard: Guard | undefined;

  private constructor(path: string, port: number) {
    this.#path = path;
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(path: string): Promise<StoreProcess> {
    const [port] = await freePorts(1);
    const store = new StoreProcess(path, port ?? 0);
    await store.restart();
    return store;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Over the same data, at the same address; resolves when it answers. */
  async restart(): Promise<void> {
    const child = spawn(process.execPath, [CHILD, this.#path, `${this.#port}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    this.#guard = guardOf(child);
    const ended = once(child, 'exit').then(() => {
      throw new Error('the store did not start');
    });
    await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended]);
    ended.catch(() => undefined);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    this.#guard?.dismiss();
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.kill();
  }
}
