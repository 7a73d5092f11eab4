/**
 * Figures, coverage and standing to the rows of an answer, METERING 10: no scrape is not zero usage. Where
 * targets were scraped and nothing was used, the value is "0"; where nothing was scraped there is no value
 * (null) and the coverage says so. Two tenants seen in a range of 31 days are 62 rows, also when one of
 * them slept for a month.
 */
import type { Window } from '../../core/metering/windows.ts';
import type { PeriodState } from '../ledger/periods.ts';
import { isWholeHour, rateOf, type Rate } from './usage/rates.ts';
import { stateOf, type Standing } from './usage/standing.ts';
import { compareKeys, keyOf, type Dimension, type Filters, type Group } from './usage/dimensions.ts';
import type { CoverageSum, UsageSum, UsedHours } from './usage-reader.ts';

export interface Coverage {
  readonly coveredMs: number;
  readonly expectedMs: number;
}

export interface ReportRow {
  readonly window: Window;
  readonly group: Group;
  /** In the base unit; undefined where nothing was scraped. */
  readonly value: bigint | undefined;
  /**
   * Its periods are closed, or the watermark of every cluster in question is past the window by the time a
   * row takes to settle.
   */
  readonly complete: boolean;
  readonly coverage: Coverage;
  /** Of the periods that the window touches. */
  readonly state: PeriodState | 'mixed';
  /** The highest in the ledger behind the value; 0 where all of it is provisional, or nothing was used. */
  readonly revision: number;
}

/** What is told of a window: the sum, or something of the hourly rate. */
export type Figures =
  | { readonly aggregation: 'sum'; readonly sums: readonly UsageSum[] }
  | {
      readonly aggregation: Rate;
      readonly used: readonly UsedHours[];
      /** By hour: `windowStartMs` is the start of one. */
      readonly hourly: readonly CoverageSum[];
    };

export interface ReportInput {
  readonly windows: readonly Window[];
  readonly groupBy: readonly Dimension[];
  readonly filters: Filters;
  readonly figures: Figures;
  readonly coverage: readonly CoverageSum[];
  readonly standing: Pick<Standing, 'watermarks' | 'closedBefore' | 'states'>;
  /** Groups that have a row in any case. */
  readonly groups?: readonly Group[];
  /** Their order is that of the rows. */
  readonly isRanked?: boolean;
}

/** A ledger row is written once the watermark has passed the end of its hour by this (METERING 12). */
export const SETTLE_MS = 300_000;

const NOTHING: Coverage = { coveredMs: 0, expectedMs: 0 };

/** Whether the report will have more rows: known before it is made. */
export function hasMoreRows(input: ReportInput, limit: number): boolean {
  const { windows, groupBy, groups = [] } = input;
  const met = groupsMet(input.figures);
  // To tell groups apart takes longer than most answers, and few can have as many rows.
  const most = groupBy.length === 0 ? 1 : groups.length + met.length;
  return windows.length * most > limit && windows.length * groupsOf(input).size > limit;
}

/** By window, then by group. */
export function usageReport(input: ReportInput): ReportRow[] {
  const { windows, coverage } = input;
  const groups = groupsOf(input);
  const figureOf = figuresOf(input);
  const covered = coverageByCluster(coverage);
  return windows.flatMap((window) => {
    const state = stateOf(input.standing, window);
    return [...groups].map(([key, group]) => {
      const inWindow = coverageOf(covered.get(window.startMs), group.cluster);
      return {
        window,
        group,
        ...figureOf(window, key, inWindow.coveredMs > 0),
        complete: isComplete(window, group, input),
        coverage: inWindow,
        state,
      };
    });
  });
}

interface Figure {
  readonly value: bigint | undefined;
  readonly revision: number;
}

type FigureOf = (window: Window, key: string, isCovered: boolean) => Figure;

function figuresOf(input: ReportInput): FigureOf {
  const { figures, groupBy } = input;
  if (figures.aggregation !== 'sum') return ratesOf(input, figures);
  const sums = new Map(
    figures.sums.map((sum) => [rowKey(sum.windowStartMs, keyOf(groupBy, sum.group)), sum] as const),
  );
  return (window, key, isCovered) => {
    const { value = isCovered ? 0n : undefined, revision = 0 } = sums.get(rowKey(window.startMs, key)) ?? {};
    return { value, revision };
  };
}

