/**
 * `replay FILE...`: captured log records (JSON lines `{topic,partition,offset,timestamp,key,headers,value:
 * base64}`, gzip or plain) through the real path on a throwaway store. The same records give the same rows,
 * whatever their order, repetition and batching.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { PassThrough, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { meterNamed } from '../../core/metering/catalogue.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { Ingest } from '../ingest/ingest.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { RollUp } from './roll-up.ts';
import { readUsageRows, type UsageRow } from './usage-rows.ts';

/** Bytes of records in one batch. */
const BATCH_BYTES = 16 * 1024 * 1024;
const PROGRESS_EVERY_RECORDS = 10_000;
const EXCERPT_CHARACTERS = 120;

const lineSchema = z.object({
  topic: z.string(),
  partition: z.int().min(0),
  offset: z.union([z.string().regex(/^\d+$/), z.int().min(0)]).transform(BigInt),
  timestamp: z.union([z.string().regex(/^\d+$/), z.int().min(0)]).transform(Number),
  value: z.base64(),
});

export interface ReplayDeps {
  readonly store: UsageStore;
  readonly clock: Clock;
  readonly facts: FactSink;
  /** A line for the person who waits. */
  readonly progress: (line: string) => void;
}

export async function replay(
  files: readonly string[],
  settings: MeteringSettings,
  deps: ReplayDeps,
): Promise<UsageRow[]> {
  const config = {
    settings,
    clusterOfTopic: (): undefined => undefined,
    maxBatchBytes: BATCH_BYTES,
    pollMs: 0,
  };
  const ingest = new Ingest(config, deps);
  let records = 0;
  let points = 0;
  for await (const batch of capturedBatches(files)) {
    const taken = await ingest.take(batch);
    for (const tally of taken.partitions.values()) points += tally.points;
    const before = Math.floor(records / PROGRESS_EVERY_RECORDS);
    records += batch.length;
    if (Math.floor(records / PROGRESS_EVERY_RECORDS) > before)
      deps.progress(`${records} records, ${points} points`);
  }
  deps.progress(`${records} records, ${points} points read; rolling up`);
  await new RollUp({ settings }, deps).pass();
  const rows = await readUsageRows(deps.store);
  return rows.filter((row) => row.quantity !== 0n);
}

/** The records of captured files, in batches of a size that is quick to store. */
export async function* capturedBatches(files: readonly string[]): AsyncGenerator<LogRecord[]> {
  let batch: LogRecord[] = [];
  let bytes = 0;
  for (const file of files) {
    for await (const record of recordsOf(file)) {
      batch.push(record);
      bytes += record.value.byteLength;
      if (bytes < BATCH_BYTES) continue;
      yield batch;
      batch = [];
      bytes = 0;
    }
  }
  if (batch.length > 0) yield batch;
}

async function* recordsOf(file: string): AsyncGenerator<LogRecord> {
  let number = 0;
  try {
    for await (const line of createInterface({ input: await textOf(file), crlfDelay: Infinity })) {
      number++;
      if (line.trim() !== '') yield parseLine(line, `${file}:${number}`);
    }
  } catch (cause) {
    if (cause instanceof MeteringError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MeteringError('METER_INPUT_UNREADABLE', `${file} cannot be read after line ${number}: ${why}`, {
      cause,
    });
  }
}

function parseLine(line: string, where: string): LogRecord {
  let parsed: z.output<typeof lineSchema>;
  try {
    parsed = lineSchema.parse(JSON.parse(line));
  } catch (cause) {
    throw new MeteringError(
      'METER_INPUT_UNREADABLE',
      `${where} is not a captured record {topic,partition,offset,timestamp,value: base64}: ` +
        `${line.slice(0, EXCERPT_CHARACTERS)}; remove the line or capture the file again`,
      { cause },
    );
  }
  const { topic, partition, offset, timestamp, value } = parsed;
  return {
    topic,
    partition,
    offset,
    timestampMs: timestamp,
    key: null,
    headers: {},
    value: Buffer.from(value, 'base64'),
  };
}

/** The file's text; gzip is told by its first two bytes, not by its name. */
async function textOf(file: string): Promise<Readable> {
  const source = createReadStream(file);
  const first = await new Promise<Buffer | null>((resolve, reject) => {
    source.once('error', reject);
    source.once('readable', () => resolve(source.read() as Buffer | null));
    source.once('end', () => resolve(null));
  });
  if (first !== null) source.unshift(first);
  const isGzip = first?.[0] === 0x1f && first[1] === 0x8b;
  const text = isGzip ? createGunzip() : new PassThrough();
  source.on('error', (error) => text.destroy(error));
  return source.pipe(text);
}

const COLUMNS = ['hour', 'tenant', 'cluster', 'namespace', 'meter', 'quantity'] as const;
const FURTHER_COLUMNS = ['unit', 'q0', 'q1', 'q2', 'q3', 'missing_ms', 'samples', 'flags'] as const;

/** Rows as people and programs read them: hours as `2026-10-01T09:00:00Z`, quantities as decimal strings. */
export function replayRecords(rows: readonly UsageRow[]): {
  columns: readonly string[];
  records: string[][];
} {
  const records = rows.map((row) => [
    `${new Date(row.hour).toISOString().slice(0, 19)}Z`,
    row.tenant,
    row.cluster,
    row.namespace,
    row.meter,
    row.quantity.toString(),
    meterNamed(row.meter)?.unit ?? '',
    ...row.quarters.map(String),
    row.missingMs.toString(),
    row.samples.toString(),
    row.flags.toString(),
  ]);
  return { columns: [...COLUMNS, ...FURTHER_COLUMNS], records };
}
