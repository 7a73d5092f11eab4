/**
 * Two processes on the same units at once, stopped where one of them does not see what the other one does.
 * Whatever they wrote, once all marks are honoured it has to be what one process makes of it alone.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { differencesFromScratch } from '../property/stored-usage.ts';
import type { ModelSettings } from '../model/record.ts';
import type { TestStore } from '../support/chdb.ts';
import { GatedStore } from '../support/gated-store.ts';
import { emptyStore, fullSettings, openFastStore } from '../support/pipeline.ts';
import { Random } from '../property/worlds/random.ts';
import { rollUpOf, scraped, SETTINGS } from '../support/scraped.ts';

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(async () => {
  await opened.dispose();
});
beforeEach(() => emptyStore(opened.store));

const FACTS = { event: () => undefined };

async function take(...records: readonly LogRecord[]): Promise<void> {
  const config = {
    settings: fullSettings(SETTINGS),
    clusterOfTopic: () => undefined,
    maxBatchBytes: 1 << 20,
    pollMs: 1,
  };
  await new Ingest(config, { store: opened.store, clock: new SystemClock(), facts: FACTS }).take(records);
}

/** A sample without the scrape that it came with. */
function late(time: string, bytes: number): LogRecord {
  return scraped(time, { bytes, up: 'untold' });
}

/** Four hours of one series; the last of them is open. */
async function fourHours(): Promise<void> {
  const times = ['09:10', '09:40', '10:10', '10:40', '11:10', '11:40', '12:10'];
  await take(...times.map((time, i) => scraped(time, { bytes: i * 100 })));
}

/** What is left to do, and then the same from scratch. */
async function differencesAtRest(settings: ModelSettings = SETTINGS): Promise<string[]> {
  const rollUp = rollUpOf(opened.store, { settings });
  while ((await rollUp.pass()) > 0) continue;
  return await differencesFromScratch(opened.store, settings);
}

const PLANNING = (call: string): boolean => call.includes('AS newest FROM unit_mark');
const WRITING_CLOSINGS = (call: string): boolean => call === 'insert closings';
const READING_STORED_CLOSINGS = (call: string): boolean =>
  call.includes('FROM closings') && !call.includes('FROM samples');
const WRITING_PARTS = (call: string): boolean => call === 'insert usage_parts';

test.each(['after', 'before'])(
  'an hour that was begun with a closing that then changed, and written %s the other one wrote both, is done again',
  async (order) => {
    await fourHours();
    await rollUpOf(opened.store).pass();
    const [first, second] = [new GatedStore(opened.store), new GatedStore(opened.store)];

    await take(late('10:50', 380));
    const knowsOfTen = second.stopBefore(PLANNING);
    const secondPass = rollUpOf(second).pass();
    const goOnSecond = await knowsOfTen;

    // Nine and ten are one span of the first, which has read both and written nothing.
    await take(late('09:50', 190));
    const hasRead = first.stopBefore(WRITING_CLOSINGS);
    const firstPass = rollUpOf(first).pass();
    const goOnFirst = await hasRead;

    // The second begins later, and with the closing of nine as it was.
    const hasFolded = second.stopBefore(READING_STORED_CLOSINGS);
    goOnSecond();
    const finishSecond = await hasFolded;
    const finish = [
      async () => (goOnFirst(), await firstPass),
      async () => (finishSecond(), await secondPass),
    ];
    for (const each of order === 'after' ? finish : finish.reverse()) await each();
    expect(await differencesAtRest()).toEqual([]);
  },
);

test.each([
  ['before the other one writes its closings', WRITING_CLOSINGS],
  ['before the other one looks who goes on from them', READING_STORED_CLOSINGS],
  ['before the other one writes its parts', WRITING_PARTS],
])('an hour that is rolled up for the first time, %s, is done again', async (_, where) => {
  // So short that ten is not expected, and nobody marks it before it comes.
  const settings = { ...SETTINGS, latenessMs: 600_000 };
  await take(...['09:10', '09:40', '11:10'].map((time, i) => scraped(time, { bytes: i * 100 })));
  const [first, second] = [new GatedStore(opened.store), new GatedStore(opened.store)];

  // The first knows nothing of ten, and will see more of nine than the second.
  const knowsOfNine = first.stopBefore(PLANNING);
  const firstPass = rollUpOf(first, { settings }).pass();
  const goOnFirst = await knowsOfNine;
  await take(scraped('10:10', { bytes: 150 }));

  const hasRolledNine = second.stopBefore((call) => call.includes('DISTINCT toUnixTimestamp(unit)'));
  const secondPass = rollUpOf(second, { settings, spans: { hours: 1 } }).pass();
  const goOnSecond = await hasRolledNine;
  const foldsTen = second.stopBefore(WRITING_CLOSINGS);
  goOnSecond();
  const finishSecond = await foldsTen;

  await take(late('09:50', 120));
  const isThere = first.stopBefore(where);
  goOnFirst();
  const finishFirst = await isThere;
  finishSecond();
  await secondPass;
  finishFirst();
  await firstPass;
  expect(await differencesAtRest(settings)).toEqual([]);
});

const ANYWHERE = 60;

test.each([1, 2, 3, 4, 5, 6])(
  'two passes that are stopped anywhere come to the same (seed %i)',
  async (seed) => {
    const random = new Random(seed);
    await fourHours();
    await rollUpOf(opened.store).pass();
    const stopAfter = (calls: number): ((call: string) => boolean) => {
      let left = calls;
      return () => left-- === 0;
    };
    const start = (hours: number): { pass: Promise<unknown>; reached: Promise<() => void> } => {
      const store = new GatedStore(opened.store);
      const reached = store.stopBefore(stopAfter(random.int(0, ANYWHERE)));
      const pass = rollUpOf(store, { spans: { hours } }).pass();
      return { pass, reached: Promise.race([reached, pass.then(() => () => undefined)]) };
    };
    await take(late('10:50', 380));
    const one = start(48);
    const goOn = await one.reached;
    await take(late('09:50', 190), late('11:50', 590));
    const other = start(random.pick([1, 2, 48]));
    const goOnOther = await other.reached;
    await take(late('09:55', 195));
    for (const [go, pass] of random.pick([
      [
        [goOn, one.pass],
        [goOnOther, other.pass],
      ],
      [
        [goOnOther, other.pass],
        [goOn, one.pass],
      ],
    ] as const)) {
      go();
      await pass;
    }
    expect(await differencesAtRest()).toEqual([]);
  },
);
