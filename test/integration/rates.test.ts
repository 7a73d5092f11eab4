import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Rate } from '../../aggregator/api/usage/rates.ts';
import { UsageRows, type UsageQuestion } from '../../aggregator/api/usage/rows.ts';
import { StoreUsageReader, type UsedHours } from '../../aggregator/api/usage-reader.ts';
import { usageReport, type ReportRow } from '../../aggregator/api/usage-report.ts';
import { windowsBetween } from '../../core/metering/windows.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { markOpen, partRow, seconds, type RolledPart } from '../support/rolled-usage.ts';

/** Three days of six namespaces, in every hour of which one of them used nothing. */
const BEGIN = Date.UTC(2026, 9, 1);
const HOURS = 72;
const HOUR_MS = 3_600_000;
const NAMESPACES = ['a', 'b', 'c', 'd', 'e', 'f'];

let testStore: TestStore;

beforeAll(async () => {
  testStore = await openTestStore();
  const { store } = testStore;
  const hours = Array.from({ length: HOURS }, (_, i) => new Date(BEGIN + i * HOUR_MS).toISOString());
  const parts: RolledPart[] = hours.flatMap((hour, i) =>
    NAMESPACES.filter((_, j) => i % NAMESPACES.length !== j).map((namespace, j) => ({
      ...{ hour, tenant: 'acme', namespace },
      quarters: [BigInt((i * 7919 + j * 104_729) % 1000), 2n ** 70n, 0n, 1n] as const,
    })),
  );
  await store.insert('usage_parts', parts.map(partRow));
  await markOpen(store, parts);
  const scraped = { cluster: 'north', meter: 'cpu', covered_ms: 1, expected_ms: 1, version: 1 };
  await store.insert(
    'coverage',
    hours.map((hour) => ({ ...scraped, hour: seconds(hour) })),
  );
});

afterAll(async () => {
  await testStore.dispose();
});

/** Keeps how many hours it ever gave at once. */
class CountingReader extends StoreUsageReader {
  most = 0;

  override async usedHours(
    ...asked: Parameters<StoreUsageReader['usedHours']>
  ): Promise<readonly UsedHours[]> {
    const rows = await super.usedHours(...asked);
    this.most = Math.max(
      this.most,
      rows.reduce((sum, { hours }) => sum + hours.length, 0),
    );
    return rows;
  }
}

async function begin(question: UsageQuestion, hoursAtOnce?: number) {
  const reader = new CountingReader({ queryTimeoutMs: 10_000 }, testStore);
  const held = hoursAtOnce === undefined ? {} : { hoursAtOnce };
  return { reader, rows: await UsageRows.begin(question, { scope: { kind: 'all' }, reader, ...held }) };
}

function questionOf(aggregation: Rate, windowSize: 'DAY' | 'MONTH', top?: number): UsageQuestion {
  const windows = windowsBetween(BEGIN, BEGIN + HOURS * HOUR_MS, windowSize, 'UTC');
  return { meter: 'cpu', windows, groupBy: ['namespace'], filters: {}, aggregation, top };
}

const QUESTIONS = [questionOf('p95', 'DAY'), questionOf('avg', 'MONTH'), questionOf('max', 'MONTH', 4)];

/** Less than a row has, one group of a month, a day and some more, and all there is. */
test.each([1, 72, 216, 10_000])(
  'rates are the same of %i hours at once, and no more are held',
  async (hours) => {
    for (const question of QUESTIONS) {
      const whole = await (await begin(question)).rows.atMost(1_000);
      if (whole === undefined) throw new Error('there are fewer rows');
      const wanted = usageReport(whole);
      expect(wanted).toHaveLength(question.windows.length * (question.top ?? NAMESPACES.length));
      const ofOneRow = question.windows.length > 1 ? 24 : HOURS;
      const streaming = await begin(question, hours);
      const streamed: ReportRow[] = [];
      for await (const batch of (await streaming.rows.batches()) ?? []) streamed.push(...batch);
      expect(streamed).toEqual(wanted);
      expect(streaming.reader.most).toBeLessThanOrEqual(Math.max(hours, ofOneRow));
      const { rows, reader } = await begin(question, hours);
      expect((await rows.atMost(1_000)) === undefined).toBe(ofOneRow * wanted.length > hours);
      expect(reader.most).toBeLessThanOrEqual(Math.max(hours, ofOneRow) + ofOneRow);
    }
  },
);

test('pages of rates are full, however many hours are held at once', async () => {
  for (const question of QUESTIONS) {
    const whole = await (await begin(question)).rows.atMost(1_000);
    const wanted = whole === undefined ? [] : usageReport(whole);
    const { rows } = await begin(question, 72);
    const read: ReportRow[] = [];
    for (let more = true; more;) {
      const last = read.at(-1);
      const after = last && { windowStartMs: last.window.startMs, group: last.group };
      const page = await rows.page(after, 4);
      expect(page?.rows.length).toBe(Math.min(4, wanted.length - read.length));
      read.push(...(page?.rows ?? []));
      more = page?.more === true;
    }
    expect(read).toEqual(wanted);
  }
});
