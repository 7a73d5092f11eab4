/**
 * How much of an hour was seen (METERING 10): per meter, over the targets that feed it, the ms between
 * successful scrapes at most 5 minutes apart, over the ms in which scrapes were expected: from a target's
 * first successful scrape until its removal (a marker on `up`) or until nothing was heard of it for the
 * lateness. Of an hour that still goes on, nothing is expected past the newest successful scrape of the
 * cluster.
 */
import { HOUR_MS } from '../../core/metering/hour.ts';
import { GAP_MS } from '../conversion/flags.ts';
import { fixedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { unitParameters, type Unit } from './unit-key.ts';

export interface MeterCoverage {
  readonly meter: string;
  readonly coveredMs: number;
  readonly expectedMs: number;
}

/** `up` of one target: 1 successful, 0 failed, -1 removed. In order of t. */
export interface UpSample {
  readonly t: number;
  readonly up: number;
}

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** ms of `span` between successful scrapes at most 5 minutes apart. 0 s, 30 s, 600 s and 630 s cover 60 s. */
export function coveredMs(ups: readonly UpSample[], span: Span): number {
  let covered = 0;
  let before = -Infinity;
  for (const { t, up } of ups) {
    if (up !== 1) continue;
    if (t - before <= GAP_MS) covered += overlap({ from: before, to: t }, span);
    before = t;
  }
  return covered;
}

/** ms of `span` in which the target's scrapes were expected. */
export function expectedMs(
  ups: readonly UpSample[],
  span: Span,
  options: { readonly firstScrape: number; readonly latenessMs: number },
): number {
  let expected = 0;
  ups.forEach(({ t, up }, i) => {
    if (up < 0) return;
    const until = Math.min(ups[i + 1]?.t ?? Infinity, t + options.latenessMs);
    expected += overlap({ from: Math.max(t, options.firstScrape), to: until }, span);
  });
  return expected;
}

function overlap(a: Span, b: Span): number {
  return Math.max(0, Math.min(a.to, b.to) - Math.max(a.from, b.from));
}

export async function readCoverage(
  store: UsageStore,
  unit: Unit,
  options: { readonly latenessMs: number; readonly isOpen: boolean },
): Promise<MeterCoverage[]> {
  const ups = await readUps(store, unit);
  const feeds = await readFeeds(store, unit.cluster);
  await addSilentTargets(store, unit, { ups, feeds, latenessMs: options.latenessMs });
  const end = options.isOpen ? newestSuccess(unit, ups) : unit.hour + HOUR_MS;
  const span = { from: unit.hour, to: end };
  const byMeter = new Map<string, { coveredMs: number; expectedMs: number }>();
  for (const { meter, target, firstScrape } of feeds) {
    const seen = ups.get(target) ?? [];
    const sum = byMeter.get(meter) ?? { coveredMs: 0, expectedMs: 0 };
    sum.coveredMs += coveredMs(seen, span);
    sum.expectedMs += expectedMs(seen, span, { firstScrape, latenessMs: options.latenessMs });
    byMeter.set(meter, sum);
  }
  // Zeros too: what was expected of an hour before a removal came to light must not stay.
  return [...byMeter].map(([meter, sum]) => ({ meter, ...sum }));
}

type Ups = Map<string, UpSample[]>;

/** target 8, t 8, version 1 */
const ROW_BYTES = 17;

/** All that was heard within reach of the hour. */
async function readUps(store: UsageStore, unit: Unit): Promise<Ups> {
  const chunks = store.rowBinary(
    `SELECT target, t, max(version) FROM scrape
     WHERE cluster = {cluster:String} AND hour >= toDateTime({hour:Int64} - 3600, 'UTC')
       AND hour <= toDateTime({hour:Int64} + 3600, 'UTC') AND t > {from:Int64} AND t <= {to:Int64}
     GROUP BY target, t ORDER BY target, t`,
    { ...unitParameters(unit), from: unit.hour - GAP_MS, to: unit.hour + HOUR_MS + GAP_MS },
  );
  const ups: Ups = new Map();
  for await (const { view } of fixedRows(chunks, ROW_BYTES)) {
    for (let at = 0; at < view.byteLength; at += ROW_BYTES) {
      const target = view.getBigUint64(at, true).toString();
      const sample = { t: Number(view.getBigInt64(at + 8, true)), up: view.getUint8(at + 16) - 1 };
      const known = ups.get(target);
      if (known === undefined) ups.set(target, [sample]);
      else known.push(sample);
    }
  }
  return ups;
}

interface Feed {
  readonly meter: string;
  readonly target: string;
  readonly firstScrape: number;
}

async function readFeeds(store: UsageStore, cluster: string): Promise<Feed[]> {
  const rows = await store.rows<{ meter: string; target: string; first: string }>(
    `SELECT f.meter AS meter, f.target AS target, t.first AS first
     FROM (SELECT DISTINCT meter, target FROM feed WHERE cluster = {cluster:String}) AS f
     INNER JOIN (
       SELECT target, min(first_scrape) AS first FROM target WHERE cluster = {cluster:String} GROUP BY target
     ) AS t ON f.target = t.target`,
    { cluster },
  );
  return rows.map((row) => ({ meter: row.meter, target: row.target, firstScrape: Number(row.first) }));
}

/**
 * Targets silent as the hour begins: the last that was heard of them before may still expect scrapes in it.
 */
async function addSilentTargets(
  store: UsageStore,
  unit: Unit,
  options: { readonly ups: Ups; readonly feeds: readonly Feed[]; readonly latenessMs: number },
): Promise<void> {
  const { ups, feeds, latenessMs } = options;
  const silent = new Set(
    feeds
      .filter(({ target, firstScrape }) => {
        const first = ups.get(target)?.[0];
        return firstScrape <= unit.hour + HOUR_MS && (first === undefined || first.t > unit.hour);
      })
      .map((feed) => feed.target),
  );
  if (silent.size === 0) return;
  const rows = await store.rows<{ target: string; last: string; newest: number }>(
    `SELECT target, max(t) AS last, argMax(version, (t, version)) AS newest FROM scrape
     WHERE cluster = {cluster:String} AND target IN {targets:Array(UInt64)}
       AND hour >= toDateTime({from:Int64}, 'UTC') AND hour <= toDateTime({hour:Int64}, 'UTC')
       AND t <= {before:Int64}
     GROUP BY target`,
    {
      ...unitParameters(unit),
      targets: [...silent].map(BigInt),
      from: Math.max(0, Math.floor((unit.hour - latenessMs) / 1000) - 3600),
      before: unit.hour - GAP_MS,
    },
  );
  for (const { target, last, newest } of rows) {
    ups.set(target, [{ t: Number(last), up: newest - 1 }, ...(ups.get(target) ?? [])]);
  }
}

function newestSuccess(unit: Unit, ups: Ups): number {
  let newest = unit.hour;
  for (const seen of ups.values()) {
    for (const { t, up } of seen) if (up === 1) newest = Math.max(newest, t);
  }
  return Math.min(newest, unit.hour + HOUR_MS);
}
