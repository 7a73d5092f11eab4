/**
 * The composition root: reads the command line, puts the parts together, runs them. Everything that knows
 * which log and which store there are is here.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aggregator } from './aggregator/aggregator.ts';
import { createApi, type Api } from './aggregator/api/server.ts';
import { StoreUsageReader } from './aggregator/api/usage-reader.ts';
import {
  decisionsText,
  replayDecisions,
  statementBytes,
  statementsText,
  writeStatements,
} from './aggregator/ledger/commands.ts';
import { readDecisionLines } from './aggregator/ledger/decision-lines.ts';
import { explain, renderExplanation } from './aggregator/ledger/explain.ts';
import { Ledger } from './aggregator/ledger/ledger.ts';
import { SettingsInForce } from './aggregator/ledger/settings-in-force.ts';
import { renderVerifyReport, verify, verifyStatus } from './aggregator/ledger/verify.ts';
import { replay, replayRecords } from './aggregator/rollup/replay.ts';
import { ChdbStore } from './aggregator/store/clickhouse/chdb.ts';
import { migrate } from './aggregator/store/migrations.ts';
import type { UsageStore } from './aggregator/store/usage-store.ts';
import { readScrapeConfig, scrapeConfig, type ScrapeConfig } from './collectors/scrape/config.ts';
import { ScrapeCollector } from './collectors/scrape/scrape-collector.ts';
import type { ScrapeTelemetry } from './collectors/scrape/telemetry.ts';
import { ClusterSimulator } from './collectors/simulator/simulator.ts';
import { EmbeddedLog, embeddedLogSchema } from './core/eventlog/embedded.ts';
import { FastClock, SystemClock, type Clock } from './core/runtime/clock.ts';
import { parseCommandLine, usageText, type Invocation } from './core/runtime/command-line.ts';
import { HOUR_MS } from './core/metering/hour.ts';
import { parsePeriod, periodName, type Period } from './core/metering/period.ts';
import type { SettingsTimeline } from './core/metering/settings-timeline.ts';
import { loadConfig } from './core/runtime/config.ts';
import { csv } from './core/runtime/csv.ts';
import { MeteringError } from './core/runtime/errors.ts';
import { Lifecycle, stopOnSignals, type Part } from './core/runtime/lifecycle.ts';
import { readSettingsTimeline } from './core/runtime/settings.ts';
import { startTracing } from './core/runtime/telemetry-tracing.ts';
import { telemetryToStderr, type Telemetry } from './core/runtime/telemetry.ts';

const SCHEMA_DIRECTORY = join(import.meta.dirname, 'aggregator/store/schema');
const DEMO = {
  cluster: 'demo',
  seed: 'gh0stcloud',
  nodes: 3,
  tenants: ['acme', 'globex', 'initech'],
  intervalMs: 5_000,
} as const;
/** Beside a scraper and a simulator, the engine is to stay small. */
const ENGINE_MEMORY_BYTES = 512 * 1024 ** 2;
/** All parts together have five seconds; the store comes last and needs most of it. */
const STOP_TIMEOUT_MS = 4_000;

type OptionsOf<Command extends Invocation['command']> = Extract<Invocation, { command: Command }>['options'];

async function main(args: readonly string[]): Promise<number> {
  const invocation = parseCommandLine(args);
  switch (invocation.command) {
    case 'help':
      process.stdout.write(usageText(invocation.arguments[0] as Invocation['command'] | undefined));
      return 0;
    case 'replay':
      return await runReplay(invocation.arguments, invocation.options);
    case 'statement':
      return await withStore(invocation.options.data, (store) => runStatement(store, invocation.options));
    case 'verify':
      return await withStore(invocation.options.data, (store) => runVerify(store, invocation.options));
    case 'explain':
      return await withStore(invocation.options.data, (store) => runExplain(store, invocation.options));
    case 'decisions':
      return await withStore(invocation.options.data, async (store) => {
        process.stdout.write(await decisionsText(store));
        return 0;
      });
    case 'rebuild':
      return await withStore(invocation.options.data, async (store) => {
        await new Ledger({ store }).rebuild();
        process.stderr.write('Current hours and days are made again from the ledger.\n');
        return 0;
      });
    case 'all':
      return await runAll(invocation.options);
  }
}

