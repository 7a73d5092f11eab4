import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { planSources } from '../../aggregator/api/usage/sources.ts';
import { RememberingReader, usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import { VersionReader } from '../../aggregator/api/usage/versions.ts';
import { KEY_DIMENSIONS, type Dimension } from '../../aggregator/api/usage/dimensions.ts';
import { StoreUsageReader, type UsageReader, type UsageSum } from '../../aggregator/api/usage-reader.ts';
import {
  fingerprint,
  NO_QUARTERS,
  NOTHING,
  type LedgerEntry,
  type Quarters,
} from '../../aggregator/ledger/entry.ts';
import { Ledger } from '../../aggregator/ledger/ledger.ts';
import { periodEntry } from '../../aggregator/ledger/periods.ts';
import { WINDOW_SIZES, windowsBetween, type Window } from '../../core/metering/windows.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';

/** Nine days over the end of a month, the last hours of them open: ledger, roll-up, and what is read of both. */
const HOUR = 3_600_000;
const BEGIN = Date.UTC(2026, 2, 26);
const HOURS = 9 * 24;
const OPEN_FROM = BEGIN + (HOURS - 30) * HOUR;
const TENANTS = ['acme', 'globex', 'initech'];
const CLUSTERS = ['north', 'south'];
const NAMESPACES = ['db', 'web'];
const ALL = { kind: 'all' } as const;
/** Of what is stored. */
const SIZES = WINDOW_SIZES.filter((size) => size !== 'MINUTE');

interface Used {
  readonly hour: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly quarters: Quarters;
  readonly revision: number;
}

let testStore: TestStore;
let reader: StoreUsageReader;
let used: readonly Used[];

/** Past 64 bits now and then; not in every hour, and corrected once in a while. */
function usage(): Used[] {
  const quarter = fc.oneof({ weight: 3, arbitrary: fc.bigInt(0n, 1000n) }, fc.bigInt(0n, 1n << 100n));
  const one = fc.record({
    hour: fc.nat(HOURS - 1).map((i) => BEGIN + i * HOUR),
    tenant: fc.constantFrom(...TENANTS),
    cluster: fc.constantFrom(...CLUSTERS),
    namespace: fc.constantFrom(...NAMESPACES),
    quarters: fc.tuple(quarter, quarter, quarter, quarter),
    revision: fc.integer({ min: 1, max: 3 }),
  });
  const key = ({ hour, tenant, cluster, namespace }: Used): string =>
    [hour, tenant, cluster, namespace].join();
  const [rows = []] = fc.sample(
    fc.uniqueArray(one, { selector: key, minLength: 700, maxLength: 900, size: 'max' }),
    {
      seed: 20_260_326,
      numRuns: 1,
    },
  );
  return rows;
}

function entry({ revision, ...row }: Used): LedgerEntry {
  return {
    ...{
      ...NOTHING,
      ...row,
      meter: 'cpu',
      kind: 'usage',
      period: row.hour < Date.UTC(2026, 3) ? 202603 : 202604,
    },
    ...{
      id: fingerprint(JSON.stringify([row.hour, row.tenant, row.cluster, row.namespace]), revision),
      revision,
    },
    ...{ final: false, before: NO_QUARTERS, inputHash: Buffer.alloc(16), body: '' },
  };
}

beforeAll(async () => {
  testStore = await openTestStore();
  const { store } = testStore;
  used = usage();
  const settled = used.filter(({ hour }) => hour < OPEN_FROM);
  const ledger = new Ledger({ store });
  for (let revision = 1; revision <= 3; revision++) {
    const before = await ledger.head();
    const rows = settled.filter((row) => row.revision >= revision);
    // What was revised had another value before.
    const wrong: Quarters = [7n, 7n, 7n, 7n];
    await ledger.append(
      rows.map((row) => entry({ ...row, revision, ...(row.revision > revision ? { quarters: wrong } : {}) })),
    );
    await ledger.project(before);
  }
  await ledger.append([periodEntry(202603, 'settling', {}), periodEntry(202604, 'open', {})]);
  await store.insert(
    'usage_parts',
    used.map(({ hour, tenant, cluster, namespace, quarters: [q0, q1, q2, q3] }) => ({
      ...{ cluster, unit: hour / 1000, hour: hour / 1000, tenant, namespace, meter: 'cpu', q0, q1, q2, q3 },
      ...{ missing_ms: 0, samples: 1, flags: 0, version: 1 },
    })),
  );
  const hours = Array.from({ length: HOURS }, (_, i) => BEGIN + i * HOUR);
  const marks = CLUSTERS.flatMap((cluster) =>
    hours.map((hour) => ({
      ...{ cluster, hour: hour / 1000, source: 'roll-up', marked: 1 },
      isOpen: hour >= OPEN_FROM,
    })),
  );
  await store.insert(
    'hour_mark',
    marks.map(({ isOpen, ...mark }) => ({ ...mark, settled: isOpen ? 0 : 1 })),
  );
  reader = new StoreUsageReader({ queryTimeoutMs: 10_000 }, { store });
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

function shown({ windowStartMs, group, value, revision }: UsageSum): string {
  return JSON.stringify([windowStartMs, group, String(value), revision]);
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

describe('what is remembered', () => {
  const windows = windowsBetween(BEGIN, BEGIN + HOURS * HOUR, 'DAY', 'UTC');
  const request = { meter: 'cpu', windows, filters: {}, limit: 1_000 } as const;
  const told = async (from: UsageReader, groupBy: readonly Dimension[]): Promise<string[]> =>
    (await from.usage(ALL, { ...request, groupBy, standing: await from.standing(ALL) })).map((row) =>
      shown(row),
    );

  test('is what is read, also where many ask for one tenant each at once', async () => {
    const remembering = usageReader({ queryTimeoutMs: 10_000 }, testStore);
    const standing = await remembering.standing(ALL);
    const asked = [...TENANTS, ...TENANTS, 'nobody'].flatMap((tenant) =>
      ([[], ['namespace'], ['tenant', 'cluster']] as const).map((groupBy) => ({ tenant, groupBy })),
    );
    const answers = await Promise.all(
      asked.map(({ tenant, groupBy }) =>
        remembering.usage({ kind: 'tenants', tenants: [tenant] }, { ...request, groupBy, standing }),
      ),
    );
    for (const [i, { tenant, groupBy }] of asked.entries()) {
      const direct = await reader.usage(ALL, {
        ...request,
        groupBy,
        standing,
        filters: { tenant: [tenant] },
      });
      expect(
        answers[i]?.map((row) => shown(row)),
        tenant,
      ).toEqual(direct.map((row) => shown(row)));
    }
  });

  test('is what is read of any question: what is settled and what is open are the whole', async () => {
    const remembering = usageReader({ queryTimeoutMs: 10_000 }, testStore);
    const standing = await remembering.standing(ALL);
    const question = fc.record({
      tenants: fc.option(fc.uniqueArray(fc.constantFrom(...TENANTS, 'nobody'), { minLength: 1 })),
      mine: fc.option(fc.uniqueArray(fc.constantFrom(...TENANTS), { minLength: 1 })),
      groupBy: fc.subarray([...KEY_DIMENSIONS]),
      from: fc.nat(HOURS - 1),
      hours: fc.integer({ min: 1, max: HOURS }),
      size: fc.constantFrom(...SIZES),
      zone: fc.constantFrom('UTC', 'Asia/Kathmandu', 'Europe/Berlin'),
      top: fc.boolean(),
    });
    let withOpen = 0;
    await fc.assert(
      fc.asyncProperty(question, async ({ tenants, mine, groupBy, from, hours, size, zone, top }) => {
        const begin = BEGIN + from * HOUR;
        const end = Math.min(begin + hours * HOUR, BEGIN + HOURS * HOUR);
        const scope = mine === null ? ALL : ({ kind: 'tenants', tenants: mine } as const);
        const asked = {
          ...{ meter: 'cpu', windows: windowsBetween(begin, end, size, zone), groupBy, standing },
          ...{ filters: tenants === null ? {} : { tenant: tenants }, limit: 10_000 },
        };
        const largest = { ...asked, limit: 1, largest: true } as const;
        const isTop = top && groupBy.length > 0;
        const chosen = isTop ? { chosen: await remembering.groups(scope, largest) } : {};
        const told = await remembering.usage(scope, { ...asked, ...chosen });
        const read = await reader.usage(scope, { ...asked, ...chosen });
        expect(told.map(shown)).toEqual(read.map(shown));
        if (end > OPEN_FROM && begin < OPEN_FROM && told.length > 0) withOpen++;
      }),
      { numRuns: 80, seed: 30_11 },
    );
    expect(withOpen).toBeGreaterThan(10);
  });

  test('is told of several meters at once, each to who asked for it, however many rows may come', async () => {
    const part = { cluster: 'north', unit: OPEN_FROM / 1000, hour: OPEN_FROM / 1000, namespace: 'web' };
    const quarters = { q0: 7, q1: 0, q2: 0, q3: 0, missing_ms: 0, samples: 1, flags: 0, version: 1 };
    await testStore.store.insert(
      'usage_parts',
      ['acme', 'globex'].map((tenant) => ({ ...part, ...quarters, tenant, meter: 'memory' })),
    );
    const remembering = usageReader({ queryTimeoutMs: 10_000 }, testStore);
    const standing = await remembering.standing(ALL);
    const asked = ['cpu', 'memory', 'storage'].flatMap((meter) =>
      TENANTS.map((tenant) => ({
        scope: { kind: 'tenants', tenants: [tenant] } as const,
        question: { meter, windows, groupBy: [], filters: {}, standing, limit: 2 ** 31 },
      })),
    );
    const versions = new VersionReader(testStore.store, { timeoutMs: 10_000 });
    // One that reads open hours of all tenants, and one to which they are too many.
    for (const one of [remembering, new RememberingReader(reader, versions, 3)]) {
      const told = await Promise.all(asked.map(({ scope, question }) => one.usage(scope, question)));
      for (const [i, { scope, question }] of asked.entries())
        expect(told[i]?.map(shown)).toEqual((await reader.usage(scope, question)).map(shown));
      expect(told.filter((rows) => rows.length > 0).length).toBe(TENANTS.length + 2);
    }
  });

  test('is no longer told once something new is there', async () => {
    const remembering = usageReader({ queryTimeoutMs: 10_000 }, testStore);
    expect(await told(remembering, ['tenant'])).toEqual(await told(reader, ['tenant']));
    const more = {
      hour: OPEN_FROM / 1000,
      unit: OPEN_FROM / 1000,
      cluster: 'north',
      tenant: 'acme',
      namespace: 'new',
    };
    const before = await told(remembering, []);
    await testStore.store.insert('usage_parts', [
      { ...more, meter: 'cpu', q0: 5, q1: 0, q2: 0, q3: 0, missing_ms: 0, samples: 1, flags: 0, version: 1 },
    ]);
    const after = await told(remembering, []);
    expect(after).not.toEqual(before);
    expect(after).toEqual(await told(reader, []));
    await testStore.store.insert('usage_parts', [
      { ...more, meter: 'cpu', q0: 0, q1: 0, q2: 0, q3: 0, missing_ms: 0, samples: 1, flags: 0, version: 2 },
    ]);
    expect(await told(remembering, [])).toEqual(before);
  });
});

describe('the standing', () => {
  test('names the hours that nothing settled is there of, and the state of periods', async () => {
    const { open, states, closedBefore } = await reader.standing(ALL);
    expect(new Set(open.map(({ hour }) => hour))).toEqual(
      new Set(Array.from({ length: 30 }, (_, i) => OPEN_FROM + i * HOUR)),
    );
    expect([...states]).toEqual([
      [202603, 'settling'],
      [202604, 'open'],
    ]);
    expect(closedBefore).toBe(0);
  });

  test('that is older than what is settled by now counts no hour twice, and none not at all', async () => {
    const remembering = usageReader({ queryTimeoutMs: 10_000 }, testStore);
    const standing = await reader.standing(ALL);
    const windows = windowsBetween(BEGIN, BEGIN + HOURS * HOUR, 'DAY', 'UTC');
    const request = { meter: 'cpu', windows, groupBy: ['tenant'], filters: {}, limit: 1_000 } as const;
    const totals = async (from: UsageReader): Promise<string[]> =>
      (await from.usage(ALL, { ...request, standing: await from.standing(ALL) })).map((row) => shown(row));
    expect(await totals(remembering)).toEqual(await totals(reader));
    const figures = async (standing_: typeof standing): Promise<unknown> =>
      (await reader.usage(ALL, { ...request, standing: standing_ })).map(
        ({ windowStartMs, group, value }) => ({ windowStartMs, group, value }),
      );
    const before = await figures(standing);
    const ledger = new Ledger({ store: testStore.store });
    const head = await ledger.head();
    await ledger.append(used.filter(({ hour }) => hour >= OPEN_FROM).map((row) => entry(row)));
    await ledger.project(head);
    expect(await figures(standing)).toEqual(before);
    const after = await reader.standing(ALL);
    const emptied = after.open.filter(({ hour, cluster }) =>
      used.some((row) => row.hour === hour && row.cluster === cluster),
    );
    expect(emptied).toEqual([]);
    expect(await figures(after)).toEqual(before);
    expect(await totals(remembering)).toEqual(await totals(reader));
  });
});
