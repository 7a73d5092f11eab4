/**
 * How fast the API answers 50 connections that ask on and on, and whether it matters how much lies in the store:
 * the open month and one closed month of hourly rows are loaded and measured, then eleven closed months are loaded
 * beside them and the same is measured again. While it is measured, open hours are rolled up again, so that no answer may be kept for long.
 *
 *   npm run bench -- api [--tenants 1000] [--months 13] [--seconds 10] [--keep DIRECTORY]
 *
 * Ends with 1 if a figure misses its bound, of which the ratio is one.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { apiOf } from '../../aggregator/api/listeners.ts';
import { DEFAULT_LIMITS } from '../../aggregator/api/limits/config.ts';
import type { Api } from '../../aggregator/api/server.ts';
import { ChdbStore } from '../../aggregator/store/clickhouse/chdb.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { SCHEMA_DIRECTORY } from '../support/chdb.ts';
import { HOUR, loadMonth, loadNow, monthsBefore, rollUp } from './api/load.ts';
import type { Load } from './api/plan.ts';
import { fire, isMet, resultLine, scenarios, type Result, type Scenario } from './api/fire.ts';
import { measure } from './measure.ts';
import { QUIET } from './workbench.ts';

const OPEN = 202611;
const NOW = Date.UTC(2026, 10, 28, 22, 20);
const METERS = ['cpu', 'memory', 'network_transmit', 'egress', 'storage'];
const ROLL_UP_EVERY_MS = 2_000;
const WARM_SECONDS = 5;
const MOST_TIMES = 10;
/** Nothing is merged any more if nothing was at so many looks; at most for so long. */
const QUIET_LOOKS = 10;
const LOOK_MS = 500;
const MERGING_MS = 300_000;
/** Slower than with one month loaded by less than this. */
const MAX_RATIO = 1.3;

export async function benchApi(args: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const options = { tenants: text, months: text, seconds: text, keep: text };
  const { values } = parseArgs({ args: [...args], options });
  const load: Load = {
    ...{ tenants: Number(values.tenants ?? 1_000), meters: METERS, namespaces: 3 },
    ...{ open: OPEN, nowMs: NOW },
  };
  const directory = values.keep ?? (await mkdtemp(join(tmpdir(), 'gh0stmeter-bench-')));
  const store = await ChdbStore.open({ path: directory });
  try {
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    return await run(store, load, {
      months: Number(values.months ?? 13),
      seconds: Number(values.seconds ?? 10),
    });
  } finally {
    await store.close();
    if (values.keep === undefined) await rm(directory, { recursive: true, force: true });
  }
}

async function run(
  store: UsageStore,
  load: Load,
  { months, seconds }: { readonly months: number; readonly seconds: number },
): Promise<number> {
  const [closed = OPEN, ...others] = monthsBefore(OPEN, months - 1);
  if ((await store.rows('SELECT 1 FROM usage_current LIMIT 1')).length === 0) {
    await loaded(store, load, [OPEN, closed]);
    await loadNow(store, load);
  }
  const one = await measured(store, load, seconds);
  await loaded(store, load, others);
  const all = await measured(store, load, seconds);
  let missed = [...one, ...all].filter((result) => !isMet(result)).length;
  for (const [i, { name, p99 }] of all.entries()) {
    const ratio = p99 / Math.max(1, one[i]?.p99 ?? 1);
    if (ratio >= MAX_RATIO) missed++;
    tell(`${name.padEnd(34)} p99 with ${months} months / with two: ${ratio.toFixed(2)} (below ${MAX_RATIO})`);
  }
  return missed === 0 ? 0 : 1;
}

async function loaded(store: UsageStore, load: Load, months: readonly number[]): Promise<void> {
  for (const month of months) {
    const { result, wallSeconds } = await measure(() => loadMonth(store, load, month));
    tell(`${month}: ${result.toLocaleString('en-US')} hourly rows in ${wallSeconds.toFixed(1)} s`);
  }
  const rows = await store.rows<{ name: string; n: string; bytes: string }>(
    `SELECT table AS name, sum(rows) AS n, formatReadableSize(sum(bytes_on_disk)) AS bytes FROM system.parts
     WHERE active AND table IN ('usage_current', 'usage_day') GROUP BY table ORDER BY table`,
  );
  for (const { name, n, bytes } of rows) tell(`${name}: ${Number(n).toLocaleString('en-US')} rows, ${bytes}`);
  await merged(store);
}

/** Months come one by one, and are merged long before the next: here all of them have just been written. */
async function merged(store: UsageStore): Promise<void> {
  const clock = new SystemClock();
  const endMs = clock.now() + MERGING_MS;
  for (let quiet = 0; quiet < QUIET_LOOKS && clock.now() < endMs;) {
    await clock.sleep(LOOK_MS);
    quiet = (await store.rows('SELECT 1 FROM system.merges LIMIT 1')).length === 0 ? quiet + 1 : 0;
  }
}

async function measured(store: UsageStore, load: Load, seconds: number): Promise<readonly Result[]> {
  const limits = { ...DEFAULT_LIMITS, requestsPerIdentity: 10_000 };
  const rate = { perSecond: 1_000_000, burst: 1_000_000 };
  const api = apiOf(
    { host: '127.0.0.1', port: 0, limits: { ...limits, memberRate: rate, readAllRate: rate } },
    {
      ...{ store, checks: [], clock: { now: () => load.nowMs, sleep: () => Promise.resolve() } },
      facts: { ...QUIET, metricsText: () => Promise.resolve('') },
    },
  );
  await api.start();
  const rolling = rollUpAgainAndAgain(store, load);
  try {
    return await fireAll(api, load, seconds);
  } finally {
    await rolling.stop();
    await api.stop();
  }
}

async function fireAll(api: Api, load: Load, seconds: number): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const scenario of scenarios(load)) {
    await askFirst(api, scenario);
    const result = await fire(api.url, scenario, { seconds });
    results.push(result);
    tell(resultLine(result));
  }
  return results;
}

/** The first seconds are those of the machine code, and of what nobody asked for yet: told, without a bound. */
async function askFirst(api: Api, scenario: Scenario): Promise<void> {
  const { name, paths } = scenario;
  const { p50, p99, perSecond, requests } = await fire(api.url, scenario, { seconds: WARM_SECONDS });
  tell(`${name.padEnd(34)} p50 ${p50} ms, p99 ${p99} ms, ${perSecond.toFixed(0)} /s, as first asked`);
  // Until everything was asked for once.
  let asked = requests;
  for (let i = 0; i < MOST_TIMES && asked < paths.length; i++)
    asked += (await fire(api.url, scenario, { seconds: WARM_SECONDS, begin: asked })).requests;
}

/** As the aggregator does it with open hours; a process of its own would take the store. */
function rollUpAgainAndAgain(store: UsageStore, load: Load): { stop: () => Promise<void> } {
  const clock = new SystemClock();
  const ending = new AbortController();
  let version = 1 + Math.floor(clock.now() / 1000);
  const going = (async () => {
    const isOver = (): boolean => ending.signal.aborted;
    for (;;) {
      await clock.sleep(ROLL_UP_EVERY_MS, ending.signal);
      if (isOver()) return;
      const hour = (Math.floor(load.nowMs / HOUR) * HOUR) / 1000;
      await rollUp(store, load, { hour, version: ++version });
    }
  })();
  return {
    stop: async () => {
      ending.abort();
      await going.catch(() => undefined);
    },
  };
}

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}
