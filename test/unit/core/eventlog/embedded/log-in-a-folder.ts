import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import { EmbeddedLog, embeddedLogSchema } from '../../../../../core/eventlog/embedded.ts';
import type { LogAppend } from '../../../../../core/eventlog/sample-log.ts';
import { SystemClock } from '../../../../../core/runtime/clock.ts';
import { Telemetry } from '../../../../../core/runtime/telemetry.ts';

export const clock = new SystemClock();
export const TOPIC = 'usage.test';

/** A directory that is gone after the test. */
export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'embedded-log-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export interface Told {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** Facts as they would stand in the log, in order. */
export function recordedFacts(): { readonly facts: Telemetry; readonly told: Told[] } {
  const told: Told[] = [];
  const output = { write: (line: string) => told.push(JSON.parse(line) as Told) };
  return { facts: new Telemetry({ format: 'json', level: 'debug' }, { clock, output }), told };
}

/** A log that is closed after the test; `told` is what it said. */
export function openLog(settings: Readonly<Record<string, unknown>> = {}): {
  readonly log: EmbeddedLog;
  readonly told: readonly Told[];
} {
  const { facts, told } = recordedFacts();
  const config = embeddedLogSchema.parse({ directory: newDirectory(), ...settings });
  const log = new EmbeddedLog(config, { clock, facts });
  onTestFinished(() => log.close());
  return { log, told };
}

/** `count` records of `bytes` each in partition 0, so old already. */
export function records(count: number, bytes: number, ageMs = 0): readonly LogAppend[] {
  const value = Buffer.alloc(bytes, 7);
  const timestampMs = clock.now() - ageMs;
  return Array.from({ length: count }, () => ({ topic: TOPIC, partition: 0, timestampMs, key: null, value }));
}
