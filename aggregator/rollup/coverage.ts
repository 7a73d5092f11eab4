/**
 * How much of an hour was seen (METERING 10): per meter, over the targets that feed it, the ms between
 * successful scrapes at most 5 minutes apart, over the ms in which scrapes were expected: from a target's
 * first successful scrape until its removal (a marker on `up`) or until nothing was heard of it for the
 * lateness. Of an hour that still goes on, nothing is expected past the newest successful scrape of the
 * cluster.
 */
import { HOUR_MS, QUARTER_MS, startOfHour } from '../../core/metering/hour.ts';
import { GAP_MS } from '../conversion/flags.ts';
import { fixedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { endOf, hoursOf, type Span } from './span.ts';

export interface MeterCoverage extends Covered {
  readonly hour: number;
  readonly meter: string;
  /** Of each quarter of the hour; they add up to the hour's. */
  readonly quarters: readonly Covered[];
}

export interface Covered {
  readonly coveredMs: number;
  readonly expectedMs: number;
}

/** `up` of one target: 1 successful, 0 failed, -1 removed. In order of t. */
export interface UpSample {
  readonly t: number;
  readonly up: number;
}

export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/**
 * ms of `stretch` between successful scrapes at most 5 minutes apart. 0 s, 30 s, 600 s and 630 s cover 60 s.
 */
export function coveredMs(ups: readonly UpSample[], stretch: Stretch): number {
  let covered = 0;
  let before = -Infinity;
  for (const { t, up } of ups) {
    if (up !== 1) continue;
    if (t - before <= GAP_MS) covered += overlap({ from: before, to: t }, stretch);
    before = t;
  }
  return covered;
}

/** ms of `stretch` in which the target's scrapes were expected. */
export function expectedMs(
  ups: readonly UpSample[],
  stretch: Stretch,
  options: { readonly firstScrape: number; readonly latenessMs: number },
): number {
  let expected = 0;
  ups.forEach(({ t, up }, i) => {
    if (up < 0) return;
    const until = Math.min(ups[i + 1]?.t ?? Infinity, t + options.latenessMs);
    expected += overlap({ from: Math.max(t, options.firstScrape), to: until }, stretch);
  });
  return expected;
}

function overlap(a: Stretch, b: Stretch): number {
  return Math.max(0, Math.min(a.to, b.to) - Math.max(a.from, b.from));
}

/** Of every hour of the span and every meter that is fed in the cluster, hour by hour. */
export async function readCoverage(
  store: UsageStore,
  span: Span,
  options: { readonly latenessMs: number; readonly isOpen: boolean },
): Promise<MeterCoverage[]> {
  const { latenessMs } = options;
  const ups = await readUps(store, span);
  const feeds = await readFeeds(store, span.cluster);
  await addSilentTargets(store, span, { ups, feeds, latenessMs });
  return hoursOf(span).flatMap((hour) => {
    const to = options.isOpen ? newestSuccess(hour, ups) : hour + HOUR_MS;
    return coverageByQuarter({ from: hour, to }, { ups, feeds, latenessMs });
  });
}

/** Of an hour, or of as much of it as there is. */
function coverageByQuarter({ from: hour, to }: Stretch, heard: Heard): MeterCoverage[] {
  const byMeter = new Map<string, Covered[]>();
  for (let from = hour; from < hour + HOUR_MS; from += QUARTER_MS) {
    const quarter = { from, to: Math.min(to, from + QUARTER_MS) };
    // Zeros too: what was expected of an hour before a removal came to light must not stay.
    for (const [meter, covered] of coverageOf(quarter, heard)) {
      const quarters = byMeter.get(meter);
      if (quarters === undefined) byMeter.set(meter, [covered]);
      else quarters.push(covered);
    }
  }
  return [...byMeter].map(([meter, quarters]) => ({
    ...{ hour, meter, quarters },
    coveredMs: quarters.reduce((sum, quarter) => sum + quarter.coveredMs, 0),
    expectedMs: quarters.reduce((sum, quarter) => sum + quarter.expectedMs, 0),
  }));
}

export interface CoverageWithin {
  readonly meter: string;
  /** In order, none over the end of an hour. */
  readonly windows: readonly Stretch[];
  readonly latenessMs: number;
  /** What was expected of hours of the span, as it is stored; of others nothing is told. */
  readonly expected: ReadonlyMap<number, number>;
}

/** Of one meter, hours cut into windows, which add up to what is stored of them. */
export async function readCoverageWithin(
  store: UsageStore,
  span: Span,
  { meter, windows, latenessMs, expected }: CoverageWithin,
): Promise<(Stretch & Covered)[]> {
  const ups = await readUps(store, span);
  const feeds = (await readFeeds(store, span.cluster)).filter((feed) => feed.meter === meter);
  const heard = { ups, feeds, latenessMs };
  await addSilentTargets(store, span, heard);
  const ends = new Map<number, number>();
  for (const [hour, stored] of expected) {
    const whole = coverageOf({ from: hour, to: hour + HOUR_MS }, heard).get(meter);
    // Less was expected of an hour that went on.
    ends.set(hour, (whole?.expectedMs ?? 0) > stored ? newestSuccess(hour, ups) : hour + HOUR_MS);
  }
  return windows.flatMap((window) => {
    const to = Math.min(window.to, ends.get(startOfHour(window.from)) ?? 0);
    const sum = to > window.from ? coverageOf({ from: window.from, to }, heard).get(meter) : undefined;
    return sum === undefined ? [] : [{ ...window, ...sum }];
  });
}

interface Heard {
  readonly ups: Ups;
  readonly feeds: readonly Feed[];
  readonly latenessMs: number;
}

/** By meter. */
function coverageOf(stretch: Stretch, { ups, feeds, latenessMs }: Heard): ReadonlyMap<string, Covered> {
  const byTarget = new Map<string, Covered>();
  const byMeter = new Map<string, { coveredMs: number; expectedMs: number }>();
  for (const { meter, target, firstScrape } of feeds) {
    let seen = byTarget.get(target);
    if (seen === undefined) {
      const near = bearingOn(stretch, ups.get(target) ?? []);
      seen = {
        coveredMs: coveredMs(near, stretch),
        expectedMs: expectedMs(near, stretch, { firstScrape, latenessMs }),
      };
      byTarget.set(target, seen);
    }
    const sum = byMeter.get(meter) ?? { coveredMs: 0, expectedMs: 0 };
    sum.coveredMs += seen.coveredMs;
    sum.expectedMs += seen.expectedMs;
    byMeter.set(meter, sum);
  }
  return byMeter;
}

/** What was heard around the stretch, and the last before it: what lies further away says nothing of it. */
function bearingOn({ from, to }: Stretch, ups: readonly UpSample[]): readonly UpSample[] {
  const near = firstAfter(ups, from - GAP_MS);
  return ups.slice(Math.max(0, near - 1), firstAfter(ups, to + GAP_MS));
}

/** Index of the first one later than t. */
function firstAfter(ups: readonly UpSample[], t: number): number {
  let low = 0;
  let high = ups.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ups[middle]?.t ?? Infinity) <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}

