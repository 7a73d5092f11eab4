/**
 * Rolls up a span: converts its units and replaces what they gave before. Any process may do any span at any
 * time, and doing it twice is harmless.
 *
 * Order of the durable steps: marks for the hours that a changed closing changes, closings, those marks
 * again, details, parts, sums, coverage, marks for the ledger. A crash anywhere leaves the units marked, and
 * they are done again.
 *
 * The version is the store's time before anything is read, and above whatever the units were written with: of
 * two results that of the later reading stays. What a process cannot see is what another one writes between
 * its own reading and writing. So each looks once more after it has written: at its own units, which somebody
 * who read later may have replaced without knowing these closings, and at the hours it started from, which
 * somebody may have replaced since. Of two that meet, the one that wrote last sees the other, and marks.
 */
import { HOUR_MS } from '../../core/metering/hour.ts';
import { KeptHours } from '../ledger/erasure/kept-hours.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { nextHours, readClosingsOf, writeClosings } from './closings.ts';
import { writeDetails } from './detail-writer.ts';
import { convertSpan, type ConvertOptions, type UnitUsage } from './convert.ts';
import { readCoverage } from './coverage.ts';
import type { Closing } from './series-fold.ts';
import { MAX_SPAN_HOURS } from './span-planner.ts';
import { hoursOf, type SeriesKey, type Span } from './span.ts';
import { writeCoverage, writeMeasured, writeParts } from './usage-writer.ts';

export interface RollSpanOptions extends ConvertOptions {
  /** Read before the span was planned. */
  readonly kept: KeptHours;
  /** Units are replaced as a whole. */
  readonly only?: undefined;
  /** A span of the newest hour of its cluster alone: nothing follows it yet, so its closings can wait. */
  readonly isOpen: boolean;
  /** The newest hour of the cluster: it has no closings while it is open, but starts from these. */
  readonly openHour: number;
  /** Told of the units to do again: before the closings that change them are written, and after. */
  readonly mark: (hours: ReadonlySet<number>) => Promise<void>;
  /** Told of the hours that the span gave something to, or does no longer. */
  readonly markForLedger: (hours: ReadonlySet<number>) => Promise<void>;
}

/**
 * What the span gave, hour by hour; it is in the store. Undefined, and nothing was written: an erasure was
 * decided since the span was planned, and it deletes samples while they are read. The decision comes before
 * the first of them goes, so who has missed any finds it afterwards.
 */
export async function rollSpan(
  store: UsageStore,
  span: Span,
  options: RollSpanOptions,
): Promise<readonly UnitUsage[] | undefined> {
  const { kept } = options;
  const { before, version } = await beginning(store, span);
  const units = await convertSpan(store, span, options);
  if ((await KeptHours.read(store)).state !== kept.state) return undefined;
  const { latenessMs } = options.settings;
  const coverage = await readCoverage(store, span, { latenessMs, isOpen: options.isOpen });
  const changed = options.isOpen
    ? []
    : changedClosings(await readClosingsOf(store, span), closingsAfter(units));
  const following = await hoursThatFollow(store, span, { changed, openHour: options.openHour });
  if (!options.isOpen) {
    await options.mark(following);
    await writeClosings(store, span.cluster, { units, version });
    await options.mark(following);
  }
  await writeDetails(store, span, { units, version, kept });
  const hours = await writeParts(store, span, { units, version, kept });
  await writeMeasured(store, span, { units, version, kept });
  await writeCoverage(store, span.cluster, { coverage, version });
  await options.mark(await overtaken(store, span, { before, version }));
  const since = await hoursThatFollow(store, span, { changed, openHour: options.openHour });
  await options.mark(new Set([...since].filter((hour) => !following.has(hour))));
  // Always, and only now. Marked only where something changed, a change would be lost that was written before
  // a crash and is found to be there already when the units are done again; marked before the parts, it could
  // be settled without them.
  await options.markForLedger(new Set([...hours, ...hoursOf(span)]));
  return units;
}

