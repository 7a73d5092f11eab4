/**
 * METERING.md once more, naive and one-shot: the oracle that the production code is held against.
 *
 * Input: records of the log in any order and any repetition, and the settings. Output: every usage row that
 * is not empty, sorted. A series is judged by its whole history at once, in bigint; nothing is kept, closed,
 * cached or rolled up. Where METERING.md is silent, docs/metering-choices.md speaks; each function names its
 * section. The model shares no code with the production side.
 */
import { counterIntervals } from './counters.ts';
import { breakdownOf, detailShares, DetailRows, type DetailRow } from './details.ts';
import { factsOf } from './facts.ts';
import { gaugeUsage } from './gauges.ts';
import type { Notes } from './notes.ts';
import { ownership } from './owners.ts';
import { readPoints } from './reading.ts';
import type { ModelRecord, ModelSettings } from './record.ts';
import { seriesOf, type Series } from './series.ts';
import { sharesOf, type Share } from './shares.ts';

export interface ModelRow {
  /** Start of the hour in ms since the epoch. */
  readonly hour: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly quantity: bigint;
  readonly quarters: readonly [bigint, bigint, bigint, bigint];
  readonly missingMs: bigint;
}

export interface ModelResult {
  readonly rows: readonly ModelRow[];
  readonly details: readonly DetailRow[];
  readonly notes: Notes;
}

type Quarters = [bigint, bigint, bigint, bigint];

interface OpenRow extends Omit<ModelRow, 'quantity' | 'quarters' | 'missingMs'> {
  readonly quarters: Quarters;
  missingMs: bigint;
}

export function modelUsage(records: readonly ModelRecord[], settings: ModelSettings): ModelRow[] {
  return [...runModel(records, settings).rows];
}

/** The rows, and what was met on the way. */
export function runModel(records: readonly ModelRecord[], settings: ModelSettings): ModelResult {
  const notes: Notes = new Map();
  const points = readPoints(records, settings, notes);
  const facts = factsOf(points, settings.tenantLabel);
  const given = { facts, settings, notes };
  const rows = new Map<string, OpenRow>();
  const details = new DetailRows();
  for (const series of seriesOf(points, facts, settings, notes)) {
    const { cluster, namespace } = series;
    const owners = ownership(cluster, namespace, given);
    const isCounter = series.meter.kind === 'counter';
    const { held, missing } = isCounter
      ? { held: counterIntervals(series, given), missing: [] }
      : gaugeUsage(series, given);
    const breakdown = breakdownOf(series, facts);
    for (const interval of held) details.add(series, interval, detailShares(interval, owners, breakdown));
    for (const share of held.flatMap((interval) => sharesOf(interval, owners, notes))) {
      const row = rowOf(rows, series, share);
      row.quarters[share.quarter as 0 | 1 | 2 | 3] += share.quantity;
    }
    for (const share of missing.flatMap((interval) => sharesOf(interval, owners, notes))) {
      rowOf(rows, series, share).missingMs += share.quantity;
    }
  }
  return { rows: finished([...rows.values()]), details: details.rows(), notes };
}

function rowOf(rows: Map<string, OpenRow>, { cluster, namespace, meter }: Series, share: Share): OpenRow {
  const hour = Number(share.hour);
  const id = JSON.stringify([hour, share.owner, cluster, namespace, meter.name]);
  const fresh = (): OpenRow => ({
    ...{ hour, tenant: share.owner, cluster, namespace, meter: meter.name },
    ...{ quarters: [0n, 0n, 0n, 0n], missingMs: 0n },
  });
  const row = rows.get(id) ?? fresh();
  rows.set(id, row);
  return row;
}

function finished(rows: readonly OpenRow[]): ModelRow[] {
  return rows
    .map((row) => ({ ...row, quantity: row.quarters.reduce((a, b) => a + b) }))
    .filter((row) => row.quantity !== 0n || row.missingMs !== 0n)
    .sort((a, b) => a.hour - b.hour || compareText(rowNames(a), rowNames(b)));
}

function rowNames(row: ModelRow): readonly string[] {
  return [row.tenant, row.cluster, row.namespace, row.meter];
}

function compareText(a: readonly string[], b: readonly string[]): number {
  const index = a.findIndex((name, at) => name !== b[at]);
  return index < 0 ? 0 : (a[index] ?? '') < (b[index] ?? '') ? -1 : 1;
}
