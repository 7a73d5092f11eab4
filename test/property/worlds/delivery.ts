/**
 * How scrapes reach the log: whole or in two records, on time or hours late, twice, with rows that no honest
 * collector would send, and among records that nobody can read.
 */
import type { ModelRecord, OtlpMetricsData } from '../../model/record.ts';
import { metricsData, type Row } from '../../vectors/otlp-json.ts';
import type { Random } from './random.ts';
import { HOUR, MINUTE, type Scene, type Scrape, type Target } from './scene.ts';

const LOG_DELAY_MS = 1500;
const FUTURE_TOLERANCE_MS = 10 * MINUTE;
const RAW_RETENTION_MS = 45 * 24 * HOUR;

interface Sent {
  readonly cluster: string;
  readonly timestampMs: number;
  readonly metricsData: OtlpMetricsData | null;
}

/** Records by log timestamp, offsets dense in each partition of each cluster's topic. */
export function deliver(scene: Scene): ModelRecord[] {
  const { random } = scene;
  const sent = scene.targets.flatMap((target) =>
    target.scrapes.flatMap((scrape) => sendScrape(scene, target, scrape)),
  );
  const unreadable = random.chance(0.15) ? [{ ...firstOf(sent), metricsData: null }] : [];
  const inOrder = [...sent, ...unreadable].sort((a, b) => a.timestampMs - b.timestampMs);
  const ends = new Map<string, bigint>();
  return inOrder.map(({ cluster, ...record }) => {
    const topic = `usage.${cluster}`;
    const partition = random.int(0, 2);
    const offset = ends.get(`${topic} ${String(partition)}`) ?? 0n;
    ends.set(`${topic} ${String(partition)}`, offset + 1n);
    return { topic, partition, offset, ...record };
  });
}

function firstOf(sent: readonly Sent[]): Sent {
  return sent[0] ?? { cluster: 'rt1', timestampMs: 0, metricsData: null };
}

function sendScrape({ random, settings }: Scene, target: Target, scrape: Scrape): Sent[] {
  const rows = scrape.rows
    .flatMap((row) => [row, ...dishonest(random, row)])
    .map((row) => withLabels(target, row));
  const up = (value: number): Row =>
    withLabels(target, { name: 'up', labels: {}, timeMs: scrape.timeMs, value: { asDouble: value } });
  const record = (part: readonly Row[]): Sent => ({
    cluster: target.cluster,
    timestampMs: logTime(random, scrape.timeMs, settings.rawRetentionMs ?? RAW_RETENTION_MS),
    metricsData: metricsData(target, part),
  });
  const half = Math.ceil(rows.length / 2);
  const sent: Sent[] = [];
  const how = random.weighted({ whole: 84, split: 7, failed: 3, failedWithRows: 1, noUp: 2, both: 3 });
  switch (target.saysUp ? how : 'noUp') {
    case 'whole':
      sent.push(record([up(1), ...rows]));
      break;
    case 'split':
      sent.push(record([up(1), ...rows.slice(0, half)]), record(rows.slice(half)));
      break;
    case 'failed':
      sent.push(record([up(0)]));
      break;
    case 'failedWithRows':
      sent.push(record([up(0), ...rows]));
      break;
    case 'noUp':
      sent.push(record(rows));
      break;
    case 'both':
      sent.push(record([up(0)]), record([up(1), ...rows]));
      break;
  }
  return random.chance(0.05) ? [...sent, ...sent] : sent;
}

function withLabels(target: Target, row: Row): Row {
  return { ...row, labels: { ...target.labels, ...row.labels } };
}

/** Mostly at once; hours late, at the edges of what is too old, at the edges of what is the future. */
function logTime(random: Random, timeMs: number, rawRetentionMs: number): number {
  switch (random.weighted({ atOnce: 88, late: 8, retention: 2, future: 2 })) {
    case 'atOnce':
      return timeMs + LOG_DELAY_MS;
    case 'late':
      return timeMs + random.pick([10 * MINUTE, HOUR, 3 * HOUR, 30 * HOUR]);
    case 'retention':
      return timeMs + rawRetentionMs + random.pick([0, 1, HOUR]);
    case 'future':
      return timeMs - FUTURE_TOLERANCE_MS - random.pick([0, -1, 1, HOUR]);
  }
}

/** A row beside the honest one: the same labels spoilt, or no time. */
function dishonest(random: Random, row: Row): Row[] {
  if (!random.chance(0.015)) return [];
  const spoilt = { ...row, timeMs: row.timeMs + MINUTE };
  return [
    random.pick<Row>([
      { ...spoilt, labels: { ...row.labels, extra: { doubleValue: 1.5 } } },
      { ...spoilt, labels: { ...row.labels, extra: { arrayValue: { values: [] } } } },
      {
        ...spoilt,
        again: [
          { key: 'namespace', value: { stringValue: 'shop' } },
          { key: 'namespace', value: { stringValue: 'blog' } },
        ],
      },
      { ...spoilt, timeMs: 0 },
    ]),
  ];
}
