/**
 * Minutes, folded on demand, against what the roll-up stored of the same samples: of every tenant, cluster, namespace,
 * workload, destination and storage class the minutes of a quarter of an hour are the quarter, to the unit.
 */
import type { TenantScope } from '../../aggregator/api/identity/access.ts';
import { readTold } from '../../aggregator/api/identity/told-destinations.ts';
import { MinuteReader } from '../../aggregator/api/minutes/minute-reader.ts';
import { planMinutes } from '../../aggregator/api/minutes/plan.ts';
import { DIMENSIONS } from '../../aggregator/api/usage/dimensions.ts';
import { StoreUsageReader } from '../../aggregator/api/usage-reader.ts';
import { SettingsInForce } from '../../aggregator/ledger/settings-in-force.ts';
import { readDetailRows, type DetailRow } from '../../aggregator/rollup/detail-rows.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { HOUR_MS, MINUTE_MS, QUARTER_MS } from '../../core/metering/hour.ts';
import { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { Window } from '../../core/metering/windows.ts';

/** Hours of one question. */
const MOST_HOURS = 48;

export interface MinuteDifference {
  readonly key: string;
  readonly minutes: string;
  readonly stored: string;
}

/** Of all usage that is stored, and nothing else; read by all tenants together, whose namespaces are looked for. */
export async function minuteDifferences(
  store: UsageStore,
  settings: MeteringSettings,
): Promise<MinuteDifference[]> {
  const stored = await readDetailRows(store);
  const scope = {
    kind: 'tenants',
    tenants: [...new Set(stored.map(({ tenant }) => tenant))].sort(),
  } as const;
  const found = new Map<string, bigint>();
  for (const [meter, rows] of Map.groupBy(stored, (row) => row.meter)) {
    for (const windows of questions(rows)) {
      for (const [key, quantity] of await quartersOfMinutes(store, settings, { scope, meter, windows }))
        found.set(key, (found.get(key) ?? 0n) + quantity);
    }
  }
  const wanted = new Map<string, bigint>();
  for (const [key, quantity] of (await asTold(store, scope, stored)).flatMap(quartersOf))
    wanted.set(key, (wanted.get(key) ?? 0n) + quantity);
  return [...new Set([...found.keys(), ...wanted.keys()])]
    .map((key) => ({ key, minutes: textOf(found.get(key)), stored: textOf(wanted.get(key)) }))
    .filter(({ minutes, stored: other }) => minutes !== other);
}

/** Destinations as tenants are told them; where nobody knows whose they are they have one name. */
async function asTold(
  store: UsageStore,
  scope: TenantScope,
  rows: readonly DetailRow[],
): Promise<readonly DetailRow[]> {
  const told: DetailRow[] = [];
  for (const [cluster, own] of Map.groupBy(rows, (row) => row.cluster)) {
    const destinations = [...new Set(own.map(({ destination }) => destination))];
    const names = await readTold(store, scope, { cluster, destinations });
    told.push(...own.map((row) => ({ ...row, destination: names.get(row.destination) ?? '' })));
  }
  return told;
}

function textOf(quantity: bigint | undefined): string {
  return quantity === undefined ? 'nothing' : String(quantity);
}

function quartersOf({ hour, meter, quarters, ...names }: DetailRow): [string, bigint][] {
  return quarters.flatMap((quantity, i): [string, bigint][] =>
    quantity === 0n ? [] : [[keyOf(meter, hour + i * QUARTER_MS, names), quantity]],
  );
}

function keyOf(meter: string, quarter: number, names: Readonly<Partial<Record<string, string>>>): string {
  const values = DIMENSIONS.map((dimension) => names[dimension]);
  return JSON.stringify([meter, new Date(quarter).toISOString(), ...values]);
}

/** Minutes of the hours that have usage, as few questions as there may be. */
function questions(rows: readonly DetailRow[]): Window[][] {
  const hours = [...new Set(rows.map((row) => row.hour))].sort((a, b) => a - b);
  const asked: Window[][] = [];
  for (
    let hour = hours[0];
    hour !== undefined;
    hour = hours.find((next) => next >= (asked.at(-1)?.at(-1)?.endMs ?? 0))
  ) {
    const end = hour + MOST_HOURS * HOUR_MS;
    const last = hours.findLast((each) => each < end) ?? hour;
    const minutes = (last + HOUR_MS - hour) / MINUTE_MS;
    const from = hour;
    asked.push(
      Array.from({ length: minutes }, (_, i) => ({
        startMs: from + i * MINUTE_MS,
        endMs: from + (i + 1) * MINUTE_MS,
      })),
    );
  }
  return asked;
}

interface MinutesOf {
  readonly scope: TenantScope;
  readonly meter: string;
  readonly windows: readonly Window[];
}

async function quartersOfMinutes(
  store: UsageStore,
  settings: MeteringSettings,
  { scope, meter, windows }: MinutesOf,
): Promise<Map<string, bigint>> {
  const base = new StoreUsageReader({ queryTimeoutMs: 60_000 }, { store });
  const standing = await base.standing(scope);
  const range = { fromMs: windows[0]?.startMs ?? 0, toMs: windows.at(-1)?.endMs ?? 0 };
  const planned = await planMinutes(
    store,
    { scope, meter, filters: {}, ...range },
    { closedBefore: 0, maxSamples: Infinity },
  );
  if (!planned.ok) throw new Error('all samples are kept');
  const inForce = new SettingsInForce(new SettingsTimeline([{ validFrom: 0, settings }]));
  const reader = new MinuteReader({ store, settings: inForce, reader: base, standing, plan: planned.plan });
  const request = { meter, windows, groupBy: DIMENSIONS, filters: {}, standing, limit: 1_000_000 };
  const sums = new Map<string, bigint>();
  for (const { windowStartMs, group, value } of await reader.usage(scope, request)) {
    const key = keyOf(meter, Math.floor(windowStartMs / QUARTER_MS) * QUARTER_MS, group);
    sums.set(key, (sums.get(key) ?? 0n) + value);
  }
  return sums;
}
