/**
 * A reader of one question by the minute. Figures are folded from samples by the roll-up's own conversion;
 * whatever is known by the hour (groups, revisions, which clusters may be told of) is asked of the reader of
 * stored usage. So the minutes of an hour sum to what that one says of the hour, as soon as the roll-up and
 * the settler have seen the same samples.
 *
 * What is folded is what is asked: of a page only the hours that it lies in.
 */
import { HOUR_MS, QUARTER_MS, startOfHour } from '../../../core/metering/hour.ts';
import type { Window } from '../../../core/metering/windows.ts';
import { invariant, MeteringError } from '../../../core/runtime/errors.ts';
import { convertSpan } from '../../rollup/convert.ts';
import { readCoverageWithin } from '../../rollup/coverage.ts';
import { SeriesCache } from '../../rollup/span-inputs.ts';
import { ofOneSetting, SpanPlanner } from '../../rollup/span-planner.ts';
import { hoursOf } from '../../rollup/span.ts';
import type { TenantScope } from '../identity/access.ts';
import { readTold } from '../identity/told-destinations.ts';
import type { Demand } from '../limits/on-demand.ts';
import type { Standing } from '../usage/standing.ts';
import type { CoverageRequest, CoverageSum, UsageReader, UsageRequest, UsageSum } from '../usage-reader.ts';
import { compareKeys, keyOf } from '../usage/dimensions.ts';
import { readKept, withinPlan, type MinutePlan } from './plan.ts';
import { WindowSums, type GroupSums } from './window-sums.ts';

export interface MinuteReaderDeps extends Demand {
  /** Of stored usage. */
  readonly reader: UsageReader;
  readonly standing: Standing;
  readonly plan: MinutePlan;
}

export class MinuteReader implements UsageReader {
  readonly #deps: MinuteReaderDeps;

  constructor(deps: MinuteReaderDeps) {
    this.#deps = deps;
  }

  async standing(): Promise<Standing> {
    return this.#deps.standing;
  }

  async usage(scope: TenantScope, request: UsageRequest): Promise<readonly UsageSum[]> {
    const { groupBy, windows } = request;
    const hourly = await this.#deps.reader.usage(scope, { ...request, windows: hoursAround(windows) });
    const revisions = new Map(
      hourly.map(({ windowStartMs, group, revision }) => [
        `${windowStartMs}\0${keyOf(groupBy, group)}`,
        revision,
      ]),
    );
    const groups = this.#inOrder(request, await this.#fold(scope, request));
    return windows.flatMap(({ startMs }) =>
      groups.flatMap(({ key, group, sums }) => {
        const value = sums.get(startMs)?.quantity;
        const revision = revisions.get(`${startOfHour(startMs)}\0${key}`) ?? 0;
        return value === undefined ? [] : [{ windowStartMs: startMs, group, value, revision }];
      }),
    );
  }

  async usedHours(): Promise<never> {
    invariant(false, 'of minutes there is no hourly rate');
  }

