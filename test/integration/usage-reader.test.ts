import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { planSources } from '../../aggregator/api/usage/sources.ts';
import { KEY_DIMENSIONS } from '../../aggregator/api/usage/dimensions.ts';
import { StoreUsageReader, type UsageSum } from '../../aggregator/api/usage-reader.ts';
import type { Quarters } from '../../aggregator/ledger/entry.ts';
import { windowsBetween, type Window } from '../../core/metering/windows.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import {
  ALL,
  BEGIN,
  CLUSTERS,
  HOUR,
  HOURS,
  liveNineDays,
  OPEN_FROM,
  shown,
  SIZES,
  TENANTS,
  type Used,
} from '../support/nine-days.ts';

let testStore: TestStore;
let reader: StoreUsageReader;
let used: readonly Used[];

beforeAll(async () => {
  testStore = await openTestStore();
  used = await liveNineDays(testStore.store);
  reader = new StoreUsageReader({ queryTimeoutMs: 10_000 }, testStore);
});

afterAll(async () => {
  await testStore.dispose();
});

/** By window and group, from the hours themselves. */
function expected(
  windows: readonly Window[],
  groupBy: readonly (typeof KEY_DIMENSIONS)[number][],
  tenant?: string,
): Map<string, string> {
  const sums = new Map<string, { value: bigint; revision: number }>();
  for (const row of used) {
    if (tenant !== undefined && row.tenant !== tenant) continue;
    for (const [i, quantity] of row.quarters.entries()) {
      const t = row.hour + (i * HOUR) / 4;
      const window = windows.find(({ startMs, endMs }) => t >= startMs && t < endMs);
      if (window === undefined) continue;
      const key = JSON.stringify([window.startMs, ...groupBy.map((dimension) => row[dimension])]);
      const { value, revision } = sums.get(key) ?? { value: 0n, revision: 0 };
      const own = row.hour < OPEN_FROM ? row.revision : 0;
      sums.set(key, { value: value + quantity, revision: Math.max(revision, own) });
    }
  }
  return new Map([...sums].map(([key, { value, revision }]) => [key, `${value} r${revision}`]));
}

const ranges = fc
  .tuple(fc.nat(HOURS * 4), fc.nat(HOURS * 4), fc.boolean())
  .filter(([a, b]) => a !== b)
  .map(([a, b, whole]) => {
    const [from, to] = [Math.min(a, b), Math.max(a, b)];
    const grain = whole ? 96 : 1;
    const fromMs = BEGIN + Math.floor(from / grain) * grain * 900_000;
    return {
      fromMs,
      toMs: Math.max(fromMs + grain * 900_000, BEGIN + Math.floor(to / grain) * grain * 900_000),
    };
  });
const zones = fc.constantFrom(
  'UTC',
  'Europe/Berlin',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'America/St_Johns',
);

describe('what is read', () => {
  test('is what the hours add up to, from daily totals as from hours, settled as open', async () => {
    const standing = await reader.standing(ALL);
    let fromDays = 0;
    await fc.assert(
      fc.asyncProperty(
        ranges,
        fc.record({ size: fc.constantFrom(undefined, ...SIZES), zone: zones }),
        fc.subarray([...KEY_DIMENSIONS]),
        fc.constantFrom(undefined, ...TENANTS),
        async ({ fromMs, toMs }, { size, zone }, groupBy, tenant) => {
          const windows =
            size === undefined
              ? [{ startMs: fromMs, endMs: toMs }]
              : windowsBetween(fromMs, toMs, size, zone);
          fromDays += planSources(
            windows,
            standing.open.map(({ hour }) => hour),
          ).days.length;
          const filters = tenant === undefined ? {} : { tenant: [tenant] };
          const request = { meter: 'cpu', windows, groupBy, filters, standing, limit: 100_000 };
          const sums = await reader.usage(ALL, request);
          const read = sums.map(
            ({ windowStartMs, group, value, revision }) =>
              [
                JSON.stringify([windowStartMs, ...groupBy.map((dimension) => group[dimension])]),
                `${value} r${revision}`,
              ] as const,
          );
          const nothing = [...new Map(read)].filter(([, text]) => !text.startsWith('0 '));
          const wanted = [...expected(windows, groupBy, tenant)].filter(([, text]) => !text.startsWith('0 '));
          expect(new Map(nothing)).toEqual(new Map(wanted));
        },
      ),
      { numRuns: 60 },
    );
    expect(fromDays).toBeGreaterThan(20);
  });

  test('hour by hour is the same', async () => {
    const standing = await reader.standing(ALL);
    const windows = windowsBetween(BEGIN, BEGIN + HOURS * HOUR, 'DAY', 'Asia/Kathmandu');
    const hours = windowsBetween(BEGIN, BEGIN + HOURS * HOUR, 'HOUR', 'Asia/Kathmandu');
    const request = {
      meter: 'cpu',
      windows,
      groupBy: ['cluster'],
      filters: {},
      standing,
      limit: 1_000,
    } as const;
    const rows = await reader.usedHours(ALL, { ...request, hours });
    const wanted = expected(hours, ['cluster']);
    const read = rows.flatMap(({ group, hours: found }) =>
      found.map(({ startMs, value }) => [JSON.stringify([startMs, group.cluster]), String(value)] as const),
    );
    const values = [...wanted].map(([key, text]) => [key, text.split(' ')[0]] as const);
    expect(new Map(read)).toEqual(new Map(values.filter(([, value]) => value !== '0')));
    for (const { windowStartMs, hours: found } of rows) {
      const window = windows.find(({ startMs }) => startMs === windowStartMs);
      expect(found.every(({ startMs }) => startMs >= windowStartMs && startMs < (window?.endMs ?? 0))).toBe(
        true,
      );
    }
  });

  test('of the groups are all that used something, in order, or those that used most', async () => {
    const standing = await reader.standing(ALL);
    const windows = windowsBetween(BEGIN, BEGIN + HOURS * HOUR, 'DAY', 'UTC');
    const request = {
      meter: 'cpu',
      windows,
      groupBy: ['tenant', 'cluster'],
      filters: {},
      standing,
      limit: 4,
    } as const;
    const keys = (groups: readonly object[]): string[] =>
      groups.map((group) => Object.values(group).join('/'));
    const all = TENANTS.flatMap((tenant) => CLUSTERS.map((cluster) => `${tenant}/${cluster}`));
    expect(keys(await reader.groups(ALL, request))).toEqual(all.slice(0, 4));
    const totals = [...expected([{ startMs: BEGIN, endMs: BEGIN + HOURS * HOUR }], ['tenant', 'cluster'])]
      .map(([key, text]) => ({
        key: (JSON.parse(key) as string[]).slice(1).join('/'),
        value: BigInt(text.split(' ')[0] ?? 0),
      }))
      .sort((a, b) => (a.value < b.value ? 1 : -1));
    const largest = await reader.groups(ALL, { ...request, largest: true });
    expect(keys(largest)).toEqual(totals.slice(0, 4).map(({ key }) => key));
    const sums = await reader.usage(ALL, { ...request, chosen: largest, limit: 1_000 });
    expect([...new Set(keys(sums.map(({ group }) => group)))].sort()).toEqual([...keys(largest)].sort());
  });
});

