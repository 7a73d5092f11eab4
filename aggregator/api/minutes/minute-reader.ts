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
    const { windows, largest = false, limit } = request;
    if (!largest)
      return await this.#deps.reader.groups(scope, { ...request, windows: [quartersAround(windows)] });
    const range = { startMs: windows[0]?.startMs ?? 0, endMs: windows.at(-1)?.endMs ?? 0 };
    const asked = { ...request, windows: [range] };
    const ranked = this.#inOrder(request, await this.#fold(scope, asked))
      .map(({ group, sums }) => ({ group, total: sums.get(range.startMs)?.quantity ?? 0n }))
      .sort((a, b) => (a.total === b.total ? 0 : a.total > b.total ? -1 : 1));
    return ranked.slice(0, limit).map(({ group }) => group);
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

/** Quarters of an hour that they touch: more exactly is not known without the samples of the whole range. */
function quartersAround(windows: readonly Window[]): Window {
  const [from, to] = [windows[0]?.startMs ?? 0, windows.at(-1)?.endMs ?? 0];
  const startMs = Math.floor(from / QUARTER_MS) * QUARTER_MS;
  return { startMs, endMs: Math.ceil(to / QUARTER_MS) * QUARTER_MS };
}

/** Hours that the windows touch, of which everything is stored. */
function hoursAround(windows: readonly Window[]): Window[] {
  const end = windows.at(-1)?.endMs ?? 0;
  const hours: Window[] = [];
  for (let hour = startOfHour(windows[0]?.startMs ?? 0); hour < end; hour += HOUR_MS)
    hours.push({ startMs: hour, endMs: hour + HOUR_MS });
  return hours;
}
