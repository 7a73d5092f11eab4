/**
 * The figure that is to be explained: what the ledger says of an hour, or the parts where it says nothing
 * yet.
 */
import { HOUR_MS } from '../../../core/metering/hour.ts';
import { periodName, periodOf } from '../../../core/metering/period.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import { closedBefore, readCloses, type Close } from '../decisions.ts';
import { quartersFrom, type HourValue } from '../entry.ts';
import { openHours } from '../hour-marks.ts';
import { readParts, sumOfParts, type GivenPart } from '../settled-hours.ts';
import type { FigureState } from './explanation.ts';

export interface Asked {
  readonly meter: string;
  readonly hour: number;
  readonly tenant?: string | undefined;
  readonly cluster?: string | undefined;
  readonly namespace?: string | undefined;
}

type Value = Pick<HourValue, 'quarters' | 'missingMs' | 'samples' | 'flags'>;

export interface Figure {
  readonly cluster: string;
  readonly tenant: string;
  readonly namespace: string;
  readonly state: FigureState;
  readonly revision: number | undefined;
  readonly value: Value;
  readonly atClose: Value | undefined;
  readonly parts: readonly GivenPart[];
}

export interface Figures {
  /** By `figureKey`. */
  readonly figures: ReadonlyMap<string, Figure>;
  /** Units that stored parts are from, by cluster; the hour itself always. */
  readonly units: ReadonlyMap<string, ReadonlySet<number>>;
  /** Clusters whose hour waits to be settled. */
  readonly waiting: ReadonlySet<string>;
  readonly closedAs: string | undefined;
}

export function figureKey(key: { cluster: string; tenant: string; namespace: string }): string {
  return JSON.stringify([key.cluster, key.tenant, key.namespace]);
}

export const NO_VALUE: Value = { quarters: [0n, 0n, 0n, 0n], missingMs: 0n, samples: 0n, flags: 0 };

export async function readFigures(store: UsageStore, asked: Asked): Promise<Figures> {
  const close = await readCloseOf(store, asked.hour);
  const now = await readEntries(store, asked, LAST_SEQ);
  const atClose = close === undefined ? undefined : await readEntries(store, asked, close.upTo);
  const waiting = new Set(
    (await openHours(store)).filter(({ hour }) => hour === asked.hour).map(({ cluster }) => cluster),
  );
  const parts = Map.groupBy(await readAskedParts(store, asked), ({ key }) => key);
  const units = new Map<string, Set<number>>();
  const figures = new Map<string, Figure>();
  for (const key of new Set([...now.keys(), ...parts.keys()])) {
    const [cluster, tenant, namespace] = JSON.parse(key) as [string, string, string];
    const given = (parts.get(key) ?? []).map(({ part }) => part);
    const ofCluster = units.get(cluster) ?? new Set([asked.hour]);
    for (const { unit } of given) ofCluster.add(unit);
    units.set(cluster, ofCluster);
    const entry = now.get(key);
    const isProvisional = entry === undefined || waiting.has(cluster);
    figures.set(key, {
      ...{ cluster, tenant, namespace, parts: given, revision: entry?.revision },
      state: isProvisional ? 'provisional' : close === undefined ? 'settled' : 'closed',
      value: isProvisional ? sumOfParts(given) : entry.value,
      atClose: atClose === undefined ? undefined : (atClose.get(key)?.value ?? NO_VALUE),
    });
  }
  return { figures, units, waiting, closedAs: close === undefined ? undefined : periodName(close.period) };
}

async function readCloseOf(store: UsageStore, hour: number): Promise<Close | undefined> {
  const closes = await readCloses(store);
  if (hour >= closedBefore(closes.at(-1))) return undefined;
  return closes.find(({ period }) => period >= periodOf(hour));
}

interface EntryRow {
  readonly cluster: string;
  readonly tenant: string;
  readonly namespace: string;
  readonly newest: number;
  readonly quarters: readonly [string, string, string, string];
  readonly missing: string;
  readonly n: string;
  readonly all_flags: number;
}

const LAST_SEQ = (1n << 64n) - 1n;

/** Empty: not asked for. */
const AS_ASKED = `({tenant:String} = '' OR tenant = {tenant:String})
  AND ({cluster:String} = '' OR cluster = {cluster:String})
  AND ({namespace:String} = '' OR namespace = {namespace:String})
  AND meter = {meter:String} AND hour = toDateTime({hour:Int64}, 'UTC')`;

function parametersOf(
  asked: Asked,
): Record<'tenant' | 'cluster' | 'namespace' | 'meter', string> & { hour: number } {
  const { meter, hour, tenant = '', cluster = '', namespace = '' } = asked;
  return { meter, hour: hour / 1000, tenant, cluster, namespace };
}

async function readEntries(
  store: UsageStore,
  asked: Asked,
  upTo: bigint,
): Promise<Map<string, { readonly revision: number; readonly value: Value }>> {
  const rows = await store.rows<EntryRow>(
    `SELECT cluster, tenant, namespace, max(revision) AS newest,
       argMax([q0, q1, q2, q3], seq) AS quarters, argMax(missing_ms, seq) AS missing,
       argMax(samples, seq) AS n, argMax(flags, seq) AS all_flags
     FROM ledger
     WHERE kind IN ('usage', 'correction') AND NOT final AND seq <= {upTo:UInt64} AND ${AS_ASKED}
     GROUP BY cluster, tenant, namespace`,
    { ...parametersOf(asked), upTo },
  );
  return new Map(
    rows.map((row) => {
      const value = {
        quarters: quartersFrom(row.quarters),
        missingMs: BigInt(row.missing),
        samples: BigInt(row.n),
        flags: row.all_flags,
      };
      return [figureKey(row), { revision: row.newest, value }];
    }),
  );
}

async function readAskedParts(
  store: UsageStore,
  asked: Asked,
): Promise<{ readonly key: string; readonly part: GivenPart }[]> {
  const clusters = await store.rows<{ name: string }>(
    `SELECT DISTINCT toString(cluster) AS name FROM usage_parts WHERE ${AS_ASKED} ORDER BY name`,
    parametersOf(asked),
  );
  const parts: { key: string; part: GivenPart }[] = [];
  for (const { name: cluster } of clusters) {
    for (const part of await readParts(store, AS_ASKED, { ...parametersOf(asked), cluster })) {
      parts.push({ key: figureKey({ ...part, cluster }), part });
    }
  }
  return parts;
}

export interface CoverageFigure {
  readonly coveredMs: string;
  readonly expectedMs: string;
}

/** By cluster. */
export async function readCoverageFigures(
  store: UsageStore,
  { meter, hour }: Pick<Asked, 'meter' | 'hour'>,
): Promise<Map<string, CoverageFigure>> {
  const rows = await store.rows<{ cluster: string; covered_ms: string; expected_ms: string }>(
    `SELECT cluster, covered_ms, expected_ms FROM coverage FINAL
     WHERE meter = {meter:String} AND hour = toDateTime({hour:Int64}, 'UTC') AND expected_ms > 0`,
    { meter, hour: hour / 1000 },
  );
  return new Map(
    rows.map((row) => [row.cluster, { coveredMs: row.covered_ms, expectedMs: row.expected_ms }]),
  );
}

export function isHour(ms: number): boolean {
  return Number.isSafeInteger(ms) && ms >= 0 && ms % HOUR_MS === 0;
}