describe('a breakdown', () => {
  const windows = windowsBetween(BEGIN, BEGIN + HOURS * HOUR, 'DAY', 'Asia/Kathmandu');
  const request = { meter: 'cpu', windows, filters: {}, limit: 100_000 } as const;

  // Of the first days nothing is kept; afterwards half of it, all of it, and more than the ledger has.
  const details = () =>
    used
      .filter(({ hour }) => hour >= BEGIN + 3 * 24 * HOUR)
      .flatMap(({ tenant, cluster, namespace, hour, quarters }, i) => {
        const [q0, q1, q2, q3] = quarters.map((quarter) => quarter / 2n + BigInt(i % 3)) as [...Quarters];
        const at = { cluster, unit: hour / 1000, hour: hour / 1000, tenant, namespace, meter: 'cpu' };
        const names = i % 2 === 0 ? ['Deployment/web'] : ['Deployment/web', 'Job/nightly'];
        const told = { destination: `10.0.0.${i % 4}`, storage_class: '', version: 1 };
        return names.map((workload) => ({ ...at, ...told, workload, q0, q1, q2, q3 }));
      });

  beforeAll(async () => {
    await testStore.store.insert('detail_parts', details());
  });

  test('adds up to the plain figure, whatever is known of it and whatever it says', async () => {
    const standing = await reader.standing(ALL);
    for (const scope of [ALL, { kind: 'tenants', tenants: ['acme'] } as const]) {
      for (const keys of [[], ['cluster', 'tenant']] as const) {
        for (const details of [['workload'], ['workload', 'storageClass']] as const) {
          const plain = await reader.usage(scope, { ...request, standing, groupBy: keys });
          const parts = await reader.usage(scope, { ...request, standing, groupBy: [...keys, ...details] });
          const totals = new Map<string, UsageSum>();
          for (const { windowStartMs, group, value, revision } of parts) {
            const own = Object.fromEntries(keys.map((name) => [name, group[name]]));
            const key = JSON.stringify([windowStartMs, own]);
            const sum = (totals.get(key)?.value ?? 0n) + value;
            totals.set(key, { windowStartMs, group: own, value: sum, revision });
          }
          const some = ({ value }: UsageSum): boolean => value !== 0n;
          expect([...totals.values()].filter(some).map(shown).sort()).toEqual(
            plain.filter(some).map(shown).sort(),
          );
          expect(new Set(parts.map(({ group }) => group.workload)).size).toBe(3);
        }
      }
    }
    const filters = { workload: ['Job/nightly'] };
    const filtered = await reader.usage(ALL, { ...request, standing, groupBy: [], filters });
    const grouped = await reader.usage(ALL, { ...request, standing, groupBy: ['workload'] });
    const nightly = grouped.filter(({ group }) => group.workload === 'Job/nightly');
    const values = (sums: readonly UsageSum[]): bigint[] =>
      sums.map(({ value }) => value).filter((value) => value !== 0n);
    expect(values(filtered)).toEqual(values(nightly));
    const top = { ...request, standing, groupBy: ['workload'], limit: 1, largest: true } as const;
    const largest = await reader.groups(ALL, top);
    const chosen = await reader.usage(ALL, { ...top, chosen: largest, limit: 1_000 });
    expect(new Set(chosen.map(({ group }) => group.workload))).toEqual(new Set([largest[0]?.workload]));
  });

  test('of a tenant is of its own details, and of nobody else, though others have the same names', async () => {
    const standing = await reader.standing(ALL);
    const scope = { kind: 'tenants', tenants: ['acme'] } as const;
    for (const filters of [{}, { workload: ['Job/nightly', 'Deployment/web'] }]) {
      const sums = await reader.usage(scope, { ...request, standing, filters, groupBy: ['workload'] });
      for (const name of ['Deployment/web', 'Job/nightly']) {
        const told = sums.filter(({ group }) => group.workload === name);
        const own = details().filter(({ tenant, workload }) => tenant === 'acme' && workload === name);
        const total = own.reduce((sum, { q0, q1, q2, q3 }) => sum + q0 + q1 + q2 + q3, 0n);
        expect(told.reduce((sum, { value }) => sum + value, 0n)).toBe(total);
        expect(total).toBeGreaterThan(0n);
      }
    }
  });
});