type Ups = Map<string, UpSample[]>;

/** target 8, t 8, version 1 */
const ROW_BYTES = 17;

/** All that was heard within reach of the span. */
async function readUps(store: UsageStore, span: Span): Promise<Ups> {
  const [from, to] = [span.first - GAP_MS, endOf(span) + GAP_MS];
  const chunks = store.rowBinary(
    `SELECT target, t, max(version) FROM scrape
     WHERE cluster = {cluster:String} AND hour >= toDateTime({earliest:Int64}, 'UTC')
       AND hour <= toDateTime({latest:Int64}, 'UTC') AND t > {from:Int64} AND t <= {to:Int64}
     GROUP BY target, t ORDER BY target, t`,
    {
      cluster: span.cluster,
      earliest: (span.first - HOUR_MS) / 1000,
      latest: (span.last + HOUR_MS) / 1000,
      from,
      to,
    },
  );
  const ups: Ups = new Map();
  let last: bigint | undefined;
  let ofTarget: UpSample[] = [];
  for await (const { view } of fixedRows(chunks, ROW_BYTES)) {
    for (let at = 0; at < view.byteLength; at += ROW_BYTES) {
      const target = view.getBigUint64(at, true);
      if (target !== last) {
        ups.set(target.toString(), (ofTarget = []));
        last = target;
      }
      ofTarget.push({ t: Number(view.getBigInt64(at + 8, true)), up: view.getUint8(at + 16) - 1 });
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
 * Targets silent as the span begins: the last that was heard of them before may still expect scrapes in it.
 */
async function addSilentTargets(
  store: UsageStore,
  span: Span,
  { ups, feeds, latenessMs }: Heard,
): Promise<void> {
  const silent = new Set(
    feeds
      .filter(({ target, firstScrape }) => {
        const first = ups.get(target)?.[0];
        return firstScrape <= endOf(span) && (first === undefined || first.t > span.first);
      })
      .map((feed) => feed.target),
  );
  if (silent.size === 0) return;
  const rows = await store.rows<{ target: string; last: string; newest: number }>(
    `SELECT target, max(t) AS last, argMax(version, (t, version)) AS newest FROM scrape
     WHERE cluster = {cluster:String} AND target IN {targets:Array(UInt64)}
       AND hour >= toDateTime({from:Int64}, 'UTC') AND hour <= toDateTime({first:Int64}, 'UTC')
       AND t <= {before:Int64}
     GROUP BY target`,
    {
      cluster: span.cluster,
      first: span.first / 1000,
      targets: [...silent].map(BigInt),
      from: Math.max(0, Math.floor((span.first - latenessMs) / 1000) - 3600),
      before: span.first - GAP_MS,
    },
  );
  for (const { target, last, newest } of rows) {
    ups.set(target, [{ t: Number(last), up: newest - 1 }, ...(ups.get(target) ?? [])]);
  }
}

function newestSuccess(hour: number, ups: Ups): number {
  let newest = hour;
  for (const seen of ups.values()) {
    for (const { t, up } of seen) if (up === 1) newest = Math.max(newest, t);
  }
  return Math.min(newest, hour + HOUR_MS);
}
