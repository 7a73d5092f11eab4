import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { markHours, openHours, settleHours } from '../../aggregator/ledger/hour-marks.ts';
import { convertSpan } from '../../aggregator/rollup/convert.ts';
import type { UsageObserver } from '../../aggregator/rollup/observed.ts';
import { SeriesCache } from '../../aggregator/rollup/span-inputs.ts';
import type { SpanBounds } from '../../aggregator/rollup/span-planner.ts';
import { openMarks } from '../../aggregator/rollup/unit-marks.ts';
import { readUsageRows } from '../../aggregator/rollup/usage-rows.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { storedUsage } from '../property/stored-usage.ts';
import { buildWorld } from '../property/worlds.ts';
import type { TestStore } from '../support/chdb.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import {
  emptyStore,
  forgetUsage,
  fullSettings,
  logRecord,
  openFastStore,
  Pipeline,
} from '../support/pipeline.ts';
import { at, rollUpOf, scraped, SETTINGS } from '../support/scraped.ts';

const HOUR = 3_600_000;

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(async () => {
  await opened.dispose();
});
beforeEach(() => emptyStore(opened.store));

async function take(...records: readonly LogRecord[]): Promise<void> {
  await new Pipeline(opened.store, SETTINGS).take(records);
}

/** Every other half hour from nine to fourteen: six hours, of which the last is open. */
const BYTES = ['09:10', '09:40', '10:40', '11:10', '12:10', '12:40', '13:40', '14:10'];

async function sixHours(): Promise<void> {
  await take(...BYTES.map((time, i) => scraped(time, { bytes: i * 60 })));
}

async function quantities(): Promise<bigint[]> {
  return (await readUsageRows(opened.store)).map((row) => row.quantity);
}

describe('hours that are rolled up together', () => {
  const WORLDS = [35, 41, 62, 68].map(buildWorld);
  const WAYS: readonly SpanBounds[] = [{ hours: 1 }, { hours: 2 }, { hours: 5 }, { samples: 40 }, {}];

  test.each(WORLDS)('come to the same as one by one (world $seed)', async ({ records, settings }) => {
    await new Pipeline(opened.store, settings).take(records.map((record) => logRecord(record)));
    const stored: string[][] = [];
    for (const spans of WAYS) {
      await forgetUsage(opened.store);
      await rollUpOf(opened.store, { settings, spans }).pass();
      stored.push([...(await storedUsage(opened.store))].sort());
    }
    expect(stored[0]?.length).toBeGreaterThan(10);
    for (const ofWay of stored) expect(ofWay).toEqual(stored[0]);
  });

  test.each([{ hours: 1 }, {}])(
    'tell series apart that have one sample an hour (spans %o)',
    async (spans) => {
      await take(
        ...[0, 1, 2, 3].map((i) => scraped(`${9 + i}:30`, { bytes: i * i * 60, received: 1000 - i * 10 })),
      );
      await rollUpOf(opened.store, { spans }).pass();
      const rows = await readUsageRows(opened.store);
      const of = (meter: string): bigint[] =>
        rows.filter((row) => row.meter === meter).map((row) => row.quantity);
      expect(of('network_transmit')).toEqual([30n, 120n, 240n, 150n]);
      // Smaller each time: a reset, and all of it.
      expect(of('network_receive')).toEqual([495n, 985n, 975n, 485n]);
    },
  );

  test('are written in as many inserts as one hour', async () => {
    const inserts = async (spans: SpanBounds): Promise<Record<string, number>> => {
      await forgetUsage(opened.store);
      const store = new FaultyStore(opened.store);
      const counts: Record<string, number> = {};
      store.plan = (operation) => {
        counts[operation] = (counts[operation] ?? 0) + 1;
        return undefined;
      };
      await rollUpOf(store, { spans }).pass();
      return counts;
    };
    await sixHours();
    // One for the span, and one for the open hour.
    expect(await inserts({})).toMatchObject({
      'insert closings': 1,
      'insert usage_parts': 2,
      'insert coverage': 2,
      'insert hour_mark': 2,
    });
    expect(await inserts({ hours: 1 })).toMatchObject({ 'insert closings': 5, 'insert usage_parts': 6 });
  });

  test('change no hour beyond them whose start is as it was, and every one whose start is not', async () => {
    const rollUp = rollUpOf(opened.store);
    await sixHours();
    await rollUp.pass();
    const rolled = async (...records: readonly LogRecord[]): Promise<number> => {
      await take(...records);
      return await rollUp.pass();
    };
    // In the middle of nine: its closing stays. At its end: ten goes on from it. Fourteen is refreshed with that.
    expect(await rolled(scraped('09:20', { bytes: 30, up: 'untold' }))).toBe(1);
    expect(await rolled(scraped('09:50', { bytes: 90, up: 'untold' }))).toBe(3);
    expect(await quantities()).toEqual([96n, 64n, 70n, 90n, 80n, 20n]);
  });
});

