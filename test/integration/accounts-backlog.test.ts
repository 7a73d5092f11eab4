/** Passes over a backlog: what waits in the log goes before them, but not for ever. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AccountsBench, Scrapes } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';
import { until } from '../support/waiting.ts';

const HOUR = Date.UTC(2026, 9, 1, 10);
const MINUTE_MS = 60_000;
/** A hundred rests of a clock that waits for nothing. */
const WHILE_MS = 500;

let opened: TestStore;

beforeEach(async () => {
  opened = await openFastStore();
});

afterEach(() => opened.dispose());

test('no pass follows another while the log has a backlog, until it is worked off or five minutes are over', async () => {
  const bench = new AccountsBench(opened.store, ['north']);
  const scrapes = new Scrapes();
  const stop = new AbortController();
  let minute = 0;
  const scrape = async (): Promise<void> => {
    minute++;
    await bench.take([scrapes.at(HOUR + minute * MINUTE_MS, { cpu: { 'team/web': minute } })]);
  };
  const rolled = (): number => bench.factsNamed('unitRolledUp').length;
  const rolls = (count: number) =>
    until(
      () => `${count} units`,
      async () => (rolled() >= count ? true : undefined),
    );
  const running = bench.accounts.run(stop.signal);
  try {
    await scrape();
    await rolls(1);
    bench.isBehind = true;
    // The pass that may have been under way.
    await sleep(WHILE_MS);
    const before = rolled();
    await scrape();
    await sleep(WHILE_MS);
    expect(rolled()).toBe(before);
    bench.isBehind = false;
    await rolls(before + 1);
    bench.isBehind = true;
    await sleep(WHILE_MS);
    const last = rolled();
    await scrape();
    await rolls(last + 1);
  } finally {
    stop.abort();
    await running;
  }
}, 60_000);
