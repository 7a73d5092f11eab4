/**
 * What is known about the series whose first value lies in a span (METERING 6.4): who reported it, when
 * metering of those targets began, their last successful scrape without it, the start of its container.
 */
import { HOUR_MS } from '../../core/metering/hour.ts';
import type { BirthEvidence } from '../conversion/counter.ts';
import { fixedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { samplesIn, samplesParameters, type SeriesChoice } from './series-choice.ts';
import { endOf, IN_SPAN, spanParameters, type SeriesKey, type Span } from './span.ts';

/** Parameters of one statement; more are asked in several. */
const CHUNK = 2_000;

/** series 16, target 8, first value 8, first rejected 8, container 8 */
const SIGHTING_BYTES = 48;

interface Birth {
  reporters: readonly string[];
  firstValue: number;
  /** First sighting by any target, accepted or not. */
  sighted: number;
  readonly startKey: string;
}

export async function readBirths(
  store: UsageStore,
  span: Span,
  { latenessMs, only }: { readonly latenessMs: number; readonly only: SeriesChoice | undefined },
): Promise<Map<SeriesKey, BirthEvidence>> {
  const births = await readBorn(store, span, only);
  if (births.size === 0) return new Map();
  const meteringFrom = await readFirstScrapes(store, span.cluster, births);
  const absences = await readAbsences(store, span.cluster, births, latenessMs);
  const hasContainers = [...births.values()].some((birth) => birth.startKey !== '0');
  const containerStarts = hasContainers ? await readContainerStarts(store, span) : new Map<string, number>();
  return new Map(
    [...births].map(([key, birth]) => [
      key,
      {
        meteringFrom: least(birth.reporters.map((target) => meteringFrom.get(target))),
        absentAt: latestWithin(birth, latenessMs, absences),
        containerStart: startBefore(containerStarts.get(birth.startKey), birth.firstValue),
      },
    ]),
  );
}

/** Series whose first value of all lies in the span, with those who reported it. */
async function readBorn(
  store: UsageStore,
  span: Span,
  only: SeriesChoice | undefined,
): Promise<Map<SeriesKey, Birth>> {
  const chosen = `series IN (SELECT series FROM samples WHERE ${samplesIn(only)})`;
  const born = only === undefined ? IN_SPAN : `${IN_SPAN} AND ${chosen}`;
  const rows = store.rowBinary(
    `SELECT s.series AS id, s.target AS reporter, min(s.value_t) AS first_value,
       min(s.rejected_t) AS first_rejected, any(b.container) AS container
     FROM sightings AS s
     INNER JOIN (
       SELECT series, max(start_key) AS container FROM births WHERE ${born} GROUP BY series
     ) AS b ON s.series = b.series
     WHERE s.cluster = {cluster:String} AND s.series IN (SELECT series FROM births WHERE ${born})
     GROUP BY id, reporter`,
    samplesParameters(span, only),
  );
  const births = new Map<SeriesKey, Birth>();
  const reporters = new Reporters();
  for await (const { bytes, view } of fixedRows(rows, SIGHTING_BYTES)) {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < buffer.length; at += SIGHTING_BYTES) {
      const key = buffer.toString('latin1', at, at + 16);
      const firstValue = Number(view.getBigInt64(at + 24, true));
      const sighted = Math.min(firstValue, Number(view.getBigInt64(at + 32, true)));
      const own = reporters.one(view.getBigUint64(at + 16, true));
      const known = births.get(key);
      if (known === undefined) {
        const startKey = String(view.getBigUint64(at + 40, true));
        births.set(key, { reporters: own, firstValue, sighted, startKey });
        continue;
      }
      known.sighted = Math.min(known.sighted, sighted);
      if (firstValue > known.firstValue) continue;
      known.reporters = firstValue < known.firstValue ? own : [...known.reporters, ...own];
      known.firstValue = firstValue;
    }
  }
  for (const [key, { firstValue }] of births) {
    if (firstValue <= span.first || firstValue > endOf(span)) births.delete(key);
  }
  return births;
}

/** Whole targets are born together, so few are told apart, and mostly one of them reports a series. */
class Reporters {
  readonly #known = new Map<bigint, readonly string[]>();

