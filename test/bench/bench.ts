/**
 * How fast the pipeline is, on this machine: samples per CPU-second from a push to records, from the log to durable samples, and from samples to
 * usage. Data is made from a seed; log and store are real and lie in a temporary directory that is removed afterwards.
 *
 *   npm run bench [-- --no-floor] [-- FILE...]     FILE: captured log records, as `metering replay` takes them
 *   npm run bench -- api                           the API under 50 connections; loads for minutes (api.ts)
 *   npm run bench -- minutes                       usage by the minute (minutes.ts)
 *   npm run bench -- verify [DAYS]                 a closed month, verified on one core; takes minutes (verify.ts)
 *
 * Ends with 1 if a figure is below its floor, unless --no-floor.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChdbStore } from '../../aggregator/store/clickhouse/chdb.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { loadConfig } from '../../core/runtime/config.ts';
import { SCHEMA_DIRECTORY } from '../support/chdb.ts';
import { benchApi } from './api.ts';
import { AlloyRecords } from './alloy-records.ts';
import { capturedFigure } from './captured.ts';
import { decodeFigures, insertFigures } from './parts.ts';
import { benchMinutes } from './minutes.ts';
import { ingestFigures } from './ingest.ts';
import { isMissed, line, type Figure } from './measure.ts';
import { receiverFigures } from './receiver.ts';
import { rollUpFigures } from './roll-up.ts';
import { benchVerify } from './verify.ts';
import { QUIET } from './workbench.ts';

const CLUSTER = { cluster: 'bench', seed: 20_261_001, nodes: 40, podsPerNode: 125 };
const HOUR = Date.UTC(2026, 9, 1, 10);

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'api') return await benchApi(args.slice(1));
  if (args[0] === 'minutes') return await benchMinutes();
  if (args[0] === 'verify') return await benchVerify(args.slice(1));
  const files = args.filter((arg) => !arg.startsWith('--'));
  const directory = await mkdtemp(join(tmpdir(), 'gh0stmeter-bench-'));
  const clock = new SystemClock();
  const store = await ChdbStore.open({ path: join(directory, 'store') });
  const config = loadConfig(embeddedLogSchema, {
    name: 'bench',
    values: { directory: join(directory, 'log') },
  });
  const log = new EmbeddedLog(config, { clock, facts: QUIET });
  const bench = { store, log, clock, records: new AlloyRecords(CLUSTER), hour: HOUR };
  const figures: Figure[] = [];
  const show = (shown: Figure | string): void => {
    if (typeof shown !== 'string') figures.push(shown);
    process.stdout.write(`${typeof shown === 'string' ? shown : line(shown)}\n`);
  };
  try {
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    process.stdout.write(`${machine()}\n`);
    for await (const figure of receiverFigures(HOUR)) show(figure);
    for await (const figure of ingestFigures(bench)) show(figure);
    for await (const figure of decodeFigures(bench)) show(figure);
    for await (const figure of insertFigures(bench)) show(figure);
    for await (const figure of rollUpFigures(bench)) show(figure);
  } finally {
    await log.close();
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
  for (const file of files) show(await capturedFigure(file));
  return args.includes('--no-floor') || !figures.some(isMissed) ? 0 : 1;
}

function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown';
  return `Node ${process.version}, ${availableParallelism()} cores (${model}), ${process.platform} ${process.arch}`;
}

process.exitCode = await main(process.argv.slice(2));
