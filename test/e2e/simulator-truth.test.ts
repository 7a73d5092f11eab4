/**
 * A simulated cluster knows what was truly used, and by how much samples cannot show it. Here it is scraped over HTTP,
 * and everything behind that is the program's own: log, ingest, store, roll-up. Only time is the test's: it stands still
 * while a page is fetched and then goes to the next scrape, so ten minutes take seconds and the bounds are exact.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { readUsageRows } from '../../aggregator/rollup/usage-rows.ts';
import { scrapeConfig } from '../../collectors/scrape/config.ts';
import { ScrapeCollector } from '../../collectors/scrape/scrape-collector.ts';
import { ClusterSimulator } from '../../collectors/simulator/simulator.ts';
import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import { nextTurn, SystemClock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { meteringSettingsSchema } from '../../core/runtime/settings.ts';
import type { TestStore } from '../support/chdb.ts';
import { emptyStore, openFastStore } from '../support/pipeline.ts';
import { recordedFacts } from '../support/scrape-facts.ts';
import { StepClock } from '../support/step-clock.ts';

const MINUTE = 60_000;
const CLUSTER = 'demo';
const TOPIC = `usage.${CLUSTER}`;
const QUIET: FactSink = { event: () => undefined };
/** No other sleep is as long, so whoever sleeps for it waits for a page. */
const TIMEOUT_MS = 9_973;

interface Case {
  readonly what: string;
  readonly seed: string;
  readonly startMs: number;
  readonly minutes: number;
  readonly intervalMs: number;
}

const CASES: readonly Case[] = [
  {
    what: 'ten minutes within an hour',
    seed: 'a',
    startMs: Date.UTC(2026, 2, 14, 9, 10, 0, 137),
    minutes: 10,
    intervalMs: 15_000,
  },
  {
    what: 'ten minutes over the end of an hour and of a day',
    seed: 'b',
    startMs: Date.UTC(2026, 2, 14, 23, 54, 11, 250),
    minutes: 10,
    intervalMs: 30_000,
  },
];

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(() => opened.dispose());
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metering-truth-'));
  await emptyStore(opened.store);
});
afterEach(() => rm(directory, { recursive: true }));

/** Simulator, scraper and log on a clock of their own; what consumes the log is called in between. */
async function watch({ seed, startMs, minutes, intervalMs }: Case) {
  const clock = new StepClock(startMs);
  const world = { cluster: CLUSTER, seed, nodes: 3, tenants: ['acme', 'globex', 'initech'] };
  const simulator = new ClusterSimulator({ ...world, host: '127.0.0.1', port: 0 }, { clock });
  await simulator.start();
  const log = new EmbeddedLog(embeddedLogSchema.parse({ directory }), {
    clock: new SystemClock(),
    facts: QUIET,
  });
  const targets = simulator.targets().map(({ labels: { cluster: _, ...labels }, ...target }) => ({
    ...target,
    ...{ labels, intervalMs, timeoutMs: TIMEOUT_MS, honorLabels: true },
  }));
  const facts = recordedFacts();
  const collector = new ScrapeCollector(scrapeConfig({ cluster: CLUSTER, targets }), {
    ...{ log, clock, telemetry: facts.telemetry },
  });
  await collector.start();
  const aggregate = await aggregator(log, simulator.platformNamespaces);
  const untilMs = startMs + minutes * MINUTE;
  for (let minute = 1; minute <= minutes; minute++) {
    while (clock.step(startMs + minute * MINUTE)) await answered(clock);
    await aggregate();
  }
  await collector.stop();
  await aggregate();
  await log.close();
  await simulator.stop();
  return { simulator, untilMs };
}

/** Every page that was asked for has come, and is on its way to the log. */
async function answered(clock: StepClock): Promise<void> {
  for (let quiet = 0; quiet < 3; quiet++) {
    await nextTurn();
    if (clock.sleeping(TIMEOUT_MS) > 0) quiet = -1;
  }
}