  one(target: bigint): readonly string[] {
    let alone = this.#known.get(target);
    if (alone === undefined) this.#known.set(target, (alone = [String(target)]));
    return alone;
  }
}

/** First successful scrape by target. */
async function readFirstScrapes(
  store: UsageStore,
  cluster: string,
  births: ReadonlyMap<SeriesKey, Birth>,
): Promise<Map<string, number>> {
  const targets = [...new Set([...births.values()].flatMap((birth) => birth.reporters))];
  const first = new Map<string, number>();
  for (let i = 0; i < targets.length; i += CHUNK) {
    const rows = await store.rows<{ target: string; first: string }>(
      `SELECT target, min(first_scrape) AS first FROM target
       WHERE cluster = {cluster:String} AND target IN {targets:Array(UInt64)}
       GROUP BY target HAVING first < 9223372036854775807`,
      { cluster, targets: targets.slice(i, i + CHUNK).map(BigInt) },
    );
    for (const row of rows) first.set(row.target, Number(row.first));
  }
  return first;
}

const scrapeBefore = (target: string, t: number): string => `${target}<${t}`;

/**
 * The last successful scrape of a target before a sighting, for each such pair, if one lies within the
 * lateness.
 */
async function readAbsences(
  store: UsageStore,
  cluster: string,
  births: ReadonlyMap<SeriesKey, Birth>,
  latenessMs: number,
): Promise<Map<string, number>> {
  const pairs = new Map<string, [target: string, t: number]>();
  for (const { reporters, sighted } of births.values()) {
    for (const target of reporters) pairs.set(scrapeBefore(target, sighted), [target, sighted]);
  }
  const asked = [...pairs.values()].sort((a, b) => a[1] - b[1]);
  const found = new Map<string, number>();
  for (let i = 0; i < asked.length; i += CHUNK) {
    const chunk = asked.slice(i, i + CHUNK);
    const rows = await store.rows<{ target: string; sighted: string; t: string }>(
      `SELECT q.target AS target, q.sighted AS sighted, s.t AS t
       FROM (
         SELECT pair.1 AS target, pair.2 AS sighted
         FROM (SELECT arrayJoin(arrayZip({targets:Array(UInt64)}, {times:Array(Int64)})) AS pair)
       ) AS q
       ASOF INNER JOIN (
         SELECT target, t FROM scrape
         WHERE cluster = {cluster:String} AND version = 2 AND target IN {targets:Array(UInt64)}
           AND hour >= toDateTime({from:Int64}, 'UTC') AND hour <= toDateTime({to:Int64}, 'UTC')
       ) AS s ON q.target = s.target AND q.sighted > s.t`,
      {
        cluster,
        targets: chunk.map(([target]) => BigInt(target)),
        times: chunk.map(([, t]) => t),
        from: Math.max(0, Math.floor(((chunk[0]?.[1] ?? 0) - latenessMs - HOUR_MS) / 1000)),
        to: Math.ceil((chunk.at(-1)?.[1] ?? 0) / 1000),
      },
    );
    for (const row of rows) found.set(scrapeBefore(row.target, Number(row.sighted)), Number(row.t));
  }
  return found;
}

function latestWithin(
  birth: Birth,
  latenessMs: number,
  absences: ReadonlyMap<string, number>,
): number | undefined {
  const times = birth.reporters.flatMap((target) => absences.get(scrapeBefore(target, birth.sighted)) ?? []);
  const latest = times.length === 0 ? undefined : Math.max(...times);
  return latest !== undefined && birth.firstValue - latest <= latenessMs ? latest : undefined;
}

/** Smallest start of each container that a birth of the span may come from. */
async function readContainerStarts(store: UsageStore, span: Span): Promise<Map<string, number>> {
  const rows = await store.rows<{ start_key: string; smallest: string }>(
    `SELECT start_key, min(start) AS smallest FROM container_start
     WHERE cluster = {cluster:String} AND start_key IN (SELECT start_key FROM births WHERE ${IN_SPAN})
     GROUP BY start_key`,
    spanParameters(span),
  );
  return new Map(rows.map((row) => [row.start_key, Number(row.smallest)]));
}

function startBefore(start: number | undefined, t: number): number {
  return start !== undefined && start < t ? start : 0;
}

function least(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
