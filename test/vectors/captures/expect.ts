/**
 * What the model makes of the captures in this folder: `node test/vectors/captures/expect.ts` writes the CSV beside each,
 * and the replay test holds both the files and the program to it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { modelUsage } from '../../model/model.ts';
import type { ModelRecord, ModelSettings, OtlpMetricsData } from '../../model/record.ts';
import { decodePublished } from '../../support/published-otlp.ts';
import { VECTOR_SETTINGS } from '../vectors.ts';

const SUFFIX = '.jsonl.gz';

export interface Capture {
  readonly file: string;
  readonly expectedFile: string;
  readonly lines: readonly string[];
}

export function captures(): Capture[] {
  const folder = import.meta.dirname;
  const names = readdirSync(folder).filter((name) => name.endsWith(SUFFIX));
  return names.sort().map((name) => ({
    file: join(folder, name),
    expectedFile: join(folder, name.replace(SUFFIX, '.csv')),
    lines: linesOf(join(folder, name)),
  }));
}

/** The lines of a file of captured records. */
export function linesOf(file: string): string[] {
  return gunzipSync(readFileSync(file)).toString().trimEnd().split('\n');
}

interface CapturedLine {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly timestamp: string;
  readonly value: string;
}

/** Captured lines as the model reads them, decoded by another library than the program's. */
export function modelRecords(lines: readonly string[]): ModelRecord[] {
  return lines.map((line) => {
    const { topic, partition, offset, timestamp, value } = JSON.parse(line) as CapturedLine;
    const metricsData = decodePublished(Buffer.from(value, 'base64')) as OtlpMetricsData;
    return { topic, partition, offset: BigInt(offset), timestampMs: Number(timestamp), metricsData };
  });
}

/** The six columns that are specified, as the program prints them. */
export function expectedCsv(lines: readonly string[], settings: Partial<ModelSettings> = {}): string {
  const rows = modelUsage(modelRecords(lines), { ...VECTOR_SETTINGS, ...settings });
  const used = rows.filter(({ quantity }) => quantity !== 0n);
  const records = used.map(({ hour, tenant, cluster, namespace, meter, quantity }) =>
    [new Date(hour).toISOString().replace('.000Z', 'Z'), tenant, cluster, namespace, meter, quantity].join(),
  );
  return ['hour,tenant,cluster,namespace,meter,quantity', ...records, ''].join('\n');
}

if (process.argv[1] === import.meta.filename) {
  for (const { lines, expectedFile } of captures()) writeFileSync(expectedFile, expectedCsv(lines));
}
