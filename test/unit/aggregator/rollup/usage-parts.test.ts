import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_BREAKDOWN, type SeriesBreakdown } from '../../../../aggregator/attribution/breakdown.ts';
import { Ownership } from '../../../../aggregator/attribution/ownership.ts';
import {
  MAX_DESTINATIONS,
  OTHER_DESTINATIONS,
  UsageParts,
  type UsageDetail,
  type UsagePart,
} from '../../../../aggregator/rollup/usage-parts.ts';

const HOUR = 3_600_000;
const QUARTER = 900_000;

/** `shop` moves from acme to globex twenty minutes into hour 10. */
const MOVED_AT = 10 * HOUR + 20 * 60_000;
const sightings = new Map([
  [
    'shop',
    [
      { t: 0, tenant: 'acme' },
      { t: MOVED_AT, tenant: 'globex' },
    ],
  ],
]);

function partsOf(give: (parts: UsageParts) => void, namespace = 'shop'): UsagePart[] {
  const parts = new UsageParts(new Ownership([], sightings));
  parts.series(namespace, 'cpu');
  give(parts);
  return parts.finish().parts.sort((a, b) => a.hour - b.hour || (a.tenant < b.tenant ? -1 : 1));
}

function brief(parts: readonly UsagePart[]): unknown[] {
  return parts.map(({ hour, tenant, quarters }) => [hour / HOUR, tenant, ...quarters]);
}

describe('usage', () => {
  test('within a quarter goes there, also where it ends on it or begins with it', () => {
    const given = partsOf((parts) => {
      parts.usage(9 * HOUR + QUARTER, 9 * HOUR + QUARTER + 1, 5n);
      parts.usage(9 * HOUR + QUARTER + 1, 9 * HOUR + 2 * QUARTER, 7n);
      parts.usage(9 * HOUR + 2 * QUARTER, 9 * HOUR + 2 * QUARTER + 1, 11n);
      parts.usage(9 * HOUR, 9 * HOUR + 1, 1n);
      parts.usage(9 * HOUR + 3 * QUARTER, 10 * HOUR, 13n);
    });
    expect(brief(given)).toEqual([[9, 'acme', 1n, 12n, 11n, 13n]]);
  });

  test('over quarters, hours and owners is split between them', () => {
    const given = partsOf((parts) => parts.usage(10 * HOUR, 10 * HOUR + 2 * QUARTER, 90n));
    expect(brief(given)).toEqual([
      [10, 'acme', 45n, 15n, 0n, 0n],
      [10, 'globex', 0n, 30n, 0n, 0n],
    ]);
    expect(brief(partsOf((parts) => parts.usage(9.5 * HOUR, 12.25 * HOUR, 7n)))).toEqual([
      [9, 'acme', 0n, 0n, 0n, 1n],
      [10, 'acme', 0n, 1n, 0n, 0n],
      [10, 'globex', 0n, 0n, 1n, 0n],
      [11, 'globex', 1n, 1n, 0n, 1n],
      [12, 'globex', 1n, 0n, 0n, 0n],
    ]);
  });

  test('after a change of owner is the new one’s, though the quarter is the same', () => {
    const given = partsOf((parts) => {
      parts.usage(MOVED_AT - 10, MOVED_AT, 5n);
      parts.usage(MOVED_AT, MOVED_AT + 10, 7n);
      parts.usage(MOVED_AT - 10, MOVED_AT, 1n);
    });
    expect(brief(given)).toEqual([
      [10, 'acme', 0n, 6n, 0n, 0n],
      [10, 'globex', 0n, 7n, 0n, 0n],
    ]);
  });

  test('makes no row where its share is nothing', () => {
    const given = partsOf((parts) => parts.usage(10 * HOUR, 10 * HOUR + 2 * QUARTER, 1n));
    expect(brief(given)).toEqual([[10, 'globex', 0n, 1n, 0n, 0n]]);
  });

  test('of another series does not go to the one before', () => {
    const given = partsOf((parts) => {
      parts.usage(9 * HOUR, 9 * HOUR + 1, 1n);
      parts.counted(9 * HOUR + 1, 0);
      parts.series('shop', 'memory');
      parts.usage(9 * HOUR, 9 * HOUR + 1, 2n);
      parts.counted(9 * HOUR + 1, 1);
      parts.series('blog', 'memory');
      parts.usage(9 * HOUR, 9 * HOUR + 1, 4n);
    });
    expect(
      given.map(({ namespace, meter, quarters, samples, flags }) => [
        namespace,
        meter,
        quarters[0],
        samples,
        flags,
      ]),
    ).toEqual([
      ['shop', 'cpu', 1n, 1, 0],
      ['shop', 'memory', 2n, 1, 1],
      ['blog', 'memory', 4n, 0, 0],
    ]);
  });
});

