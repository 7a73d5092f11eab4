import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { Telemetry } from '../../core/runtime/telemetry.ts';
import { sampleLogContract, type OpenedLog } from './sample-log.contract.ts';

const clock = new SystemClock();
const facts = new Telemetry({ format: 'json', level: 'silent' }, { clock, output: process.stderr });

function openLog(directory: string): EmbeddedLog {
  return new EmbeddedLog(embeddedLogSchema.parse({ directory }), { clock, facts });
}

function newDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'embedded-log-'));
}

function opened(directory: string): OpenedLog {
  const log = openLog(directory);
  return {
    log,
    topics: ['usage.contract', 'usage.contract-other'],
    reopen: async () => {
      await log.close();
      return opened(directory);
    },
    dispose: async () => {
      await log.close();
      await rm(directory, { recursive: true });
    },
  };
}

sampleLogContract('the embedded log', async () => opened(await newDirectory()));

describe('a process with the embedded log', () => {
  const program = fileURLToPath(new URL('./embedded-log-process.ts', import.meta.url));
  let directory: string;

  beforeEach(async () => {
    directory = await newDirectory();
  });

  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  /** What the process was promised before it was killed, `aliveMs` after its first append. */
  async function runAndKill(aliveMs: number): Promise<{ appended: number; committed: number }> {
    const child = spawn(process.execPath, [program, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    const promised = { appended: -1, committed: 0 };
    for await (const line of createInterface({ input: child.stdout })) {
      const [what, number] = line.split(' ');
      if (promised.appended === -1) setTimeout(() => child.kill('SIGKILL'), aliveMs);
      if (what === 'append') promised.appended = Math.max(promised.appended, Number(number));
      if (what === 'commit') promised.committed = Number(number);
    }
    const [, signal] = (await ended) as [number | null, string | null];
    expect(signal).toBe('SIGKILL');
    return promised;
  }

  /** Everything that is still there, and what the group has committed. */
  async function readAll(log: EmbeddedLog): Promise<{ records: readonly LogRecord[]; committed: number }> {
    const reader = await log.consumer({ group: 'aggregator', topics: ['usage.killed'] });
    const committed = Number((await reader.committed())[0]?.next);
    await reader.seek([{ topic: 'usage.killed', partition: 0, next: 0n }]);
    const records: LogRecord[] = [];
    for (;;) {
      const polled = await reader.poll({ maxBytes: 10_000_000, waitMs: 0 });
      if (polled.length === 0) return { records, committed };
      records.push(...polled);
    }
  }

  function expectWhole({ offset, value }: LogRecord): void {
    const number = Number(offset);
    expect(Buffer.from(value).readBigUInt64LE()).toBe(offset);
    expect(value.length).toBe(8 + ((number * 7919) % 60_000));
    expect(value.subarray(8).every((byte) => byte === number % 251)).toBe(true);
  }

  test('loses nothing it was promised when it is killed, at whatever moment', async () => {
    let oldest = 0;
    for (const aliveMs of [0, 5, 11, 23, 47, 90, 160, 250]) {
      const promised = await runAndKill(aliveMs);
      const log = openLog(directory);
      const end = Number((await log.endPositions(['usage.killed']))[0]?.next);
      const { records, committed } = await readAll(log);
      await log.close();

      expect(end).toBeGreaterThan(promised.appended);
      expect(committed).toBeGreaterThanOrEqual(promised.committed);
      oldest = Number(records[0]?.offset ?? end);
      expect(oldest).toBeLessThanOrEqual(committed);
      expect(records.map(({ offset }) => Number(offset))).toEqual(
        Array.from({ length: end - oldest }, (_, index) => oldest + index),
      );
      for (const record of records) expectWhole(record);
    }
    // Kills fell into retention's work too, not only into appends and commits.
    expect(oldest).toBeGreaterThan(0);
  });

  test('keeps a second process out, and lets go when it dies', async () => {
    const child = spawn(process.execPath, [program, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    await once(createInterface({ input: child.stdout }), 'line');
    expect(() => openLog(directory)).toThrow(
      expect.objectContaining({
        code: 'METER_DATA_LOCKED',
        message: expect.stringContaining('--data') as string,
      }),
    );
    child.kill('SIGKILL');
    await ended;
    await openLog(directory).close();
  });
});
