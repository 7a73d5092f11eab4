/**
 * Questions for sums of usage to statements: of one meter or of several, of all hours or of those alone that
 * are settled or that are not. What is settled stays as it is from one hour to the next, what is open changes
 * with every roll-up, and the sum of both is the whole. PURE.
 */
import { DAY_MS, HOUR_MS, startOfHour } from '../../../core/metering/hour.ts';
import type { Window } from '../../../core/metering/windows.ts';
import type { Parameters } from '../../store/usage-store.ts';
import type { TenantConditions } from '../identity/tenant-conditions.ts';
import { detailStatement } from './detail-statement.ts';
import { compareKeys, isDetail, KEY_DIMENSIONS, keyOf, type Dimension, type Group } from './dimensions.ts';
import { planSources, type Sources } from './sources.ts';
import type { ClusterHour, SumsStanding } from './standing.ts';
import { sumsStatement, type Part, type Statement } from './statements.ts';

/** Meters are told apart like anything else. */
export type SumsKey = Dimension | 'meter';

type Named = Readonly<Partial<Record<SumsKey, readonly string[]>>>;

export interface SumsRequest<Key extends SumsKey> {
  /** In order, without gap or overlap, not empty. */
  readonly windows: readonly Window[];
  readonly groupBy: readonly Key[];
  /** Meters among them. */
  readonly filters: Named;
  readonly part: Part;
  /** Says which hours are read from where. */
  readonly standing: SumsStanding;
  /** Of the groups only these. */
  readonly chosen?: readonly Group[] | undefined;
  /** Of a filter by details: the groups that have nothing of it in the range too, for their revision. */
  readonly withIdle?: boolean | undefined;
  /** At most this many rows come back: in all, or for each of the values of `limitBy`. */
  readonly limit: number;
  readonly limitBy?: readonly Key[];
}

export interface SumsRow<Key extends SumsKey> {
  readonly windowStartMs: number;
  readonly group: Readonly<Partial<Record<Key, string>>>;
  readonly value: bigint;
  /** The highest in the ledger behind it; 0 where nothing of it is settled. */
  readonly revision: number;
}

/** No hour of the range is of that part. */
export function isNothing(request: SumsRequest<SumsKey>): boolean {
  return request.part === 'open' && openWithin(request).length === 0;
}

/** `days`: daily totals of days with open hours too; `settled days`: of others alone; `hours`: none. */
export type Grain = 'days' | 'settled days' | 'hours';

export interface Reading {
  /** Of the scope. */
  readonly mine: Pick<TenantConditions, 'rows' | 'destinations'>;
  readonly grain: Grain;
}

export function sumsOf(request: SumsRequest<SumsKey>, { mine, grain }: Reading): Statement {
  const { groupBy, filters, chosen, part, withIdle = false } = request;
  const keys = columnsOf(groupBy.filter((name) => name === 'meter' || !isDetail(name)));
  const details = columnsOf(groupBy.filter((name) => name !== 'meter' && isDetail(name)));
  const conditions = [...filtersOf(filters, ['meter', ...KEY_DIMENSIONS]), ...mine.rows];
  const detailConditions = filtersOf(filters, ['workload', 'storageClass']);
  const destinationConditions = filtersOf(filters, ['destination']);
  if (chosen !== undefined && details.length === 0) conditions.push(chosenCondition(groupBy));
  const sources = part === 'open' ? NO_SOURCES : sourcesOf(request, grain);
  const plain = sumsStatement({ groupBy: keys, conditions, sources, open: openWithin(request), part });
  const named = { groupBy: keys, details, conditions, detailConditions, destinationConditions };
  const detailed = { ...named, destinations: mine.destinations, withIdle, plain };
  const isPlain = [...details, ...detailConditions, ...destinationConditions].length === 0;
  const { sql: all, parameters } = isPlain ? plain : detailStatement(detailed);
  const isChosenAfter = chosen !== undefined && details.length > 0;
  const sql = isChosenAfter ? `SELECT * FROM (${all}) WHERE ${chosenCondition(groupBy)}` : all;
  const choice = Object.fromEntries(
    groupBy.map((name) => [chosenName(name), (chosen ?? []).map((group) => valueIn(group, name))]),
  );
  return {
    sql,
    parameters: { ...parametersOf(request), ...parameters, ...(chosen === undefined ? {} : choice) },
  };
}

const NO_SOURCES: Sources = { days: [], hours: [] };

function sourcesOf({ windows, standing }: SumsRequest<SumsKey>, grain: Grain): Sources {
  if (grain === 'hours') return { days: [], hours: [hoursAround(windows)] };
  const apart = grain === 'days' ? standing.unsure : [...standing.unsure, ...standing.open];
  return planSources(
    windows,
    apart.map(({ hour }) => hour),
  );
}