describe('the ledger is told', () => {
  async function marked(): Promise<number[]> {
    return [...new Set((await openHours(opened.store)).map((mark) => mark.hour))].sort((a, b) => a - b);
  }
  const hours = (from: string, to: string): number[] =>
    Array.from({ length: (at(to) - at(from)) / HOUR + 1 }, (_, i) => at(from) + i * HOUR);

  test('of every hour that was rolled up, that of a refresh among them', async () => {
    await sixHours();
    await rollUpOf(opened.store).pass();
    expect(await marked()).toEqual(hours('09:00', '14:00'));
  });

  test('of an earlier hour that a later unit gives something to, and of one that it does so no longer', async () => {
    const rollUp = rollUpOf(opened.store, { settings: { latenessMs: 60_000 } });
    await take(...['09:30', '12:30', '13:30'].map((time, i) => scraped(time, { bytes: i * 60 })));
    await rollUp.pass();
    await settleHours(opened.store, await openHours(opened.store));
    expect(await marked()).toEqual([]);
    // Ten and eleven had a share of what lay between half past nine and half past twelve: now all of it was before ten.
    await take(scraped('09:40', { bytes: 60, up: 'untold' }));
    await rollUp.pass();
    expect(await marked()).toEqual(hours('09:00', '13:00'));
  });

  test('of one cluster, if it is asked for', async () => {
    const marks = ['rt1', 'rt2'].map((cluster) => ({
      cluster,
      hour: at('09:00'),
      source: 'rollup:1',
      marked: 7n,
    }));
    await markHours(opened.store, marks);
    expect(await openHours(opened.store, { cluster: 'rt2' })).toEqual(marks.slice(1));
    await settleHours(opened.store, marks.slice(1));
    await markHours(opened.store, [{ cluster: 'rt1', hour: at('09:00'), source: 'rollup:1', marked: 6n }]);
    expect(await openHours(opened.store)).toEqual(marks.slice(0, 1));
  });
});

describe('a pass that ends at any call', () => {
  const AWAY = new MeteringError('METER_STORE_UNAVAILABLE', 'the store is away', { retryable: true });

  /** Rows by hour, as a settler would see them. */
  async function byHour(): Promise<Map<number, string>> {
    const rows = await opened.store.rows<{ seconds: number; row: string }>(
      `SELECT toUnixTimestamp(hour) AS seconds, toString(arraySort(groupArray(row))) AS row FROM (
         SELECT hour, toString(tuple(unit, tenant, namespace, meter, q0, q1, q2, q3, missing_ms, samples, flags)) AS row
         FROM usage_parts FINAL
         UNION ALL
         SELECT hour, toString(tuple(meter, covered_ms, expected_ms)) FROM coverage FINAL
       ) GROUP BY hour`,
    );
    return new Map(rows.map(({ seconds, row }) => [seconds * 1000, row]));
  }

  // What has landed can only be an insert.
  test.each([
    ['before', ''],
    ['after', 'insert'],
  ] as const)(
    'leaves everything to the next one, and what was settled meanwhile is marked if it changed (calls fail %s they land)',
    async (when, operations) => {
      // One span, of which none is open.
      const all = { finishBefore: at('20:00') };
      await sixHours();
      await rollUpOf(opened.store).pass(undefined, all);
      const expected = await storedUsage(opened.store);
      let call = 0;
      for (let hasEnded = false; !hasEnded; call++) {
        await forgetUsage(opened.store);
        const store = new FaultyStore(opened.store);
        let left = call;
        store.plan = (operation) =>
          operation.startsWith(operations) && left-- === 0 ? { when, error: AWAY } : undefined;
        const ended = await rollUpOf(store)
          .pass(undefined, all)
          .catch((error: unknown) => error);
        hasEnded = ended !== AWAY;
        const settled = await byHour();
        await settleHours(opened.store, await openHours(opened.store));
        await rollUpOf(opened.store).pass(undefined, all);
        const marked = new Set((await openHours(opened.store)).map((mark) => mark.hour));
        const changed = [...(await byHour())].filter(([hour, rows]) => settled.get(hour) !== rows);
        expect(
          changed.filter(([hour]) => !marked.has(hour)),
          `call ${call}`,
        ).toEqual([]);
        expect(await storedUsage(opened.store), `call ${call}`).toEqual(expected);
      }
      expect(call).toBeGreaterThan(10);
    },
    120_000,
  );
});

