/**
 * A reader that does not read the same twice: what was read is remembered under the versions of the months
 * and tables that it was read from. So an answer is never older than the store was when it was asked for, and
 * one about closed months is read once. Memory is bounded; a crash loses what it remembered and nothing else.
 */
import { nextPeriod, periodOf, type Period } from '../../../core/metering/period.ts';
import type { Window } from '../../../core/metering/windows.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { TenantScope } from '../identity/access.ts';
import { DIMENSIONS, isDetail, type Dimension, type Group } from './dimensions.ts';
import { StoreUsageReader, type StoreUsageReaderConfig } from '../usage-reader.ts';
import type {
  CoverageRequest,
  CoverageSum,
  UsageReader,
  UsageRequest,
  UsageSum,
  UsedHours,
} from '../usage-reader.ts';
import { TEXT_BYTES } from './answer-texts.ts';
import { Memory } from './memory.ts';
import type { ClusterHour, Standing } from './standing.ts';
import { hoursWithin, mergedSums } from './sums.ts';
import {
  onlyTenant,
  placeOf,
  roundKeys,
  sumsByPlace,
  TenantRounds,
  type SumsByPlace,
} from './tenant-rounds.ts';
import { VersionReader, type VersionedTable } from './versions.ts';

/** Some thousands of months of single tenants. */
const MAX_BYTES = 96 * 1024 * 1024;
/** Of a row in memory, alone and with the text of its answer, about. */
const SUM_BYTES = 250;
const ROW_BYTES = SUM_BYTES + TEXT_BYTES;
const HOUR_BYTES = 120;
/** Of open hours, as many rows are read for one tenant that asks: the next one, or meter, finds its own. */
const MAX_OPEN_ROWS = 20_000;
/** Where hours are settled all the time, an answer is of about now. */
const MOST_TRIES = 4;

const STANDING: readonly VersionedTable[] = [
  ...(['usage_current', 'usage_day', 'coverage', 'scrape', 'watermark'] as const),
  ...(['hour_mark', 'ledger', 'decision', 'label_history'] as const),
];
const SETTLED: readonly VersionedTable[] = ['usage_current', 'usage_day'];
const OPEN: readonly VersionedTable[] = ['usage_parts'];
const DETAILS: readonly VersionedTable[] = ['detail_parts'];
/** What destinations are told to a tenant by. */
const OWNERS: readonly VersionedTable[] = ['label_history', 'decision'];
const COVERAGE: readonly VersionedTable[] = ['coverage'];
/** Where a tenant's clusters are read from. */
const CLUSTERS: readonly VersionedTable[] = ['label_history', 'usage_day'];
const CLUSTERS_SEEN: readonly VersionedTable[] = [...CLUSTERS, 'watermark'];

/** Over a store, as the program has it. */
export function usageReader(
  config: StoreUsageReaderConfig,
  { store }: { readonly store: UsageStore },
): UsageReader {
  const versions = new VersionReader(store, { timeoutMs: config.queryTimeoutMs });
  return new RememberingReader(new StoreUsageReader(config, { store, versions }), versions);
}

export class RememberingReader implements UsageReader {
  readonly #reader: StoreUsageReader;
  readonly #versions: VersionReader;
  readonly #memory = new Memory(MAX_BYTES);
  readonly #rounds: TenantRounds;
  readonly #maxOpenRows: number;

  constructor(reader: StoreUsageReader, versions: VersionReader, maxOpenRows = MAX_OPEN_ROWS) {
    this.#maxOpenRows = maxOpenRows;
    this.#reader = reader;
    this.#versions = versions;
    this.#rounds = new TenantRounds(reader);
  }