async function runReplay(files: readonly string[], options: OptionsOf<'replay'>): Promise<number> {
  const settings = readSettingsTimeline(options.settings);
  const clock = new SystemClock();
  const directory = await mkdtemp(join(tmpdir(), 'gh0stmeter-replay-'));
  const store = await ChdbStore.open({ path: directory });
  try {
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    const progress = (line: string): void => {
      process.stderr.write(`${line}\n`);
    };
    const deps = { store, clock, facts: telemetryToStderr('warn', clock), progress };
    const { decisions: decisionsFile, statements } = options;
    const decisions = decisionsFile === undefined ? undefined : readDecisionLines(decisionsFile);
    const rows =
      decisions === undefined
        ? await replay(files, settings.at(0), deps)
        : await replayDecisions(files, { decisions, settings }, deps);
    for (const decision of decisions ?? []) {
      if (statements === undefined || decision.kind !== 'close') continue;
      const period = periodName(decision.period);
      await writeStatements(store, { period, format: 'json', directory: statements });
    }
    const { columns, records } = replayRecords(rows);
    process.stdout.write(
      options.format === 'json'
        ? records.map((record) => `${JSON.stringify(objectOf(columns, record))}\n`).join('')
        : csv(columns, records, '\n'),
    );
    return 0;
  } finally {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function runStatement(store: UsageStore, options: OptionsOf<'statement'>): Promise<number> {
  const { period, tenant, format = 'json', out } = options;
  if (out !== undefined) {
    const written = await writeStatements(store, { period, format, directory: out });
    process.stderr.write(`${written} statements written to ${join(out, period)}\n`);
  } else if (tenant === undefined) process.stdout.write(await statementsText(store, period));
  else process.stdout.write(await statementBytes(store, { period, tenant, format }));
  return 0;
}

async function runVerify(store: UsageStore, options: OptionsOf<'verify'>): Promise<number> {
  const facts = telemetryToStderr('error', new SystemClock());
  const settings = readSettingsTimeline(options.settings);
  const deps = { store, facts, progress: (line: string) => process.stderr.write(`${line}\n`) };
  const report = await verify(deps, { period: periodNamed(options.period), settings });
  process.stdout.write(
    options.format === 'json' ? `${JSON.stringify(report, inDecimals)}\n` : renderVerifyReport(report),
  );
  return verifyStatus(report);
}

async function runExplain(store: UsageStore, options: OptionsOf<'explain'>): Promise<number> {
  const { meter, hour, tenant, cluster, namespace, limit, format } = options;
  const declared = new SettingsInForce(readSettingsTimeline(options.settings));
  await declared.refresh(store);
  const explanation = await explain(store, {
    ...{ meter, hour: instantOf(hour), settings: declared },
    ...(tenant === undefined ? {} : { tenant }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(limit === undefined ? {} : { limit: countOf(limit) }),
  });
  process.stdout.write(
    format === 'json' ? `${JSON.stringify(explanation, inDecimals)}\n` : renderExplanation(explanation),
  );
  return 0;
}

function inDecimals(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

function periodNamed(name: string): Period {
  const period = parsePeriod(name);
  if (period !== undefined) return period;
  throw new MeteringError('METER_CONFIG_INVALID', `--period is a month such as 2026-10, not ${name}`);
}

function instantOf(text: string): number {
  const ms = Date.parse(text);
  if (/Z$|[+-]\d\d:\d\d$/.test(text) && ms % HOUR_MS === 0) return ms;
  throw new MeteringError(
    'METER_CONFIG_INVALID',
    `--hour is the start of an hour with its offset, such as 2026-10-01T09:00:00Z, not ${text}`,
  );
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0) return count;
  throw new MeteringError('METER_CONFIG_INVALID', `--limit is a whole number above 0, not ${text}`);
}

/** The store of a data directory that nothing runs on; chDB lets only one process have it. */
async function withStore(data = 'data', work: (store: UsageStore) => Promise<number>): Promise<number> {
  const path = join(data, 'store');
  if (!existsSync(path)) {
    const what = `${data} holds no store: name the directory that \`npm start\` was given with --data`;
    throw new MeteringError('METER_CONFIG_INVALID', what);
  }
  const store = await ChdbStore.open({ path });
  try {
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    return await work(store);
  } finally {
    await store.close();
  }
}

function objectOf(columns: readonly string[], record: readonly string[]): Record<string, string> {
  return Object.fromEntries(columns.map((column, i) => [column, record[i] ?? '']));
}

async function runAll(options: OptionsOf<'all'>): Promise<number> {
  const clock = clockAt(options.speed);
  const telemetry = telemetryToStderr(options.verbose === true ? 'debug' : 'warn', new SystemClock());
  const tracing = await startTracing();
  const settings = readSettingsTimeline(options.settings);
  const directory = options.data ?? 'data';
  await mkdir(directory, { recursive: true });
  const targets = options.config === undefined ? undefined : readScrapeConfig(options.config);
  const cluster = targets?.cluster ?? DEMO.cluster;

  const lifecycle = new Lifecycle(
    { stopTimeoutMs: STOP_TIMEOUT_MS },
    { clock: new SystemClock(), facts: telemetry },
  );
  stopOnSignals(lifecycle, process);
  const store = await ChdbStore.open({ path: join(directory, 'store'), maxMemoryBytes: ENGINE_MEMORY_BYTES });
  const { log, aggregator, api } = await embedded({
    store,
    directory,
    cluster,
    settings,
    clock,
    telemetry,
    options,
  });
  const failed = (name: string) => (error: unknown) => {
    lifecycle.fail(name, error).catch(() => undefined);
  };
  const parts: Part[] = [
    part('store', { stop: () => store.close() }),
    part('log', { stop: () => log.close() }),
    part('aggregator', {
      start: () => aggregator.start(failed('aggregator')),
      stop: () => aggregator.stop(),
    }),
    api,
    ...collectors({ targets, log, clock, telemetry }),
  ];
  await lifecycle.start(parts);
  announce({ api, cluster, directory, simulated: targets === undefined });
  const outcome = await lifecycle.ended;
  await telemetry.close();
  await tracing.close();
  process.stdout.write(`Stopped (${outcome.reason}); the next start goes on from here.\n`);
  return outcome.clean ? 0 : 1;
}

interface EmbeddedContext {
  readonly store: ChdbStore;
  readonly directory: string;
  readonly cluster: string;
  readonly settings: SettingsTimeline;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly options: OptionsOf<'all'>;
}

/** The embedded side of both ports, and what stands on them. */
async function embedded(
  context: EmbeddedContext,
): Promise<{ log: EmbeddedLog; aggregator: Aggregator; api: Api }> {
  const { store, directory, cluster, settings, clock, telemetry, options } = context;
  await migrate(store, { directory: SCHEMA_DIRECTORY });
  const logConfig = loadConfig(embeddedLogSchema, {
    name: 'the log',
    values: { directory: join(directory, 'log') },
  });
  const log = new EmbeddedLog(logConfig, { clock, facts: telemetry });
  const aggregator = new Aggregator(
    {
      settings,
      clusters: [cluster],
      restartFile: join(directory, 'restart.json'),
      declaredFile: options.declared,
    },
    { store, log, clock, facts: telemetry, retain: () => log.retain() },
  );
  const api = createApi(
    { port: portOf(options.port), requestTimeoutMs: 10_000, answerTimeoutMs: 30_000, checkTimeoutMs: 2_000 },
    {
      clock,
      facts: telemetry,
      reader: new StoreUsageReader({ queryTimeoutMs: 10_000 }, { store }),
      checks: aggregator.checks(),
      metricsText: () => telemetry.metricsText(),
    },
  );
  return { log, aggregator, api };
}

interface CollectorContext {
  readonly targets: ScrapeConfig | undefined;
  readonly log: EmbeddedLog;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** A scraper of the declared targets, or of a simulated cluster. */
function collectors({ targets, log, clock, telemetry }: CollectorContext): Part[] {
  const deps = { log, clock, telemetry: scrapeTelemetry(telemetry) };
  if (targets !== undefined) {
    const scraper = new ScrapeCollector(targets, deps);
    return [part('scraper', { start: () => scraper.start(), stop: () => scraper.stop() })];
  }
  const { intervalMs, ...world } = DEMO;
  const simulator = new ClusterSimulator({ ...world, host: '127.0.0.1', port: 0 }, { clock });
  let scraper: ScrapeCollector | undefined;
  return [
    part('simulator', { start: () => simulator.start(), stop: () => simulator.stop() }),
    part('scraper', {
      start: async () => {
        const simulated = simulator.targets().map(({ labels, ...target }) => {
          const { cluster: _, ...others } = labels;
          return { ...target, labels: others, intervalMs, honorLabels: true };
        });
        scraper = new ScrapeCollector(scrapeConfig({ cluster: DEMO.cluster, targets: simulated }), deps);
        await scraper.start();
      },
      stop: async () => await scraper?.stop(),
    }),
  ];
}

function scrapeTelemetry(telemetry: Telemetry): ScrapeTelemetry {
  return {
    scrapeDone: (fact) => telemetry.event('scrapeDone', fact),
    scrapeFailed: (fact) => telemetry.event('scrapeFailed', fact),
    scrapeDuplicates: (fact) => telemetry.event('scrapeDuplicates', fact),
    scrapesSkipped: (fact) => telemetry.event('scrapesSkipped', fact),
    recordsAppended: (fact) => telemetry.event('recordsAppended', fact),
    appendFailed: (fact) => telemetry.event('appendFailed', fact),
    recordsLost: (fact) => telemetry.event('recordsLost', fact),
  };
}

function announce(run: { api: Api; cluster: string; directory: string; simulated: boolean }): void {
  const { api, cluster, directory, simulated } = run;
  const source = simulated ? `a simulated cluster "${cluster}"` : `cluster "${cluster}" as configured`;
  process.stdout.write(
    [
      `Metering ${source}:`,
      `  scraped over HTTP -> log (${directory}/log) -> ClickHouse (${directory}/store) -> API`,
      `API      ${api.url}/api/v1/meters    health ${api.url}/readyz    metrics ${api.url}/metrics`,
      'First usage in about 15 seconds:',
      `  curl '${api.url}/api/v1/meters/cpu/query?windowSize=HOUR&groupBy=tenant'`,
      'Ctrl-C stops; a restart goes on where this run stopped.',
      '',
    ].join('\n'),
  );
}

function part(name: string, steps: { start?: () => Promise<void>; stop: () => Promise<void> }): Part {
  return { name, start: steps.start ?? (() => Promise.resolve()), stop: steps.stop };
}

const MAX_SPEED = 1_000;

function clockAt(speed = '1'): Clock {
  const factor = Number(speed);
  if (!(factor > 0 && factor <= MAX_SPEED)) {
    throw new MeteringError(
      'METER_CONFIG_INVALID',
      `--speed is a number above 0 and at most ${MAX_SPEED}, not ${speed}`,
    );
  }
  const real = new SystemClock();
  return factor === 1 ? real : new FastClock({ startMs: real.now(), speed: factor });
}

function portOf(port = '8080'): number {
  const number = Number(port);
  if (Number.isInteger(number) && number >= 0 && number <= 65_535) return number;
  throw new MeteringError('METER_CONFIG_INVALID', `--port is a number from 0 to 65535, not ${port}`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const known = error instanceof MeteringError;
  process.stderr.write(known ? `${error.code}: ${error.message}\n` : `${inspected(error)}\n`);
  process.exitCode = 1;
}

function inspected(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
