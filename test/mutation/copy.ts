/** A copy of the sources in which one line at a time is changed, and the tests that must notice. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const COPIED = ['core', 'aggregator', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'];

export type Outcome = 'killed' | 'survived' | 'timeout';

export class SourceCopy {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  static async make(): Promise<SourceCopy> {
    const path = await mkdtemp(join(tmpdir(), 'metering-mutants-'));
    for (const name of COPIED) await cp(join(ROOT, name), join(path, name), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(path, 'node_modules'));
    return new SourceCopy(path);
  }

  async write(file: string, source: string): Promise<void> {
    await writeFile(join(this.#path, file), source);
  }

  /** Run these tests until the first that fails. A change that never ends is noticed too. */
  async test(paths: readonly string[], limits: { timeoutMs: number; worlds: number }): Promise<Outcome> {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const child = spawn(process.execPath, [vitest, 'run', '--bail', '1', '--reporter', 'dot', ...paths], {
      cwd: this.#path,
      env: { ...process.env, WORLDS: String(limits.worlds) },
      stdio: 'ignore',
      // A group of its own: workers in an endless loop go with it.
      detached: true,
      timeout: limits.timeoutMs,
      killSignal: 'SIGKILL',
    });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    if (signal === null) return code === 0 ? 'survived' : 'killed';
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    return 'timeout';
  }

  async remove(): Promise<void> {
    await rm(this.#path, { recursive: true, force: true });
  }
}
