/**
 * Everything a span needs beside its samples, read from the store: which series it has, where they start
 * from, what is known about those that are new, who owns their namespaces.
 */
import { meterNamed, type MeterDefinition } from '../../core/metering/catalogue.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { invariant } from '../../core/runtime/errors.ts';
import {
  Breakdown,
  claimSubject,
  mayHaveOwner,
  podSubject,
  type SeriesDetail,
} from '../attribution/breakdown.ts';
import { DETAILS, subjectOf, TENANT_LABELS } from '../attribution/histories.ts';
import type { Sighting } from '../attribution/history.ts';
import { Ownership, type LabelSighting } from '../attribution/ownership.ts';
import { readSightings, type Stretch } from '../attribution/sightings.ts';
import type { BirthEvidence } from '../conversion/counter.ts';
import { EVERYTHING_KEPT, type KeptHours } from '../ledger/erasure/kept-hours.ts';
import { idsIn } from '../store/ids.ts';
import { decodedRows, fixedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { readBirths } from './births.ts';
import { readClosingsBefore } from './closings.ts';
import { ProcessStarts, readProcessStarts } from './process-starts.ts';
import { samplesIn, samplesParameters, type SeriesChoice } from './series-choice.ts';
import { DETAIL_LABELS, detailOf } from './series-detail.ts';
import type { Closing } from './series-fold.ts';
import { IN_SPAN, spanParameters, type SeriesKey, type Span } from './span.ts';

/** Series asked for by name in one statement, and in how many. */
const CHUNK = 2_000;
const MAX_CHUNKS = 5;

export interface SeriesMeta {
  readonly meter: MeterDefinition;
  readonly delta: boolean;
  readonly namespace: string;
  readonly podKey: string;
  /** For rows that end with their pod. */
  readonly podUid: string;
  readonly detail: SeriesDetail;
}

export interface SpanInputs {
  readonly series: ReadonlyMap<SeriesKey, SeriesMeta>;
  /** Before the first hour. */
  readonly closings: ReadonlyMap<SeriesKey, Closing>;
  readonly births: ReadonlyMap<SeriesKey, BirthEvidence>;
  readonly hostNetwork: ReadonlySet<string>;
  readonly ownership: Ownership;
  readonly breakdown: Breakdown;
  readonly processStarts: ProcessStarts;
  /** Keys of `podEndKey`. */
  readonly podEnds: ReadonlySet<string>;
}

export function podEndKey(podUid: string, t: number): string {
  return `${podUid}@${t}`;
}

/** Series met before, so that their labels are read once per process. */
export class SeriesCache {
  static readonly #MAX = 1_000_000;
  readonly #metas = new Map<SeriesKey, SeriesMeta>();

  get(key: SeriesKey): SeriesMeta | undefined {
    return this.#metas.get(key);
  }

  set(key: SeriesKey, meta: SeriesMeta): void {
    if (this.#metas.size >= SeriesCache.#MAX) this.#metas.clear();
    this.#metas.set(key, meta);
  }
}

export async function readSpanInputs(
  store: UsageStore,
  span: Span,
  options: {
    readonly settings: MeteringSettings;
    readonly cache: SeriesCache;
    readonly kept?: KeptHours | undefined;
    readonly only?: SeriesChoice | undefined;
  },
): Promise<SpanInputs> {
  const { settings, cache, kept = EVERYTHING_KEPT, only } = options;
  const { series, starts } = await readSeries(store, span, { cache, only });
  if (series.size === 0) return nothing(settings);
  const births = await readBirths(store, span, { latenessMs: settings.latenessMs, only });
  const closings = await readClosingsBefore(store, span, { series, isNew: (key) => births.has(key), only });
  const metas = [...series.values()];
  const hasProcesses = metas.some((meta) => meta.meter.birth === 'process' && !meta.delta);
  const processStarts = hasProcesses ? await readProcessStarts(store, span) : new ProcessStarts();
  const podEnds = metas.some((meta) => meta.meter.endsWithPod)
    ? await readPodEnds(store, span)
    : new Set<string>();
  let from = span.first;
  for (const [key, meta] of series) {
    const known = { closing: closings.get(key), birth: births.get(key), start: starts.get(key) };
    from = Math.min(from, earliestUsage(meta, known, processStarts.earliest));
  }
  const stretch = { unit: { cluster: span.cluster, hour: span.last }, from };
  return {
    series,
    closings,
    births,
    hostNetwork: await readHostNetwork(store, span.cluster),
    ownership: new Ownership(
      settings.platformNamespaces,
      kept.withOwnersOfErasedHours(span.cluster, await readLabels(store, stretch, metas)),
    ),
    breakdown: new Breakdown(await readDetails(store, stretch, metas)),
    processStarts,
    podEnds,
  };
}

async function readLabels(
  store: UsageStore,
  stretch: Stretch,
  metas: readonly SeriesMeta[],
): Promise<Map<string, readonly LabelSighting[]>> {
  const subjects = new Set(metas.map((meta) => meta.namespace));
  const sightings = await readSightings(store, TENANT_LABELS, { ...stretch, subjects });
  return new Map(
    [...sightings].map(([namespace, seen]) => [
      namespace,
      seen.map(({ t, value }) => ({ t, tenant: value })),
    ]),
  );
}

/** Of pods and claims, and then of what owns the pods. */
async function readDetails(
  store: UsageStore,
  stretch: Stretch,
  metas: readonly SeriesMeta[],
): Promise<ReadonlyMap<string, readonly Sighting[]>> {
  const subjects = new Set<string>();
  for (const { detail } of metas) {
    if (detail.pod !== '' && detail.workload === '') subjects.add(podSubject(detail));
    if (detail.claim !== '') subjects.add(claimSubject(detail));
  }
  if (subjects.size === 0) return new Map();
  const own = await readSightings(store, DETAILS, { ...stretch, subjects });
  const owners = new Set<string>();
  for (const [subject, seen] of own) {
    const namespace = subject.slice(0, subject.indexOf('/'));
    for (const { value } of seen) if (mayHaveOwner(value)) owners.add(subjectOf(namespace, value));
  }
  if (owners.size === 0) return own;
  return new Map([...own, ...(await readSightings(store, DETAILS, { ...stretch, subjects: owners }))]);
}

interface KnownOfSeries {
  readonly closing: Closing | undefined;
  readonly birth: BirthEvidence | undefined;
  /** The smallest start that its samples of the span carry. */
  readonly start: number | undefined;
}

/**
 * No usage of the series lies before this: what owners have to be known for. A start counts only where it
 * can.
 */
function earliestUsage(meta: SeriesMeta, known: KnownOfSeries, earliestProcess: number): number {
  const { closing, birth, start = Infinity } = known;
  if (meta.delta) return start;
  if (closing !== undefined) return closing.t;
  if (birth?.meteringFrom === undefined) return Infinity;
  const counting = (begin: number): number => Math.max(begin, birth.meteringFrom ?? begin);
  const container = birth.containerStart > 0 ? counting(birth.containerStart) : Infinity;
  const process = meta.meter.birth === 'process' ? counting(earliestProcess) : Infinity;
  return Math.min(counting(start), container, birth.absentAt ?? process);
}

/** Of hours without samples: facts and gaps may have marked them. */
function nothing(settings: MeteringSettings): SpanInputs {
  return {
    series: new Map(),
    closings: new Map(),
    births: new Map(),
    hostNetwork: new Set(),
    ownership: new Ownership(settings.platformNamespaces, new Map()),
    breakdown: new Breakdown(new Map()),
    processStarts: new ProcessStarts(),
    podEnds: new Set(),
  };
}

async function readSeries(
  store: UsageStore,
  span: Span,
  { cache, only }: { readonly cache: SeriesCache; readonly only: SeriesChoice | undefined },
): Promise<{ series: Map<SeriesKey, SeriesMeta>; starts: ReadonlyMap<SeriesKey, number> }> {
  const keys: SeriesKey[] = [];
  const starts = new Map<SeriesKey, number>();
  // series 16, earliest start 8
  const ids = store.rowBinary(
    `SELECT series, minIf(start, start > 0) FROM samples WHERE ${samplesIn(only)} GROUP BY series`,
    samplesParameters(span, only),
  );
  for await (const { bytes, view } of fixedRows(ids, 24)) {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < buffer.length; at += 24) {
      const key = buffer.toString('latin1', at, at + 16);
      const start = Number(view.getBigInt64(at + 16, true));
      keys.push(key);
      if (start > 0) starts.set(key, start);
    }
  }
  const found = new Map<SeriesKey, SeriesMeta>();
  const unknown = keys.filter((key) => {
    const meta = cache.get(key);
    if (meta !== undefined) found.set(key, meta);
    return meta === undefined;
  });
  if (unknown.length === 0) return { series: found, starts };
  for (const keys of wantedIn(unknown)) {
    for (const [key, meta] of await readMetas(store, span, { keys, only })) {
      cache.set(key, meta);
      found.set(key, meta);
    }
  }
  invariant(
    keys.every((key) => found.has(key)),
    `every series of ${span.cluster} is registered before its samples`,
  );
  return { series: found, starts };
}

/** What to ask for at once: a few series by name, many by asking for all of the span (undefined). */
function wantedIn(unknown: readonly SeriesKey[]): readonly (readonly SeriesKey[] | undefined)[] {
  const chunks = Math.ceil(unknown.length / CHUNK);
  if (chunks > MAX_CHUNKS) return [undefined];
  return Array.from({ length: chunks }, (_, i) => unknown.slice(i * CHUNK, (i + 1) * CHUNK));
}

async function readMetas(
  store: UsageStore,
  span: Span,
  {
    keys,
    only,
  }: { readonly keys: readonly SeriesKey[] | undefined; readonly only: SeriesChoice | undefined },
): Promise<Map<SeriesKey, SeriesMeta>> {
  const wanted =
    keys === undefined ? `(SELECT series FROM samples WHERE ${samplesIn(only)})` : idsIn('series');
  const series = (keys ?? []).map((key) => Buffer.from(key, 'latin1').toString('hex'));
  const rows = store.rowBinary(
    `SELECT series, any(meter), any(delta), any(toString(namespace)), max(pod_key), max(labels['uid']),
       ${DETAIL_LABELS.map((name) => `max(labels['${name}'])`).join(', ')}
     FROM series
     WHERE cluster = {cluster:String} AND series IN ${wanted}
     GROUP BY series`,
    { ...samplesParameters(span, only), ...(keys !== undefined && { series }) },
  );
  const metas = new Map<SeriesKey, SeriesMeta>();
  const decoded = decodedRows(rows, (cursor) => {
    const key = Buffer.from(cursor.fixed(16)).toString('latin1');
    const meter = cursor.string();
    return {
      key,
      meter,
      delta: cursor.uint8() === 1,
      namespace: cursor.string(),
      podKey: cursor.string(),
      podUid: cursor.string(),
      labels: new Map(DETAIL_LABELS.map((name) => [name, cursor.string()])),
    };
  });
  for await (const batch of decoded) {
    for (const { key, meter: name, labels, ...rest } of batch) {
      const meter = meterNamed(name);
      invariant(meter !== undefined, `stored meter ${name} is in the catalogue`);
      metas.set(key, { meter, ...rest, detail: detailOf(meter, rest.namespace, labels) });
    }
  }
  return metas;
}

async function readPodEnds(store: UsageStore, span: Span): Promise<Set<string>> {
  const rows = await store.rows<{ pod_uid: string; t: string }>(
    `SELECT DISTINCT pod_uid, t FROM pod_phase WHERE ${IN_SPAN}`,
    spanParameters(span),
  );
  return new Set(rows.map((row) => podEndKey(row.pod_uid, Number(row.t))));
}

async function readHostNetwork(store: UsageStore, cluster: string): Promise<Set<string>> {
  const rows = await store.rows<{ pod_key: string }>(
    'SELECT DISTINCT pod_key FROM host_network WHERE cluster = {cluster:String}',
    { cluster },
  );
  return new Set(rows.map((row) => row.pod_key));
}
