import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { openMarks } from '../../aggregator/rollup/unit-marks.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import type { TestStore } from '../support/chdb.ts';
import { emptyStore, fullSettings, openFastStore } from '../support/pipeline.ts';
import { at, rollUpOf, scraped, SETTINGS } from '../support/scraped.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(async () => {
  await opened.dispose();
});
beforeEach(() => emptyStore(opened.store));

async function take(...records: readonly LogRecord[]): Promise<void> {
  const config = {
    settings: fullSettings(SETTINGS),
    clusterOfTopic: () => undefined,
    maxBatchBytes: 1 << 20,
    pollMs: 1,
  };
  await new Ingest(config, {
    store: opened.store,
    clock: new SystemClock(),
    facts: { event: () => undefined },
  }).take(records);
}

/** Lines `hh covered/expected` in minutes. */
async function coverage(cluster = 'rt1'): Promise<string[]> {
  const rows = await opened.store.rows<{ hour: number; covered_ms: string; expected_ms: string }>(
    `SELECT toHour(hour) AS hour, covered_ms, expected_ms FROM coverage FINAL
     WHERE cluster = {cluster:String} ORDER BY coverage.hour`,
    { cluster },
  );
  const minutes = (ms: string): number => Number(ms) / MINUTE;
  return rows.map((row) => `${row.hour} ${minutes(row.covered_ms)}/${minutes(row.expected_ms)}`);
}

const MORNING = ['09:00', '09:03', '09:06'].map((time) => scraped(time, { bytes: 1 }));
const AFTERNOON = ['14:30', '14:33'].map((time) => scraped(time, { bytes: 2 }));
const WHOLE = ['8 0/0', '9 6/60', '10 0/60', '11 0/60', '12 0/60', '13 0/60', '14 3/33'];

describe('a cluster that was scraped at nine and again at fourteen has no coverage, and all of it expected, between', () => {
  test('in order', async () => {
    const rollUp = rollUpOf(opened.store);
    await take(...MORNING);
    await rollUp.pass();
    await take(...AFTERNOON);
    await rollUp.pass();
    expect(await coverage()).toEqual(WHOLE);
  });

  test('if the afternoon comes first', async () => {
    const rollUp = rollUpOf(opened.store);
    await take(...AFTERNOON);
    await rollUp.pass();
    await take(...MORNING);
    await rollUp.pass();
    expect(await coverage()).toEqual(WHOLE);
  });

  test('if each is rolled up by another process', async () => {
    await take(...MORNING);
    await rollUpOf(opened.store).pass();
    await take(...AFTERNOON);
    await rollUpOf(opened.store).pass();
    expect(await coverage()).toEqual(WHOLE);
  });

  test('if a process ended before it came to look: the next one looks at all there is', async () => {
    await take(...MORNING, ...AFTERNOON);
    const marks = await openMarks(opened.store);
    await opened.store.insert(
      'unit_mark',
      marks.map(({ cluster, hour, source, marked }) => ({
        cluster,
        hour: hour / 1000,
        source,
        rolled: marked,
      })),
    );
    await take(scraped('20:00', { cluster: 'another' }));
    await rollUpOf(opened.store).pass();
    expect((await coverage()).slice(0, 2)).toEqual(['10 0/60', '11 0/60']);
  });
});

test('silence is rolled up no further than scrapes were expected', async () => {
  const rollUp = rollUpOf(opened.store, { settings: { latenessMs: 90 * MINUTE } });
  await take(...MORNING, ...AFTERNOON);
  await rollUp.pass();
  expect(await coverage()).toEqual(['8 0/0', '9 6/60', '10 0/36', '14 3/3']);
  // Late, and it reaches further than what was there: 09:40 and 90 minutes are 11:10.
  await take(scraped('09:40'));
  await rollUp.pass();
  await rollUp.pass();
  expect(await coverage()).toEqual(['8 0/0', '9 6/60', '10 0/60', '11 0/10', '14 3/3']);
});

test('a target that was removed expects nothing any more, so nothing is marked for it', async () => {
  await take(...MORNING, scraped('09:07', { up: 'removed' }), ...AFTERNOON);
  await rollUpOf(opened.store).pass();
  expect(await coverage()).toEqual(['8 0/0', '9 6/7', '14 3/3']);
});

test('a failed scrape is expected to be followed by others, too', async () => {
  await take(...MORNING, scraped('11:30', { up: 0 }), ...AFTERNOON);
  await rollUpOf(opened.store, { settings: { latenessMs: 60 * MINUTE } }).pass();
  expect(await coverage()).toEqual(['8 0/0', '9 6/60', '10 0/6', '11 0/30', '12 0/30', '14 3/3']);
});

test('an hour of silence is marked once, and is at rest when it is rolled up', async () => {
  const rollUp = rollUpOf(opened.store);
  await take(...MORNING, ...AFTERNOON);
  expect(await rollUp.pass()).toBe(7);
  expect(await rollUp.pass()).toBe(0);
  const open = new Set((await openMarks(opened.store)).map((mark) => mark.hour));
  expect(open).toEqual(new Set([at('14:00')]));
  expect(await rollUpOf(opened.store).pass()).toBe(1);
  const [row] = await opened.store.rows<{ n: string }>(
    'SELECT uniq(hour, source) AS n FROM unit_mark WHERE hour > fromUnixTimestamp({from:Int64}) AND hour < fromUnixTimestamp({to:Int64})',
    { from: at('09:00') / 1000, to: (at('09:00') + 5 * HOUR) / 1000 },
  );
  expect(row?.n).toBe('4');
});