/** The state of each series as the span ends. */
function closingsAfter(units: readonly UnitUsage[]): ReadonlyMap<SeriesKey, Closing> {
  const [first, ...others] = units;
  if (first === undefined || others.length === 0) return first?.closings ?? new Map<SeriesKey, Closing>();
  const last = new Map(first.closings);
  for (const { closings } of others) for (const [key, closing] of closings) last.set(key, closing);
  return last;
}

function changedClosings(
  before: ReadonlyMap<SeriesKey, Closing>,
  after: ReadonlyMap<SeriesKey, Closing>,
): SeriesKey[] {
  return [...after]
    .filter(([key, { t, value, known }]) => {
      const old = before.get(key);
      return old?.t !== t || old.value !== value || old.known !== known;
    })
    .map(([key]) => key);
}

/** Hours beyond the span that go on from what changed. Those within it have just been folded from it. */
async function hoursThatFollow(
  store: UsageStore,
  span: Span,
  { changed, openHour }: { readonly changed: readonly SeriesKey[]; readonly openHour: number },
): Promise<Set<number>> {
  const next = await nextHours(store, span, changed);
  return changed.length > 0 && openHour > span.last ? next.add(openHour) : next;
}

/** Newest version of everything that was written of a unit, by its hour. */
type Versions = ReadonlyMap<number, bigint>;

interface Beginning {
  /** Of the span, and of the hours that a span which ends before it can reach back to. */
  readonly before: Versions;
  /** Of what is about to be computed. */
  readonly version: bigint;
}

async function beginning(store: UsageStore, span: Span): Promise<Beginning> {
  const { now, versions } = await readVersions(store, span);
  const above = [...versions]
    .filter(([hour]) => hour >= span.first)
    .reduce((newest, [, version]) => (version > newest ? version : newest), 0n);
  return { before: versions, version: now > above ? now : above + 1n };
}

/** Units of the span that have to be done again because of what others wrote meanwhile. */
async function overtaken(
  store: UsageStore,
  span: Span,
  { before, version }: Beginning,
): Promise<Set<number>> {
  const { versions } = await readVersions(store, span);
  const ofOthers = [...versions].filter(([hour, newest]) =>
    hour < span.first ? newest !== before.get(hour) : newest > version,
  );
  const isStartChanged = ofOthers.some(([hour]) => hour < span.first);
  return new Set(isStartChanged ? hoursOf(span) : ofOthers.map(([hour]) => hour));
}

async function readVersions(
  store: UsageStore,
  span: Span,
): Promise<{ readonly now: bigint; readonly versions: Versions }> {
  const [row] = await store.rows<{ now: string; newest: [string, string][] }>(
    `SELECT toUnixTimestamp64Micro(now64(6)) AS now,
       groupArray([toString(seconds), toString(newest_version)]) AS newest
     FROM (
       SELECT toUnixTimestamp(written) AS seconds, max(version) AS newest_version FROM (
         SELECT unit AS written, version FROM usage_parts
         WHERE cluster = {cluster:String}
           AND unit >= toDateTime({from:Int64}, 'UTC') AND unit <= toDateTime({to:Int64}, 'UTC')
         UNION ALL
         SELECT hour, version FROM coverage
         WHERE cluster = {cluster:String}
           AND hour >= toDateTime({from:Int64}, 'UTC') AND hour <= toDateTime({to:Int64}, 'UTC')
       ) GROUP BY written)`,
    {
      cluster: span.cluster,
      from: Math.max(0, span.first - (MAX_SPAN_HOURS - 1) * HOUR_MS) / 1000,
      to: span.last / 1000,
    },
  );
  const versions = new Map(
    (row?.newest ?? []).map(([seconds, version]) => [Number(seconds) * 1000, BigInt(version)]),
  );
  return { now: BigInt(row?.now ?? 0), versions };
}
