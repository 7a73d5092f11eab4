/**
 * Sums, coverage and watermarks to the rows of an answer, METERING 10: no scrape is not zero usage. Where
 * targets were scraped and nothing was used, the value is "0"; where nothing was scraped there is no value
 * (null) and the coverage says so. Two tenants seen in a range of 31 days are 62 rows, also when one of
 * them slept for a month.
 */
import type { Window } from '../../core/metering/windows.ts';
import type { CoverageSum, Dimension, Filters, Group, UsageSum } from './usage-reader.ts';

export interface Coverage {
  readonly coveredMs: number;
  readonly expectedMs: number;
}

export interface ReportRow {
  readonly window: Window;
  readonly group: Group;
  /** In the base unit; undefined where nothing was scraped. */
  readonly value: bigint | undefined;
  /** The watermark of every cluster in question is past the window by the time a row takes to settle. */
  readonly complete: boolean;
  readonly coverage: Coverage;
}

export interface ReportInput {
  readonly windows: readonly Window[];
  readonly groupBy: readonly Dimension[];
  readonly filters: Filters;
  readonly sums: readonly UsageSum[];
  readonly coverage: readonly CoverageSum[];
  readonly watermarks: ReadonlyMap<string, number>;
}

/** A ledger row is written once the watermark has passed the end of its hour by this (METERING 12). */
export const SETTLE_MS = 300_000;

const NOTHING: Coverage = { coveredMs: 0, expectedMs: 0 };

/** How many rows the report will have: known before it is made. */
export function rowCount({ windows, groupBy, sums }: ReportInput): number {
  return windows.length * groupsOf(groupBy, sums).size;
}

/** By window, then by group. */
export function usageReport(input: ReportInput): ReportRow[] {
  const { windows, groupBy, sums, coverage } = input;
  const groups = groupsOf(groupBy, sums);
  const values = new Map(
    sums.map((sum) => [rowKey(sum.windowStartMs, keyOf(groupBy, sum.group)), sum.value]),
  );
  const covered = coverageByCluster(coverage);
  return windows.flatMap((window) =>
    [...groups].map(([key, group]) => {
      const inWindow = coverageOf(covered.get(window.startMs), group.cluster);
      const nothingUsed = inWindow.coveredMs > 0 ? 0n : undefined;
      return {
        window,
        group,
        value: values.get(rowKey(window.startMs, key)) ?? nothingUsed,
        complete: isComplete(window, group, input),
        coverage: inWindow,
      };
    }),
  );
}

/** The groups met anywhere in the range, in order; without groups the one that holds everything. */
function groupsOf(groupBy: readonly Dimension[], sums: readonly UsageSum[]): ReadonlyMap<string, Group> {
  if (groupBy.length === 0) return new Map([[keyOf(groupBy, {}), {}]]);
  const groups = new Map(sums.map(({ group }) => [keyOf(groupBy, group), group]));
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Unambiguous, and in the order of the values: no name holds a NUL. */
function keyOf(groupBy: readonly Dimension[], group: Group): string {
  return groupBy.map((dimension) => group[dimension] ?? '').join('\0');
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

/** A cluster that was asked for and never seen leaves the figure open; so does having no cluster. */
function isComplete(window: Window, group: Group, { filters, watermarks }: ReportInput): boolean {
  const clusters =
    group.cluster === undefined ? (filters.cluster ?? [...watermarks.keys()]) : [group.cluster];
  const settledMs = window.endMs + SETTLE_MS;
  return clusters.length > 0 && clusters.every((cluster) => (watermarks.get(cluster) ?? 0) >= settledMs);
}
