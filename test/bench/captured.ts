/** Captured records through the reader, to see how far made-up ones are from real ones. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { RecordReader } from '../../aggregator/ingest/record-reader.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { best, type Figure } from './measure.ts';
import { SETTINGS } from './workbench.ts';

/** A capture is short: it is read as often as it takes to have this many points. */
const POINTS = 200_000;

/** Every row known, as in a process that has run for a while. Rows that are not metered count as points too. */
export async function capturedFigure(file: string): Promise<Figure> {
  const records = recordsOf(file);
  const reader = new RecordReader({ settings: SETTINGS, clusterOfTopic: () => undefined });
  const points = pointsIn(reader, records);
  const times = Math.ceil(POINTS / Math.max(1, points));
  const measured = await best(3, async () => {
    for (let n = 0; n < times; n++) pointsIn(reader, records);
  });
  const name = `  decode and admit ${file.split('/').at(-1) ?? file}`;
  return { name, count: times * points, of: 'points', measured };
}

function pointsIn(reader: RecordReader, records: readonly LogRecord[]): number {
  return [...reader.read(records).partitions.values()].reduce((sum, { points }) => sum + points, 0);
}

function recordsOf(file: string): LogRecord[] {
  const bytes = readFileSync(file);
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const { topic, partition, offset, timestamp, value } = JSON.parse(line) as Record<string, string>;
      return {
        topic: topic ?? '',
        partition: Number(partition),
        offset: BigInt(offset ?? 0),
        timestampMs: Number(timestamp),
        key: null,
        headers: {},
        value: Buffer.from(value ?? '', 'base64'),
      };
    });
}
