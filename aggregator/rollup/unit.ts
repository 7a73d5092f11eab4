/**
 * One unit (cluster, hour): reads its samples sorted, folds each series from its previous closing, and
 * replaces what the unit gave before. A pure function of what is stored; any process may do it, and doing it
 * twice is harmless.
 *
 * Order of the durable steps: marks for the hours that a changed closing changes, closings, parts, coverage.
 * A crash anywhere leaves the unit marked, and it is done again.
 */
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { growthBound, type GrowthBound } from '../conversion/plausibility.ts';
import { fixedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { nextHours, readClosingsOf, writeClosings } from './closings.ts';
import { readCoverage, type MeterCoverage } from './coverage.ts';
import {
  CounterFold,
  DeltaFold,
  GaugeFold,
  type Closing,
  type SeriesFold,
  type UsageSink,
} from './series-fold.ts';
import {
  podEndKey,
  readUnitInputs,
  type SeriesCache,
  type SeriesMeta,
  type UnitInputs,
} from './unit-inputs.ts';
import { IN_UNIT, unitParameters, type SeriesKey, type Unit } from './unit-key.ts';
import { UsageParts, type UsagePart } from './usage-parts.ts';

/** series 16, t 8, start 8, target 8, value 8 */
const ROW_BYTES = 48;
const NOWHERE: UsageSink = {
  usage: () => undefined,
  missing: () => undefined,
  counted: () => undefined,
};
const NO_EVIDENCE = { meteringFrom: undefined, absentAt: undefined, containerStart: 0 };

export interface UnitUsage {
  readonly parts: readonly UsagePart[];
  readonly closings: ReadonlyMap<SeriesKey, Closing>;
  readonly samples: number;
}

export interface UnitOptions {
  readonly settings: MeteringSettings;
  readonly cache: SeriesCache;
}

/** The unit's samples, deduplicated and sorted by the engine, folded. */
export async function convertUnit(store: UsageStore, unit: Unit, options: UnitOptions): Promise<UnitUsage> {
  const inputs = await readUnitInputs(store, unit, options);
  const fold = new UnitFold(inputs, options.settings);
  const chunks = store.rowBinary(
    `SELECT series, t, start, target, toInt64(version) - 1 FROM samples FINAL
     WHERE ${IN_UNIT} ORDER BY hour, cluster, meter, series, t, start, target`,
    unitParameters(unit),
  );
  for await (const { bytes, view } of fixedRows(chunks, ROW_BYTES)) fold.take(bytes, view);
  return fold.finish();
}

class UnitFold {
  readonly #inputs: UnitInputs;
  readonly #settings: MeteringSettings;
  readonly #parts: UsageParts;
  readonly #closings = new Map<SeriesKey, Closing>();
  readonly #bounds = new Map<string, GrowthBound>();
  #low = 0n;
  #high = 0n;
  #key: SeriesKey = '';
  #meta: SeriesMeta | undefined;
  /** Undefined: no series yet, or one that does not count. */
  #fold: SeriesFold | undefined;
  readonly #pending = { t: 0, value: 0n, start: 0, processStart: 0 };
  #samples = 0;

  constructor(inputs: UnitInputs, settings: MeteringSettings) {
    this.#inputs = inputs;
    this.#settings = settings;
    this.#parts = new UsageParts(inputs.ownership);
  }

  take(bytes: Uint8Array, view: DataView): void {
    for (let at = 0; at < view.byteLength; at += ROW_BYTES) {
      const low = view.getBigUint64(at, true);
      const high = view.getBigUint64(at + 8, true);
      if (low !== this.#low || high !== this.#high || this.#key === '') {
        this.#finishSeries();
        this.#low = low;
        this.#high = high;
        this.#begin(Buffer.from(bytes.buffer, bytes.byteOffset + at, 16).toString('latin1'));
      }
      this.#samples++;
      if (this.#fold !== undefined) this.#row(view, at);
    }
  }

  finish(): UnitUsage {
    this.#finishSeries();
    return { parts: this.#parts.parts(), closings: this.#closings, samples: this.#samples };
  }

  #begin(key: SeriesKey): void {
    this.#key = key;
    this.#pending.t = 0;
    const meta = this.#inputs.series.get(key);
    this.#meta = meta;
    // A series that came while the unit was being read has marked it again; its turn comes then.
    if (meta === undefined) {
      this.#fold = undefined;
      return;
    }
    this.#parts.series(meta.namespace, meta.meter.name);
    this.#fold = this.#foldOf(meta, this.#inputs.closings.get(key), key);
  }

  #foldOf(meta: SeriesMeta, before: Closing | undefined, key: SeriesKey): SeriesFold {
    const { meter } = meta;
    // Closings are the same whether a pod was known to be on the host's network then, or not yet.
    const sink = this.#inputs.hostNetwork.has(meta.podKey) ? NOWHERE : this.#parts;
    if (meter.kind === 'gauge') {
      const { unitsPerValueMs } = meter;
      return new GaugeFold(before, { maxHoldMs: this.#settings.maxHoldMs, unitsPerValueMs, sink });
    }
    let bound = this.#bounds.get(meter.name);
    if (bound === undefined) {
      bound = growthBound(meter, this.#settings);
      this.#bounds.set(meter.name, bound);
    }
    if (meta.delta) return new DeltaFold(before, { bound, sink });
    return new CounterFold(before, this.#inputs.births.get(key) ?? NO_EVIDENCE, { bound, sink });
  }

  /** Rows of one (series, t) follow each other: the larger value wins, then the later start (METERING 5). */
  #row(view: DataView, at: number): void {
    const pending = this.#pending;
    const t = view.getUint32(at + 16, true) + view.getInt32(at + 20, true) * 4294967296;
    const start = view.getUint32(at + 24, true) + view.getInt32(at + 28, true) * 4294967296;
    const value = view.getBigInt64(at + 40, true);
    const processStart = this.#processStart(view, at, t);
    if (t === pending.t) {
      pending.processStart = Math.max(pending.processStart, processStart);
      if (value < pending.value) return;
      pending.start = value > pending.value ? start : Math.max(start, pending.start);
      pending.value = value;
      return;
    }
    this.#flush();
    pending.t = t;
    pending.value = value;
    pending.start = start;
    pending.processStart = processStart;
  }

  #processStart(view: DataView, at: number, t: number): number {
    if (view.getUint32(at + 32, true) === 0 && view.getUint32(at + 36, true) === 0) return 0;
    return this.#inputs.processStarts.at(view.getBigUint64(at + 32, true), t);
  }

  #flush(): void {
    const pending = this.#pending;
    const meta = this.#meta;
    if (pending.t === 0 || meta === undefined) return;
    if (meta.meter.endsWithPod && this.#inputs.podEnds.has(podEndKey(meta.podUid, pending.t)))
      pending.value = -1n;
    this.#fold?.take(pending);
  }

  #finishSeries(): void {
    if (this.#fold === undefined) return;
    this.#flush();
    const closing = this.#fold.closing();
    if (closing !== undefined) this.#closings.set(this.#key, closing);
    this.#fold = undefined;
  }
}

export interface RolledUnit {
  readonly samples: number;
  readonly rows: number;
  /** Hours that go on from closings that changed. */
  readonly changedHours: ReadonlySet<number>;
}

export interface RollUnitOptions extends UnitOptions {
  /** The newest hour of its cluster: nothing follows it yet, so its closings can wait. */
  readonly isOpen: boolean;
  /** The newest hour of the cluster: it has no closings while it is open, but starts from these. */
  readonly openHour: number;
  /** Told of the hours to do again: before the closings that change them are written, and after. */
  readonly mark: (hours: ReadonlySet<number>) => Promise<void>;
}

/** Roll up one unit and store what it gives. */
export async function rollUnit(store: UsageStore, unit: Unit, options: RollUnitOptions): Promise<RolledUnit> {
  const previous = await readPrevious(store, unit);
  const { version } = previous;
  const usage = await convertUnit(store, unit, options);
  const coverage = await readCoverage(store, unit, {
    latenessMs: options.settings.latenessMs,
    isOpen: options.isOpen,
  });
  let changedHours: ReadonlySet<number> = new Set<number>();
  if (!options.isOpen) {
    const changed = changedClosings(await readClosingsOf(store, unit), usage.closings);
    const next = await nextHours(store, unit, changed);
    changedHours = changed.length > 0 && options.openHour > unit.hour ? next.add(options.openHour) : next;
    await options.mark(changedHours);
    await writeClosings(store, unit, { closings: usage.closings, version });
    await options.mark(changedHours);
  }
  await writeParts(store, unit, { parts: usage.parts, previous });
  await writeCoverage(store, unit, { coverage, version });
  // Another process has read later and written sooner: which rows it could not see to zero is open.
  if ((await readPrevious(store, unit)).newest > version) await options.mark(new Set([unit.hour]));
  return { samples: usage.samples, rows: usage.parts.length, changedHours };
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

interface PartKey {
  readonly hour: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: string;
}

interface Previous {
  /** Newest version that is there. */
  readonly newest: bigint;
  /** Version of what is about to be computed. */
  readonly version: bigint;
  /** What the unit gave something to before. */
  readonly keys: readonly PartKey[];
}

/**
 * What is there before the inputs are read. The version is the store's time at this moment and above whatever
 * the unit was written with: of two results, that of the later reading stays, whichever is written last.
 */
async function readPrevious(store: UsageStore, unit: Unit): Promise<Previous> {
  const [row] = await store.rows<{ now: string; newest: string; keys: [string, string, string, string][] }>(
    `SELECT toUnixTimestamp64Micro(now64(6)) AS now, max(version) AS newest,
       groupUniqArray([toString(toUnixTimestamp(hour)), tenant, namespace, meter]) AS keys
     FROM usage_parts WHERE cluster = {cluster:String} AND unit = toDateTime({hour:Int64}, 'UTC')`,
    unitParameters(unit),
  );
  const [now, above] = [BigInt(row?.now ?? 0), BigInt(row?.newest ?? 0) + 1n];
  const keys = (row?.keys ?? []).map(([seconds, tenant, namespace, meter]) => ({
    hour: Number(seconds) * 1000,
    tenant,
    namespace,
    meter,
  }));
  return { newest: above - 1n, version: now > above ? now : above, keys };
}

/** New rows of the unit, and zeros where it gave something before and gives nothing now. */
async function writeParts(
  store: UsageStore,
  unit: Unit,
  written: { readonly parts: readonly UsagePart[]; readonly previous: Previous },
): Promise<void> {
  const { parts, previous } = written;
  const keyOf = ({ hour, tenant, namespace, meter }: PartKey): string =>
    JSON.stringify([hour, tenant, namespace, meter]);
  const current = new Set(parts.map(keyOf));
  const base = { cluster: unit.cluster, unit: unit.hour / 1000, version: previous.version };
  const vanished = previous.keys.filter((key) => !current.has(keyOf(key)));
  await store.insert('usage_parts', [
    ...parts.map((part) => ({
      ...base,
      hour: part.hour / 1000,
      tenant: part.tenant,
      namespace: part.namespace,
      meter: part.meter,
      q0: part.quarters[0],
      q1: part.quarters[1],
      q2: part.quarters[2],
      q3: part.quarters[3],
      missing_ms: part.missingMs,
      samples: part.samples,
      flags: part.flags,
    })),
    ...vanished.map((key) => ({ ...base, ...key, hour: key.hour / 1000, ...NOTHING })),
  ]);
}

const NOTHING = { q0: 0, q1: 0, q2: 0, q3: 0, missing_ms: 0, samples: 0, flags: 0 };

async function writeCoverage(
  store: UsageStore,
  unit: Unit,
  written: { readonly coverage: readonly MeterCoverage[]; readonly version: bigint },
): Promise<void> {
  await store.insert(
    'coverage',
    written.coverage.map(({ meter, coveredMs, expectedMs }) => ({
      cluster: unit.cluster,
      hour: unit.hour / 1000,
      meter,
      covered_ms: coveredMs,
      expected_ms: expectedMs,
      version: written.version,
    })),
  );
}