/** Ingest up to the end of the log, then a pass of the roll-up. */
async function aggregator(log: EmbeddedLog, platformNamespaces: readonly string[]) {
  const settings = meteringSettingsSchema.parse({ platformNamespaces });
  const deps = { store: opened.store, clock: new SystemClock(), facts: QUIET };
  const config = { settings, clusterOfTopic: () => CLUSTER, maxBatchBytes: 1 << 20, pollMs: 5 };
  const ingest = new Ingest(config, deps);
  const rollUp = new RollUp({ settings }, deps);
  const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
  const isConsumed = async (): Promise<boolean> => {
    const ends = await log.endPositions([TOPIC]);
    const committed = await consumer.committed();
    return ends.every(({ partition, next }) =>
      committed.some((at) => at.partition === partition && at.next === next),
    );
  };
  return async (): Promise<void> => {
    const stopping = new AbortController();
    const running = ingest.run(consumer, stopping.signal);
    while (!(await isConsumed())) await deps.clock.sleep(5);
    stopping.abort();
    await running;
    await rollUp.pass();
  };
}

function keyOf(row: { hourMs: number; tenant: string; namespace: string; meter: string }): string {
  const hour = new Date(row.hourMs).toISOString().slice(0, 16);
  return `${hour} ${row.tenant} ${row.namespace} ${row.meter}`;
}

interface Judged {
  readonly key: string;
  readonly truth: bigint;
  readonly metered: bigint;
  readonly missing: bigint;
  readonly excess: bigint;
  /** How much of what it may be off it is off: above 1 is wrong. */
  readonly share: number;
}

function judge(key: string, given: Omit<Judged, 'key' | 'share'>): Judged {
  const off = given.metered - given.truth;
  const allowed = off < 0n ? given.missing : given.excess;
  const share = off === 0n ? 0 : allowed === 0n ? Infinity : Math.abs(Number(off)) / Number(allowed);
  return { key, ...given, share };
}

test.each(CASES)('$what: usage is the truth, but for what samples cannot show', async (each) => {
  const { simulator, untilMs } = await watch(each);
  const truth = new Map(simulator.truth(each.startMs, untilMs).map((row) => [keyOf(row), row.quantity]));
  const unseen = new Map(
    simulator.unseen(each.startMs, untilMs, each.intervalMs).map((row) => [keyOf(row), row]),
  );
  const metered = new Map(
    (await readUsageRows(opened.store)).map((row) => [keyOf({ ...row, hourMs: row.hour }), row.quantity]),
  );
  const rows = [...new Set([...truth.keys(), ...metered.keys(), ...unseen.keys()])].map((key) => {
    const { missing = 0n, excess = 0n } = unseen.get(key) ?? {};
    return judge(key, { truth: truth.get(key) ?? 0n, metered: metered.get(key) ?? 0n, missing, excess });
  });
  const worst = rows.toSorted((a, b) => b.share - a.share)[0];
  expect(rows.filter(({ share }) => share > 1)).toEqual([]);
  expect(rows.length).toBeGreaterThan(80);
  expect(metered.size).toBeGreaterThan(60);
  const cpu = rows.filter(({ key }) => key.endsWith(' cpu'));
  const part = (of: (row: Judged) => bigint): string => {
    const total = cpu.reduce((sum, row) => sum + row.truth, 0n);
    return `${((100 * Number(cpu.reduce((sum, row) => sum + of(row), 0n))) / Number(total)).toFixed(2)} %`;
  };
  console.log(
    `${each.what}: ${rows.length} rows, ${metered.size} with usage; cpu metered ${part((row) => row.metered)} of the truth, ` +
      `may miss ${part((row) => row.missing)}, may exceed ${part((row) => row.excess)}; worst row ${String(worst?.key)}: ` +
      `${String(worst?.metered)} of ${String(worst?.truth)}, ${((worst?.share ?? 0) * 100).toFixed(0)} % of what it may be off`,
  );
});