  async standing(scope: TenantScope): Promise<Standing> {
    const { versions, ...everybody } = await this.#everybodys();
    if (scope.kind === 'all') return { ...everybody, versions };
    const mine = await this.#memory.get(
      keyOf('clusters', scope, versions.of(CLUSTERS_SEEN)),
      () => this.#reader.clusters(scope),
      (clusters) => ROW_BYTES * (clusters.size + 1),
    );
    const watermarks = new Map([...everybody.watermarks].filter(([cluster]) => mine.has(cluster)));
    return { ...everybody, watermarks, versions };
  }

  /**
   * Of one state of what is settled. Of an hour that is settled while marks are read there is no mark any
   * more, and what was remembered before it was marked would be taken for all there is.
   */
  async #everybodys(): Promise<Standing> {
    for (let tries = 1; ; tries++) {
      const versions = await this.#versions.read();
      const read = await this.#memory.get(
        `standing ${versions.of(STANDING)}`,
        async () => {
          const standing = await this.#reader.standing({ kind: 'all' });
          return { standing, after: await this.#versions.read() };
        },
        ({ standing }) => ROW_BYTES * (standing.open.length + 10),
      );
      const isOne = read.after.of(SETTLED) === versions.of(SETTLED);
      if (isOne || tries === MOST_TRIES) return { ...read.standing, versions };
    }
  }

  /**
   * The settled part of a month is read once an hour, the open part after every roll-up: of all tenants and
   * meters at once where that is not too much, and otherwise for those who ask.
   */
  async usage(scope: TenantScope, request: UsageRequest): Promise<readonly UsageSum[]> {
    const { windows, standing, groupBy, filters, chosen } = request;
    const { filters: _, ...asked } = withoutStanding(request);
    const question = [scope, asked, filters];
    if (namedIn(request).some(isDetail)) {
      const read = () => this.#reader.usage(scope, request);
      return await this.#memory.get(keyOf('usage', question, usageState(scope, request)), read, sizeOf);
    }
    const tenant = chosen === undefined ? onlyTenant(scope, request) : undefined;
    const settledState = stateOf(request, 'settled');
    const isWhole = hoursWithin(standing.open, windows).length === 0;
    const settled = (): Promise<readonly UsageSum[]> =>
      this.#memory.get(
        keyOf('settled', question, settledState),
        () => this.#settled(scope, request, tenant),
        // A text is made of the whole.
        isWhole ? sizeOf : (rows) => SUM_BYTES * (rows.length + 1),
      );
    if (isWhole) return await settled();
    const merged = async (): Promise<readonly UsageSum[]> => {
      const parts = await Promise.all([settled(), this.#open(scope, request, tenant)]);
      return mergedSums(groupBy, ...parts);
    };
    const state = [settledState, stateOf(request, 'open')];
    return await this.#memory.get(keyOf('usage', question, state), merged, sizeOf);
  }

  async #settled(
    scope: TenantScope,
    request: UsageRequest,
    tenant: string | undefined,
  ): Promise<readonly UsageSum[]> {
    const part = 'settled';
    if (tenant === undefined) return await this.#reader.usage(scope, request, part);
    return await this.#rounds.usage(questionKey(part, request), { ...ofAnyTenant(request), tenant, part });
  }

  async #open(
    scope: TenantScope,
    request: UsageRequest,
    tenant: string | undefined,
  ): Promise<readonly UsageSum[]> {
    const part = 'open';
    if (tenant === undefined) return await this.#reader.usage(scope, request, part);
    const key = questionKey(part, request);
    const everybody = await this.#memory.get(
      key,
      () => this.#openOfAll(request),
      (found) => SUM_BYTES * [...(found?.values() ?? [])].reduce((sum, own) => sum + own.length, 1),
    );
    if (everybody !== undefined) return everybody.get(placeOf({ meter: request.meter, tenant })) ?? [];
    return await this.#rounds.usage(key, { ...ofAnyTenant(request), tenant, part });
  }

  /** Of every meter and tenant; undefined if it is too much to be read for one of them. */
  async #openOfAll(request: UsageRequest): Promise<SumsByPlace | undefined> {
    const { meter: _, groupBy, filters, ...asked } = ofAnyTenant(request);
    const told = {
      ...asked,
      groupBy: roundKeys(groupBy),
      filters,
      part: 'open',
      limit: this.#maxOpenRows + 1,
    } as const;
    const sums = await this.#reader.sums({ kind: 'all' }, told);
    return sums.length > this.#maxOpenRows ? undefined : sumsByPlace(groupBy, sums);
  }

  async usedHours(
    scope: TenantScope,
    request: UsageRequest & { readonly hours: readonly Window[] },
  ): Promise<readonly UsedHours[]> {
    const state = usageState(scope, request);
    return await this.#memory.get(
      keyOf('hours', scope, withoutStanding(request), state),
      () => this.#reader.usedHours(scope, request),
      (rows) => rows.reduce((sum, { hours }) => sum + ROW_BYTES + HOUR_BYTES * hours.length, ROW_BYTES),
    );
  }

  async groups(
    scope: TenantScope,
    request: UsageRequest & { readonly largest?: boolean },
  ): Promise<readonly Group[]> {
    const state = usageState(scope, request);
    return await this.#memory.get(
      keyOf('groups', scope, withoutStanding(request), state),
      () => this.#reader.groups(scope, request),
      sizeOf,
    );
  }

  async coverage(scope: TenantScope, request: CoverageRequest): Promise<readonly CoverageSum[]> {
    const { meter, windows, filters, standing } = request;
    const { versions } = standing;
    const mine = scope.kind === 'all' ? '' : versions.of(CLUSTERS);
    const state = [versions.of(COVERAGE, monthsOf(windows)), mine];
    return await this.#memory.get(
      keyOf('coverage', scope, meter, edgesOf(windows), filters.cluster, state),
      () => this.#reader.coverage(scope, request),
      sizeOf,
    );
  }
}

