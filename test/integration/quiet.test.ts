/** Moments in which the store holds exactly the records below a cut. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { activeHolds, journalPositions, ONE_PROCESS, Quiet } from '../../aggregator/ledger/quiet.ts';
import { markUnits } from '../../aggregator/rollup/unit-marks.ts';
import { AccountsBench, Scrapes } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { MemoryLog } from '../support/memory-log.ts';
import { openFastStore } from '../support/pipeline.ts';

const OCTOBER = Date.UTC(2026, 9, 1);

let opened: TestStore;
let bench: AccountsBench;
const scrapes = new Scrapes();
beforeEach(async () => {
  opened = await openFastStore();
  bench = new AccountsBench(opened.store, ['north']);
  await bench.take([scrapes.at(OCTOBER, { cpu: { 'web/a': 1 } })]);
});
afterEach(() => opened.dispose());

function quietOf(config: Partial<typeof ONE_PROCESS> = {}): Quiet {
  return new Quiet({ ...ONE_PROCESS, ...config }, { store: opened.store, clock: bench.clock });
}

describe('a quiet moment', () => {
  test('knows the cut, and that it lasts', async () => {
    const seen = await quietOf().during('test', async ({ cut, lasts }) => ({ cut, lasts: await lasts() }));
    expect(seen).toEqual({ cut: await journalPositions(opened.store), lasts: true });
    expect(seen?.cut).toHaveLength(1);
  });

  test('does not last when a batch is begun in it, however early it is caught', async () => {
    const lasted = await quietOf().during('test', async ({ lasts }) => {
      const mark = { cluster: 'north', hour: OCTOBER, source: 'usage.north/0', marked: 1_000n };
      await markUnits(opened.store, [mark]);
      return await lasts();
    });
    expect(lasted).toBe(false);
  });

  test('is not had while a batch is being written', async () => {
    const mark = { cluster: 'north', hour: OCTOBER, source: 'usage.north/0', marked: 1_000n };
    await markUnits(opened.store, [mark]);
    const held = quietOf({ patienceMs: 0 }).during('test', () => Promise.resolve('had'));
    expect(await held).toBeUndefined();
  });

  test('is had by one at a time: the first who asked', async () => {
    const second = await quietOf().during('first', () =>
      quietOf().during('second', () => Promise.resolve(2)),
    );
    expect(second).toBeUndefined();
    expect(await quietOf().during('third', () => Promise.resolve(3))).toBe(3);
  });

  test('ends with its work, also when that fails', async () => {
    const failing = quietOf().during('test', () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(await activeHolds(opened.store, bench.clock.now())).toEqual([]);
  });

  test('of a process that died runs out', async () => {
    const until = bench.clock.now() + 60_000;
    await opened.store.insert('hold', [{ holder: 'dead', purpose: 'test', until, released: 0 }]);
    expect(await quietOf().during('test', () => Promise.resolve(1))).toBeUndefined();
    bench.clock.advance(60_001);
    expect(await quietOf().during('test', () => Promise.resolve(1))).toBe(1);
  });
});

test('an ingest that is asked to wait stores nothing until the moment is over', async () => {
  const log = new MemoryLog({ clock: bench.clock });
  const record = scrapes.at(OCTOBER + 60_000, { cpu: { 'web/a': 2 } });
  await log.append([{ ...record, partition: 0 }]);
  const consumer = await log.consumer({ group: 'test', topics: ['usage.north'] });
  const stop = new AbortController();
  const samples = async (): Promise<number> =>
    Number((await opened.store.rows<{ n: string }>('SELECT count() AS n FROM samples'))[0]?.n);
  const before = await samples();
  let running: Promise<void> | undefined;
  await quietOf().during('test', async ({ lasts }) => {
    running = bench.ingest.run(consumer, stop.signal);
    for (let i = 0; i < 20; i++) await bench.clock.sleep(5);
    expect(await samples()).toBe(before);
    expect(await lasts()).toBe(true);
  });
  while ((await samples()) === before) await bench.clock.sleep(5);
  stop.abort();
  await running;
  expect(await samples()).toBe(before + 1);
});