  async groups(
    scope: TenantScope,
    request: UsageRequest & { readonly largest?: boolean },
  ): Promise<readonly GroupSums['group'][]> {
    const { largest = false, limit } = request;
    const range = rangeOf(request);
    if (!largest) return (await this.#groupsWithin(scope, request, range)).slice(0, limit);
    const asked = { ...request, windows: [range] };
    const ranked = this.#inOrder(request, await this.#fold(scope, asked))
      .map(({ group, sums }) => ({ group, total: sums.get(range.startMs)?.quantity ?? 0n }))
      .sort((a, b) => (a.total === b.total ? 0 : a.total > b.total ? -1 : 1));
    return ranked.slice(0, limit).map(({ group }) => group);
  }

  /**
   * What is stored tells of quarters of an hour. Where the range cuts one, and of groups without anything in
   * the others, only samples tell whether something lies in it.
   */
  async #groupsWithin(
    scope: TenantScope,
    request: UsageRequest,
    range: Window,
  ): Promise<readonly GroupSums['group'][]> {
    const { groupBy, limit } = request;
    const pieces = piecesOf(range);
    const windows = pieces.map(({ quarters }) => quarters);
    const stored = await this.#deps.reader.usage(scope, {
      ...request,
      windows,
      limit: limit * windows.length,
    });
    const found = new Map<string, GroupSums['group']>();
    const used = pieces.map((piece) => ({
      ...piece,
      groups: stored
        .filter(({ windowStartMs, value }) => windowStartMs === piece.quarters.startMs && value !== 0n)
        .map(({ group }) => group),
    }));
    const put = (group: GroupSums['group']) => found.set(keyOf(groupBy, group), group);
    for (const { cut, groups } of used) if (cut === undefined) groups.forEach(put);
    for (const { cut, groups } of used) {
      const chosen = groups.filter((group) => !found.has(keyOf(groupBy, group)));
      if (cut === undefined || chosen.length === 0) continue;
      for (const { group } of await this.#fold(scope, { ...request, windows: [cut], chosen })) put(group);
    }
    return [...found].sort(([a], [b]) => compareKeys(a, b)).map(([, group]) => group);
  }

  /** Exact by the minute: hours as they are stored, cut. */
  async coverage(scope: TenantScope, request: CoverageRequest): Promise<readonly CoverageSum[]> {
    const { store, settings } = this.#deps;
    const { meter, windows } = request;
    const hourly = await this.#deps.reader.coverage(scope, { ...request, windows: hoursAround(windows) });
    const covered: CoverageSum[] = [];
    for (const [cluster, hours] of Map.groupBy(hourly, (row) => row.cluster)) {
      const expected = new Map(hours.map(({ windowStartMs, expectedMs }) => [windowStartMs, expectedMs]));
      const span = { cluster, first: Math.min(...expected.keys()), last: Math.max(...expected.keys()) };
      const cut = await readCoverageWithin(store, span, {
        ...{ meter, expected, latenessMs: settings.always.latenessMs },
        windows: windows.map(({ startMs, endMs }) => ({ from: startMs, to: endMs })),
      });
      for (const { from: windowStartMs, coveredMs, expectedMs } of cut)
        covered.push({ windowStartMs, cluster, coveredMs, expectedMs });
    }
    return covered;
  }

  #inOrder(
    { groupBy }: UsageRequest,
    groups: Iterable<GroupSums>,
  ): readonly (GroupSums & { readonly key: string })[] {
    return [...groups]
      .map((found) => ({ ...found, key: keyOf(groupBy, found.group) }))
      .sort((a, b) => compareKeys(a.key, b.key));
  }

  async #fold(scope: TenantScope, request: UsageRequest): Promise<Iterable<GroupSums>> {
    const { store, settings } = this.#deps;
    const { windows, groupBy, filters, chosen } = request;
    const { clusters, kept } = withinPlan(this.#deps.plan, windows);
    const sums = new WindowSums({ scope, windows, groupBy, filters, chosen });
    for (const { cluster, units, only, counts } of clusters) {
      const planner = new SpanPlanner(store, cluster, { counts });
      const settingsAt = (hour: number) => settings.at(hour);
      const hours = units.map(({ unit }) => unit);
      while (hours.length > 0) {
        const span = await planner.next(kept.hours.together(cluster, ofOneSetting(hours, settingsAt)));
        const made = { settings: settingsAt(span.first), cache: new SeriesCache(), kept: kept.hours, only };
        const usage = await convertSpan(store, span, { ...made, observer: sums.of(cluster) });
        sums.end(usage, await readTold(store, scope, { cluster, destinations: sums.destinations }));
        hours.splice(0, hoursOf(span).length);
      }
    }
    const now = await readKept(store);
    if (now.from === kept.from && now.hours.state === kept.hours.state) return sums.groups;
    throw new MeteringError('METER_STORE_BUSY', 'samples were dropped while they were folded', {
      retryable: true,
    });
  }
}

/** Hours that the windows touch, of which everything is stored. */
function hoursAround(windows: readonly Window[]): Window[] {
  const end = windows.at(-1)?.endMs ?? 0;
  const hours: Window[] = [];
  for (let hour = startOfHour(windows[0]?.startMs ?? 0); hour < end; hour += HOUR_MS)
    hours.push({ startMs: hour, endMs: hour + HOUR_MS });
  return hours;
}

function rangeOf({ windows }: UsageRequest): Window {
  return { startMs: windows[0]?.startMs ?? 0, endMs: windows.at(-1)?.endMs ?? 0 };
}

/** Quarters that follow each other, and what of them lies in the range where that is not all. */
interface Piece {
  readonly quarters: Window;
  readonly cut?: Window;
}

/** 10:05 -> 10:40 is 10:00 -> 10:15, cut at 10:05, a whole quarter, and 10:30 -> 10:45, cut at 10:40. */
function piecesOf({ startMs, endMs }: Window): readonly Piece[] {
  const [outer, inner] = [Math.floor(startMs / QUARTER_MS), Math.ceil(startMs / QUARTER_MS)];
  const [innerEnd, outerEnd] = [Math.floor(endMs / QUARTER_MS), Math.ceil(endMs / QUARTER_MS)];
  const quartersOf = (from: number, to: number): Window => ({
    startMs: from * QUARTER_MS,
    endMs: to * QUARTER_MS,
  });
  if (innerEnd < inner) return [{ quarters: quartersOf(outer, outerEnd), cut: { startMs, endMs } }];
  const [first, last] = [quartersOf(outer, inner), quartersOf(innerEnd, outerEnd)];
  const pieces: Piece[] = [
    { quarters: first, cut: { startMs, endMs: first.endMs } },
    { quarters: quartersOf(inner, innerEnd) },
    { quarters: last, cut: { startMs: last.startMs, endMs } },
  ];
  return pieces.filter(({ quarters }) => quarters.endMs > quarters.startMs);
}