function openWithin({ windows, standing }: SumsRequest<SumsKey>): readonly ClusterHour[] {
  return hoursWithin(standing.open, windows);
}

export function hoursWithin(
  hours: readonly ClusterHour[],
  windows: readonly Window[],
): readonly ClusterHour[] {
  const { fromMs, toMs } = rangeOf(windows);
  return hours.filter(({ hour }) => hour < toMs && hour + HOUR_MS > fromMs);
}

/** Of what is settled and what is open of the same question, each in the order of windows, then groups. */
export function mergedSums<Key extends SumsKey>(
  groupBy: readonly Key[],
  settled: readonly SumsRow<Key>[],
  open: readonly SumsRow<Key>[],
): readonly SumsRow<Key>[] {
  const keyIn = ({ windowStartMs, group }: SumsRow<Key>): string =>
    `${windowStartMs}\0${keyOf(groupBy, group)}`;
  const merged = new Map(settled.map((row) => [keyIn(row), row]));
  let isInOrder = true;
  for (const row of open) {
    const key = keyIn(row);
    const before = merged.get(key);
    if (before === undefined) isInOrder = false;
    merged.set(key, before === undefined ? row : { ...before, value: before.value + row.value });
  }
  const rows = [...merged.values()];
  return isInOrder ? rows : inOrder(groupBy, rows);
}

function inOrder<Key extends SumsKey>(
  groupBy: readonly Key[],
  rows: readonly SumsRow<Key>[],
): readonly SumsRow<Key>[] {
  return rows
    .map((row) => ({ row, key: keyOf(groupBy, row.group) }))
    .sort((a, b) => a.row.windowStartMs - b.row.windowStartMs || compareKeys(a.key, b.key))
    .map(({ row }) => row);
}

export function readsTotalsOfOpenDays(request: SumsRequest<SumsKey>): boolean {
  if (request.part === 'open') return false;
  const days = new Set(sourcesOf(request, 'days').days);
  return openWithin(request).some(({ hour }) => days.has(Math.floor(hour / DAY_MS) * DAY_MS));
}

export function asOneWindow<Key extends SumsKey>(request: SumsRequest<Key>): SumsRequest<Key> {
  const { fromMs, toMs } = rangeOf(request.windows);
  return { ...request, windows: [{ startMs: fromMs, endMs: toMs }] };
}

/** Whole hours that the windows touch. */
export function hoursAround(windows: readonly Window[]): Window {
  const { fromMs, toMs } = rangeOf(windows);
  return { startMs: startOfHour(fromMs), endMs: startOfHour(toMs - 1) + HOUR_MS };
}

export type GroupRow = Readonly<Record<Exclude<SumsKey, 'storageClass'> | 'storage_class', string>>;

export function groupOf<Key extends SumsKey>(
  groupBy: readonly Key[],
  row: GroupRow,
): Readonly<Partial<Record<Key, string>>> {
  return Object.fromEntries(groupBy.map((name) => [name, row[columnOf(name)]])) as Record<Key, string>;
}

function valueIn(group: Readonly<Partial<Record<SumsKey, string>>>, name: SumsKey): string {
  return group[name] ?? '';
}

function chosenName(name: SumsKey): string {
  return `chosen_${name}`;
}

function chosenCondition(groupBy: readonly SumsKey[]): string {
  const lists = groupBy.map((name) => `{${chosenName(name)}:Array(String)}`).join(', ');
  return `tuple(${columnsOf(groupBy).join(', ')}) IN (SELECT arrayJoin(arrayZip(${lists})))`;
}

/** Names come from a closed union and values are bound, so no text of a request reaches the statement. */
export function filtersOf(filters: Named, names: readonly SumsKey[]): string[] {
  return names
    .filter((name) => filters[name] !== undefined)
    .map((name) => `${columnOf(name)} IN {${name}:Array(String)}`);
}

function columnOf(name: SumsKey): keyof GroupRow {
  return name === 'storageClass' ? 'storage_class' : name;
}

export function columnsOf(names: readonly SumsKey[]): string[] {
  return names.map(columnOf);
}

export function parametersOf({
  windows,
  filters,
}: Pick<SumsRequest<SumsKey>, 'windows' | 'filters'>): Parameters {
  const starts = windows.map(({ startMs }) => startMs);
  return { ...rangeOf(windows), starts, ...filters };
}

function rangeOf(windows: readonly Window[]): { readonly fromMs: number; readonly toMs: number } {
  return { fromMs: windows[0]?.startMs ?? 0, toMs: windows.at(-1)?.endMs ?? 0 };
}