/** Open hours stand in the standing, and are read from what the roll-up left of their months. */
function usageState(scope: TenantScope, request: UsageRequest): readonly unknown[] {
  const { windows, standing } = request;
  const named = namedIn(request);
  const details = named.some(isDetail) ? standing.versions.of(DETAILS, monthsOf(windows)) : '';
  const isTold = scope.kind !== 'all' && named.includes('destination');
  const owners = isTold ? standing.versions.of(OWNERS) : '';
  return [stateOf(request, 'settled'), stateOf(request, 'open'), details, owners];
}

function stateOf({ windows, standing }: UsageRequest, part: 'settled' | 'open'): readonly unknown[] {
  const { versions } = standing;
  const months = monthsOf(windows);
  const within = (hours: readonly ClusterHour[]) =>
    hours.filter(({ hour }) => months.includes(periodOf(hour)));
  const open = within(standing.open);
  if (part === 'settled') return [versions.of(SETTLED, months), open, within(standing.unsure)];
  return open.length === 0 ? [] : [versions.of(OPEN, months), open];
}

function namedIn({ groupBy, filters }: UsageRequest): readonly Dimension[] {
  return DIMENSIONS.filter((dimension) => groupBy.includes(dimension) || filters[dimension] !== undefined);
}

/** What is asked, whichever tenant's rows are wanted. */
function ofAnyTenant({ filters, chosen: _, ...asked }: UsageRequest) {
  const { tenant: __, ...others } = filters;
  return { ...asked, filters: others };
}

/** The question but for tenant and meter, and the state that it is asked of. */
function questionKey(part: 'settled' | 'open', request: UsageRequest): string {
  const { standing: _, meter: __, windows, ...asked } = ofAnyTenant(request);
  return keyOf(part, asked, edgesOf(windows), stateOf(request, part));
}

function withoutStanding<Request extends UsageRequest>(request: Request) {
  const { standing: _, windows, ...asked } = request;
  return { ...asked, windows: edgesOf(windows) };
}

/** Windows follow one another, so their starts and the last end say it all. */
function edgesOf(windows: readonly Window[]): readonly number[] {
  return [...windows.map(({ startMs }) => startMs), windows.at(-1)?.endMs ?? 0];
}

function monthsOf(windows: readonly Window[]): Period[] {
  const first = periodOf(windows[0]?.startMs ?? 0);
  const last = periodOf((windows.at(-1)?.endMs ?? 1) - 1);
  const months: Period[] = [];
  for (let month = first; month <= last; month = nextPeriod(month)) months.push(month);
  return months;
}

function keyOf(...parts: readonly unknown[]): string {
  return JSON.stringify(parts);
}

function sizeOf(rows: readonly unknown[]): number {
  return ROW_BYTES * (rows.length + 1);
}