describe('an hour that nothing has come after', () => {
  test('is rolled up for good before the time that is named, and goes on growing', async () => {
    const rollUp = rollUpOf(opened.store);
    await sixHours();
    await rollUp.pass(undefined, { finishBefore: at('14:00') });
    expect(await openMarks(opened.store)).not.toEqual([]);
    await rollUp.pass(undefined, { finishBefore: new Map([['another', at('20:00')]]) });
    expect(await openMarks(opened.store)).not.toEqual([]);
    await rollUp.pass(undefined, { finishBefore: new Map([['rt1', at('15:00')]]) });
    expect(await openMarks(opened.store)).toEqual([]);
    const closings = await opened.store.rows(
      'SELECT 1 FROM closings WHERE hour = fromUnixTimestamp({hour:Int64})',
      {
        hour: at('14:00') / 1000,
      },
    );
    expect(closings).toHaveLength(1);
    await take(scraped('14:40', { bytes: 600 }), scraped('15:10', { bytes: 700 }));
    await rollUp.pass();
    expect((await quantities()).slice(-2)).toEqual([20n + 180n + 66n, 34n]);
  });

  test('is rolled up for good with a time for all clusters as well', async () => {
    await sixHours();
    await rollUpOf(opened.store).pass(undefined, { finishBefore: at('15:00') });
    expect(await openMarks(opened.store)).toEqual([]);
  });
});

test('whoever observes a conversion is told of every interval and the sample that it is from, and changes nothing', async () => {
  await sixHours();
  const seen: string[] = [];
  const minutes = (t: number): string => new Date(t).toISOString().slice(11, 16);
  const observer: UsageObserver = {
    begin: ({ series }) => seen.push(`${series.size} series`),
    usage: ({ meta, unit }, { from, to, quantity }, sample) =>
      seen.push(
        `${meta.meter.name} ${minutes(unit)}: ${quantity} on ${minutes(from)}-${minutes(to)}, ${sample.value}`,
      ),
    missing: () => seen.push('missing'),
    counted: (_, flags, sample) => seen.push(`flags ${flags} at ${minutes(sample.t)}`),
  };
  const span = { cluster: 'rt1', first: at('09:00'), last: at('10:00') };
  const options = { settings: fullSettings(SETTINGS), cache: new SeriesCache() };
  const plain = await convertSpan(opened.store, span, options);
  expect(await convertSpan(opened.store, span, { ...options, observer })).toEqual(plain);
  expect(plain.map((unit) => [minutes(unit.hour), unit.samples])).toEqual([
    ['09:00', 2],
    ['10:00', 1],
  ]);
  expect(seen).toEqual([
    '1 series',
    'flags 8 at 09:10',
    'network_transmit 09:00: 60 on 09:10-09:40, 60',
    'flags 2 at 09:40',
    'network_transmit 10:00: 60 on 09:40-10:40, 120',
    'flags 2 at 10:40',
  ]);
});
