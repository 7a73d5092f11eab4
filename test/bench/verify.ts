/**
 * A closed month of 10 million samples, verified on one core. The month is made from a seed and goes through
 * the real stages: two clusters, 30 days, a scrape every 30 s, intervals across every hour. Then a process of
 * its own, held to one core where the machine can do that, computes all of it once more and compares every
 * hash.
 *
 *   npm run bench -- verify [DAYS]      takes minutes; fewer days for a first look
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { renderVerifyReport, verify } from '../../aggregator/ledger/verify.ts';
import { ChdbStore } from '../../aggregator/store/clickhouse/chdb.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import { invariant } from '../../core/runtime/errors.ts';
import { AccountsBench } from '../support/accounts.ts';
import { SCHEMA_DIRECTORY } from '../support/chdb.ts';
import { AlloyRecords } from './alloy-records.ts';
import { isMissed, line, measure } from './measure.ts';
import { asLogged, QUIET, SCRAPE_MS } from './workbench.ts';

const PERIOD = 202611;
const START = Date.UTC(2026, 10, 1);
const DAY_MS = 86_400_000;
const DAYS = 30;
/** 60 series each: 2 x 60 x 120 x 24 x 30 = 10,368,000 samples. */
const CLUSTERS = ['north', 'south'].map((cluster, i) => ({
  cluster,
  records: new AlloyRecords({ cluster, seed: 20_261_101 + i, nodes: 1, podsPerNode: 15 }),
}));
/** Scrapes do not fall on the hour. */
const OFFSET_MS = 7_123;
const ROUNDS_PER_LABELS = 120;
/** In a minute. */
const MONTH_SAMPLES = 10_000_000;
const FLOOR = MONTH_SAMPLES / 60;
const ONE_CORE = '/usr/bin/taskset';

/** 1 if it is too slow or not equal. */
export async function benchVerify(args: readonly string[]): Promise<number> {
  const days = Number(args[0] ?? DAYS);
  const directory = await mkdtemp(join(tmpdir(), 'gh0stmeter-bench-'));
  try {
    await makeMonth(directory, days);
    const self = fileURLToPath(import.meta.url);
    const node = [process.execPath, self, directory];
    const [command = '', ...rest] = existsSync(ONE_CORE) ? [ONE_CORE, '-c', '0', ...node] : node;
    const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    process.stdout.write(output);
    return child.exitCode ?? 1;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function makeMonth(path: string, days: number): Promise<void> {
  const store = await ChdbStore.open({ path });
  try {
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    const bench = new AccountsBench(
      store,
      CLUSTERS.map(({ cluster }) => cluster),
    );
    const taken = await measure(async () => {
      let offset = 0;
      for (let day = 0; day < days; day++) offset = await takeDay(bench, day, offset);
      await takeEnd(bench, offset);
    });
    process.stdout.write(`${days} days taken in: ${seconds(taken)}\n`);
    // The clock of the bench stands still: nothing is told but what is done.
    const closed = await measure(() => bench.passAt(Date.UTC(2026, 11, 4)));
    process.stdout.write(`rolled up, settled, closed: ${seconds(closed)}\n`);
    invariant(bench.factsNamed('periodClosed').length === 1, 'the month was closed');
  } finally {
    await store.close();
  }
}

async function takeDay(bench: AccountsBench, day: number, firstOffset: number): Promise<number> {
  const rounds = DAY_MS / SCRAPE_MS;
  let offset = firstOffset;
  for (const { records } of CLUSTERS) {
    const batch = Array.from({ length: rounds }, (_, i) => i).flatMap((round) => {
      const t = START + day * DAY_MS + round * SCRAPE_MS + OFFSET_MS;
      const labels = round % ROUNDS_PER_LABELS === 0 ? [records.namespaceLabels(t)] : [];
      return [...labels, ...records.scrape(t)];
    });
    await bench.take(asLogged(batch, offset));
    offset += batch.length;
  }
  return offset;
}

/** So that the watermarks pass the end of the month by the lateness. */
async function takeEnd(bench: AccountsBench, offset: number): Promise<void> {
  const end = Date.UTC(2026, 11, 3);
  await bench.take(
    asLogged(
      CLUSTERS.flatMap(({ records }) => records.scrape(end)),
      offset,
    ),
  );
}

function seconds({ cpuSeconds, wallSeconds }: { cpuSeconds: number; wallSeconds: number }): string {
  return `${cpuSeconds.toFixed(1)} CPU-s, ${wallSeconds.toFixed(1)} s`;
}

/** In the process on one core. */
async function measured(path: string): Promise<number> {
  const store = await ChdbStore.open({ path, threads: 1 });
  try {
    const deps = { store, facts: QUIET, progress: () => undefined };
    const { result, ...took } = await measure(() => verify(deps, { period: PERIOD }));
    process.stdout.write(renderVerifyReport(result));
    // Fewer days cost much the same for each hour, so only the whole month is held to the floor.
    const isWhole = result.samples >= MONTH_SAMPLES;
    const figure = {
      ...{ name: 'verify a month on one core', count: result.samples, of: 'samples', measured: took },
      ...(isWhole ? { floor: FLOOR } : {}),
    };
    process.stdout.write(`${line(figure)}\n`);
    return result.equal && !isMissed(figure) ? 0 : 1;
  } finally {
    await store.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.exitCode = await measured(process.argv[2] ?? '');