test('missing time is split and attributed like usage', () => {
  const given = partsOf((parts) => parts.missing(10 * HOUR - 1, 10 * HOUR + 30 * 60_000));
  expect(given.map(({ hour, tenant, missingMs }) => [hour / HOUR, tenant, missingMs])).toEqual([
    [9, 'acme', 1n],
    [10, 'acme', 1_200_000n],
    [10, 'globex', 600_000n],
  ]);
});

test('a sample counts where what ends at it lies: in the earlier hour, with the owner before', () => {
  const given = partsOf((parts) => {
    for (const t of [10 * HOUR, 10 * HOUR + 1, 10 * HOUR, 9 * HOUR, MOVED_AT, MOVED_AT + 1, 11 * HOUR]) {
      parts.counted(t, 0);
    }
    parts.counted(11 * HOUR, 1);
    parts.counted(11 * HOUR, 4);
    parts.counted(11 * HOUR + 1, 2);
  });
  expect(given.map(({ hour, tenant, samples, flags }) => [hour / HOUR, tenant, samples, flags])).toEqual([
    [8, 'acme', 1, 0],
    [9, 'acme', 2, 0],
    [10, 'acme', 2, 0],
    [10, 'globex', 4, 5],
    [11, 'globex', 1, 2],
  ]);
});

describe('all that was measured', () => {
  const measuredOf = (give: (parts: UsageParts) => void): unknown[] => {
    const parts = new UsageParts(new Ownership([], sightings));
    parts.series('shop', 'cpu');
    give(parts);
    return parts.measured().map(({ hour, meter, quantity }) => [hour / HOUR, meter, quantity]);
  };

  test('is cut at hours, not at quarters or owners; one that ends with an hour is the earlier one’s', () => {
    const given = measuredOf((parts) => {
      parts.usage(9.5 * HOUR, 12.25 * HOUR, 7n);
      parts.usage(10 * HOUR, 11 * HOUR, 90n);
      parts.usage(11 * HOUR - 1, 11 * HOUR, 100n);
    });
    expect(given).toEqual([
      [9, 'cpu', 1n],
      [10, 'cpu', 192n],
      [11, 'cpu', 3n],
      [12, 'cpu', 1n],
    ]);
  });

  test('has no row where it is nothing', () => {
    expect(measuredOf((parts) => parts.usage(9 * HOUR, 11 * HOUR, 1n))).toEqual([[10, 'cpu', 1n]]);
    expect(measuredOf((parts) => parts.missing(9 * HOUR, 11 * HOUR))).toEqual([]);
  });

  test('is by meter, over all namespaces', () => {
    const given = measuredOf((parts) => {
      parts.usage(9 * HOUR, 9 * HOUR + 1, 1n);
      parts.series('blog', 'cpu');
      parts.usage(9 * HOUR, 9 * HOUR + 1, 2n);
      parts.series('shop', 'memory');
      parts.usage(9 * HOUR, 9 * HOUR + 1, 4n);
      parts.series('shop', 'cpu');
      parts.usage(9 * HOUR, 9 * HOUR + 1, 8n);
    });
    expect(given).toEqual([
      [9, 'cpu', 11n],
      [9, 'memory', 4n],
    ]);
  });

  test('of a node is measured, and nobody’s part', () => {
    const parts = new UsageParts(new Ownership([], sightings));
    parts.series('', 'node_cpu');
    parts.usage(9 * HOUR, 10.5 * HOUR, 30n);
    parts.missing(9 * HOUR, 10 * HOUR);
    parts.counted(9 * HOUR, 1);
    expect(parts.finish().parts).toEqual([]);
    expect(parts.measured()).toEqual([
      { hour: 9 * HOUR, meter: 'node_cpu', quantity: 20n },
      { hour: 10 * HOUR, meter: 'node_cpu', quantity: 10n },
    ]);
    parts.series('', 'cpu');
    parts.usage(9 * HOUR, 10 * HOUR, 4n);
    expect(brief(parts.finish().parts)).toEqual([[9, 'unattributed', 1n, 1n, 1n, 1n]]);
  });

  test('is what the parts of an hour add up to, whatever the intervals and owners', () => {
    const interval = fc.record({
      namespace: fc.constantFrom('shop', 'blog'),
      from: fc.integer({ min: 8 * HOUR, max: 12 * HOUR }),
      length: fc.oneof(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 1, max: 5 * HOUR })),
      quantity: fc.bigInt({ min: 1n, max: 2n ** 90n }),
    });
    const moves = fc.array(
      fc.record({ t: fc.integer({ min: 8 * HOUR, max: 14 * HOUR }), tenant: fc.string() }),
    );
    fc.assert(
      fc.property(fc.array(interval), moves, (intervals, seen) => {
        const inOrder = seen.toSorted((a, b) => a.t - b.t);
        const parts = new UsageParts(new Ownership([], new Map([['shop', inOrder]])));
        for (const { namespace, from, length, quantity } of intervals) {
          parts.series(namespace, 'cpu');
          parts.usage(from, from + length, quantity);
        }
        const sums = new Map<number, bigint>();
        for (const { hour, quarters } of parts.finish().parts)
          sums.set(
            hour,
            quarters.reduce((a, b) => a + b, sums.get(hour) ?? 0n),
          );
        expect(new Map(parts.measured().map(({ hour, quantity }) => [hour, quantity]))).toEqual(sums);
      }),
    );
  });
});

