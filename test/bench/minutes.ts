/**
 * How long usage by the minute takes, which is folded from samples for each answer: an hour of 1,000 series of a meter,
 * scraped every 30 s, and the hour after it, in which its last intervals end.
 *
 *   npm run bench -- minutes
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiOf } from '../../aggregator/api/listeners.ts';
import type { Api } from '../../aggregator/api/server.ts';
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { ChdbStore } from '../../aggregator/store/clickhouse/chdb.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { HOUR_MS } from '../../core/metering/hour.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { SCHEMA_DIRECTORY } from '../support/chdb.ts';
import { AlloyRecords } from './alloy-records.ts';
import { best } from './measure.ts';
import { asLogged, INGEST_CONFIG, QUIET, SCRAPE_MS, SETTINGS } from './workbench.ts';

const HOUR = Date.UTC(2026, 9, 1, 10);
/** 1,000 pods with four series each, one of every meter. */
const CLUSTER = { cluster: 'bench', seed: 20_261_003, nodes: 8, podsPerNode: 125 };
const ROUNDS = (2 * HOUR_MS) / SCRAPE_MS;
const ROUNDS_PER_BATCH = 10;
const RUNS = 5;
const QUESTIONS: Readonly<Record<string, string>> = {
  'an hour by the minute and tenant': 'windowSize=MINUTE&groupBy=tenant',
  'by the minute, tenant, namespace and workload': 'windowSize=MINUTE&groupBy=tenant,namespace,workload',
  'by the minute, of one namespace': 'windowSize=MINUTE&namespace=tenant-17-app',
  'beside it: the hour as it is stored': 'windowSize=HOUR&groupBy=tenant',
};

export async function benchMinutes(): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'gh0stmeter-bench-'));
  const store = await ChdbStore.open({ path: directory });
  try {
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    await fill(store);
    const clock = { now: () => HOUR + 2 * HOUR_MS, sleep: () => Promise.resolve() };
    const facts = { ...QUIET, metricsText: () => Promise.resolve('') };
    const api = apiOf({ host: '127.0.0.1', port: 0 }, { store, clock, facts, checks: [] });
    for (const [name, question] of Object.entries(QUESTIONS)) {
      const { result, wallSeconds, cpuSeconds } = await best(RUNS, () => rowsOf(api, question));
      const took = `${(wallSeconds * 1000).toFixed(0)} ms, ${(cpuSeconds * 1000).toFixed(0)} CPU-ms`;
      process.stdout.write(`${name.padEnd(48)}${took}   ${result} rows\n`);
    }
    await api.app.close();
    return 0;
  } finally {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function fill(store: UsageStore): Promise<void> {
  const records = new AlloyRecords(CLUSTER);
  const deps = { store, clock: new SystemClock(), facts: QUIET };
  const ingest = new Ingest(INGEST_CONFIG, deps);
  for (let round = 0; round < ROUNDS; round += ROUNDS_PER_BATCH) {
    const times = Array.from({ length: ROUNDS_PER_BATCH }, (_, i) => HOUR + (round + i) * SCRAPE_MS + 7_123);
    const batch = times.flatMap((t) => [records.namespaceLabels(t), ...records.scrape(t)]);
    await ingest.take(asLogged(batch, round * batch.length));
  }
  await new RollUp({ settings: SETTINGS }, deps).pass();
}

async function rowsOf(api: Api, question: string): Promise<number> {
  const range = `from=${new Date(HOUR).toISOString()}&to=${new Date(HOUR + HOUR_MS).toISOString()}`;
  const response = await api.app.inject({ url: `/api/v1/meters/cpu/query?${range}&${question}` });
  if (response.statusCode !== 200) throw new Error(response.body);
  return response.json<{ data: unknown[] }>().data.length;
}