function ratesOf(
  { windows, groupBy }: ReportInput,
  { aggregation, used, hourly }: Exclude<Figures, { aggregation: 'sum' }>,
): FigureOf {
  const scraped = scrapedHours(windows, hourly);
  const byRow = new Map(used.map((one) => [rowKey(one.windowStartMs, keyOf(groupBy, one.group)), one]));
  const clusterAt = groupBy.indexOf('cluster');
  return (window, key) => {
    const found = byRow.get(rowKey(window.startMs, key));
    const hours = (found?.hours ?? []).filter(({ startMs }) => isWholeHour(startMs, window));
    const cluster = clusterAt < 0 ? undefined : key.split('\0')[clusterAt];
    const counting = scraped.get(window.startMs)?.get(cluster ?? ANY) ?? new Set<number>();
    const busy = new Set(hours.map(({ startMs }) => startMs));
    const idle = [...counting].filter((startMs) => !busy.has(startMs)).length;
    const values = hours.map(({ value }) => value);
    return { value: rateOf(aggregation, values, idle), revision: found?.revision ?? 0 };
  };
}

/** Under this name the hours in which any cluster was scraped: no cluster is called so. */
const ANY = '';

type HoursByCluster = ReadonlyMap<string, ReadonlySet<number>>;

/** By window, the whole hours of it in which a cluster was scraped. */
function scrapedHours(
  windows: readonly Window[],
  hourly: readonly CoverageSum[],
): ReadonlyMap<number, HoursByCluster> {
  const byWindow = new Map<number, Map<string, Set<number>>>();
  let at = 0;
  for (const { windowStartMs: startMs, cluster, coveredMs } of hourly) {
    while ((windows[at]?.endMs ?? Infinity) <= startMs) at++;
    const window = windows[at];
    if (window === undefined || coveredMs === 0 || !isWholeHour(startMs, window)) continue;
    const clusters = byWindow.get(window.startMs) ?? new Map<string, Set<number>>();
    byWindow.set(window.startMs, clusters);
    for (const name of [cluster, ANY]) clusters.set(name, (clusters.get(name) ?? new Set()).add(startMs));
  }
  return byWindow;
}

/** Those given and those met, in order; without groups the one that holds everything. */
function groupsOf({
  groupBy,
  figures,
  groups = [],
  isRanked = false,
}: ReportInput): ReadonlyMap<string, Group> {
  if (groupBy.length === 0) return new Map([[keyOf(groupBy, {}), {}]]);
  const all = [...groups, ...groupsMet(figures).map(({ group }) => group)];
  const byKey = new Map(all.map((group) => [keyOf(groupBy, group), group]));
  return isRanked ? byKey : new Map([...byKey].sort(([a], [b]) => compareKeys(a, b)));
}

function groupsMet(figures: Figures): readonly { readonly group: Group }[] {
  return figures.aggregation === 'sum' ? figures.sums : figures.used;
}

function rowKey(windowStartMs: number, key: string): string {
  return `${windowStartMs}\0${key}`;
}

type ByCluster = ReadonlyMap<string, Coverage>;

function coverageByCluster(coverage: readonly CoverageSum[]): ReadonlyMap<number, ByCluster> {
  const byWindow = new Map<number, Map<string, Coverage>>();
  for (const { windowStartMs, cluster, coveredMs, expectedMs } of coverage) {
    const clusters = byWindow.get(windowStartMs) ?? new Map<string, Coverage>();
    byWindow.set(windowStartMs, clusters.set(cluster, { coveredMs, expectedMs }));
  }
  return byWindow;
}

function coverageOf(clusters: ByCluster | undefined, cluster: string | undefined): Coverage {
  if (clusters === undefined) return NOTHING;
  if (cluster !== undefined) return clusters.get(cluster) ?? NOTHING;
  return [...clusters.values()].reduce(
    (sum, one) => ({
      coveredMs: sum.coveredMs + one.coveredMs,
      expectedMs: sum.expectedMs + one.expectedMs,
    }),
    NOTHING,
  );
}

/**
 * A cluster that was asked for and never seen leaves the figure open; so does having no cluster. In a closed
 * period nothing changes, however far its clusters were seen: it may have been closed without one of them.
 */
function isComplete(window: Window, group: Group, input: ReportInput): boolean {
  if (window.endMs <= input.standing.closedBefore) return true;
  const clusters = group.cluster === undefined ? clustersIn(input) : [group.cluster];
  return clusters.length > 0 && clusters.every((cluster) => isSettled(window, cluster, input));
}

function clustersIn({ filters, standing }: ReportInput): readonly string[] {
  return filters.cluster ?? [...standing.watermarks.keys()];
}

function isSettled(window: Window, cluster: string, { standing }: ReportInput): boolean {
  return (standing.watermarks.get(cluster) ?? 0) >= window.endMs + SETTLE_MS;
}

/** By cluster, how many of the windows are settled: all that rows say of watermarks follows from it. */
export function settledWindows(input: ReportInput): readonly (readonly [string, number])[] {
  const { windows, standing } = input;
  const clusters = new Set([...clustersIn(input), ...standing.watermarks.keys()]);
  return [...clusters].map((cluster) => {
    const open = windows.findIndex((window) => !isSettled(window, cluster, input));
    return [cluster, open < 0 ? windows.length : open];
  });
}