describe('details', () => {
  const always = (value: string): SeriesBreakdown['workload'] => ({ times: [-Infinity], values: [value] });
  const to = (destination: string): SeriesBreakdown => ({ ...NO_BREAKDOWN, destination });
  const detailsOf = (give: (parts: UsageParts) => void): ReturnType<UsageParts['finish']> => {
    const parts = new UsageParts(new Ownership([], sightings));
    give(parts);
    return parts.finish();
  };

  test('are cut where the workload changes, and sum to the part', () => {
    const workload = { times: [-Infinity, 9 * HOUR + 20 * 60_000], values: ['ReplicaSet/a', 'ReplicaSet/b'] };
    const { parts, details } = detailsOf((usage) => {
      usage.series('shop', 'cpu', { ...NO_BREAKDOWN, workload });
      usage.usage(9 * HOUR + 10 * 60_000, 9 * HOUR + 40 * 60_000, 91n);
    });
    expect(details.map(({ workload: name, quarters }) => [name, ...quarters])).toEqual([
      ['ReplicaSet/a', 15n, 15n, 0n, 0n],
      ['ReplicaSet/b', 0n, 30n, 31n, 0n],
    ]);
    expect(brief(parts)).toEqual([[9, 'acme', 15n, 45n, 31n, 0n]]);
  });

  test('of series after each other are told apart, whatever interval came before', () => {
    const { details } = detailsOf((usage) => {
      for (const [name, quantity] of [
        ['fast', 5n],
        ['slow', 7n],
        ['fast', 11n],
      ] as const) {
        usage.series('shop', 'storage', { ...NO_BREAKDOWN, storageClass: always(name) });
        usage.usage(9 * HOUR, 9 * HOUR + 1, quantity);
      }
    });
    expect(details.map(({ storageClass, quarters }) => [storageClass, quarters[0]])).toEqual([
      ['fast', 16n],
      ['slow', 7n],
    ]);
  });

  test('name the largest destinations of a key, of equal ones the first by name, and sum up the others', () => {
    const name = (i: number): string => `10.0.0.${String(i).padStart(3, '0')}`;
    const given = (order: readonly number[]): readonly UsageDetail[] =>
      detailsOf((usage) => {
        for (const i of order) {
          usage.series('shop', 'egress', to(name(i)));
          usage.usage(9 * HOUR, 9 * HOUR + 1, i === 7 ? 1000n : 3n);
        }
        usage.series('blog', 'egress', to(name(0)));
        usage.usage(9 * HOUR, 9 * HOUR + 1, 1n);
      }).details.toSorted((a, b) => (a.destination < b.destination ? -1 : 1));
    const order = Array.from({ length: MAX_DESTINATIONS + 20 }, (_, i) => i);
    const details = given(order).filter(({ namespace }) => namespace === 'shop');
    expect(details.map(({ destination }) => destination)).toEqual([
      OTHER_DESTINATIONS,
      ...order.slice(0, MAX_DESTINATIONS).map(name),
    ]);
    expect(details[0]?.quarters).toEqual([60n, 0n, 0n, 0n]);
    expect(given(order.toReversed())).toEqual(given(order));
    const few = given(order.slice(0, MAX_DESTINATIONS));
    expect(few.some(({ destination }) => destination === OTHER_DESTINATIONS)).toBe(false);
  });
});
