import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { RememberingReader, usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import { VersionReader } from '../../aggregator/api/usage/versions.ts';
import { KEY_DIMENSIONS, type Dimension } from '../../aggregator/api/usage/dimensions.ts';
import { StoreUsageReader, type UsageReader } from '../../aggregator/api/usage-reader.ts';
import { Ledger } from '../../aggregator/ledger/ledger.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { windowsBetween } from '../../core/metering/windows.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import {
  ALL,
  BEGIN,
  entryOf,
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

  test('holds an hour that came late, also if it is settled while it is looked for', async () => {
    const { store } = testStore;
    let settle: (() => Promise<void>) | undefined;
    const rows = async (...asked: Parameters<UsageStore['rows']>) => {
      const now = asked[0].includes('FROM hour_mark') ? settle : undefined;
      if (now !== undefined) settle = undefined;
      await now?.();
      return await store.rows(...asked);
    };
    const settling = new Proxy(store, {
      get: (of, name): unknown => (name === 'rows' ? rows : Reflect.get(of, name)),
    });
    const remembering = usageReader({ queryTimeoutMs: 10_000 }, { store: settling });
    const late = { ...request, windows: [{ startMs: BEGIN - 24 * HOUR, endMs: BEGIN }], groupBy: [] };
    const sums = async (from: UsageReader) =>
      (await from.usage(ALL, { ...late, standing: await from.standing(ALL) })).map(({ value }) => value);
    expect(await sums(remembering)).toEqual([]);

    const key = { tenant: 'acme', cluster: 'north', namespace: 'web', hour: BEGIN - 5 * HOUR };
    const mark = { cluster: 'north', hour: key.hour / 1000, source: 'late' };
    await store.insert('hour_mark', [{ ...mark, marked: 1 }]);
    settle = async () => {
      const ledger = new Ledger({ store });
      const head = await ledger.head();
      await ledger.append([entryOf({ ...key, quarters: [1n, 2n, 3n, 4n], revision: 1 })]);
      await ledger.project(head);
      await store.insert('hour_mark', [{ ...mark, settled: 1 }]);
    };
    expect(await sums(remembering)).toEqual([10n]);
    expect(await sums(reader)).toEqual([10n]);
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
    await ledger.append(used.filter(({ hour }) => hour >= OPEN_FROM).map((row) => entryOf(row)));
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
