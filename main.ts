/**
 * The composition root: reads the command line, puts the parts together, runs them. Everything that knows
 * which log and which store there are is here.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Aggregator } from './aggregator/aggregator.ts';
import { logCheck, storeCheck } from './aggregator/api/health.ts';
import { apiOf, listeners, opsListener } from './aggregator/api/listeners.ts';
import type { Api } from './aggregator/api/server.ts';
import * as commands from './aggregator/commands.ts';
import { sharedStoreOf } from './aggregator/coordination/neighbours.ts';
import { openStore, withThrowawayStore } from './aggregator/store/clickhouse/open.ts';
import type { UsageStore } from './aggregator/store/usage-store.ts';
import { collectorParts, type CollectorConfig } from './collectors/collector.ts';
import { readScrapeConfig } from './collectors/scrape/config.ts';
import { simulatorSchema } from './collectors/simulator/config.ts';
import { captureLines } from './core/eventlog/capture.ts';
import { EmbeddedLog, embeddedLogSchema } from './core/eventlog/embedded.ts';
import { KafkaLog, type KafkaLogConfig } from './core/eventlog/kafka.ts';
import { usageTopic } from './core/eventlog/usage-topic.ts';
import { SystemClock, type Clock } from './core/runtime/clock.ts';
import {
  parseCommandLine,
  usageText,
  type CommandName,
  type Invocation,
  type OptionsOf,
} from './core/runtime/command-line.ts';
import { loadConfig } from './core/runtime/config.ts';
import { MeteringError } from './core/runtime/errors.ts';
import { limitHeapGrowth } from './core/runtime/heap.ts';
import { Lifecycle, part, stopOnSignals, type Part } from './core/runtime/lifecycle.ts';
import { clockAt, portOf } from './core/runtime/option-values.ts';
import { readSettingsTimeline } from './core/runtime/settings.ts';
import { withStandardInput } from './core/runtime/standard-input.ts';
import { startTracing } from './core/runtime/telemetry-tracing.ts';
import { telemetryToStderr, type Telemetry } from './core/runtime/telemetry.ts';
import { runDoctor } from './doctor.ts';
import { ledgerTopicsOf, roleSchemas, roleSettings, topicsOf, topicsSchema } from './roles.ts';

const DEMO_INTERVAL_MS = 5_000;
/** Beside a scraper and a simulator, the engine is to stay small. */
const ENGINE_MEMORY_BYTES = 512 * 1024 ** 2;
/** All parts together have five seconds; the store comes last and needs most of it. A role's API has more. */
const STOP_TIMEOUT_MS = 4_000;
/** What a role's aggregator has: a span in hand is finished, within what Kubernetes gives a pod. */
const ROLE_STOP_TIMEOUT_MS = 20_000;
/** In percent. Little of a collector is alive, and much passes through it. */
const COLLECTOR_HEAP_GROWTH = 150;
/** It knows every series, and a roll-up leaves as much behind again. */
const AGGREGATOR_HEAP_GROWTH = 40;

async function main(args: readonly string[]): Promise<number> {
  const { arguments: given, ...invocation } = parseCommandLine(args);
  return await withStandardInput(given, (files) => run({ ...invocation, arguments: files }));
}

async function run(invocation: Invocation): Promise<number> {
  switch (invocation.command) {
    case 'help':
      process.stdout.write(usageText(invocation.arguments[0] as CommandName | undefined));
      return 0;
    case 'replay':
      return await withThrowawayStore((store) =>
        commands.runReplay(invocation.arguments, invocation.options, commandDeps(store)),
      );
    case 'statement':
      return await withStore(invocation.options.data, (deps) =>
        commands.runStatement(invocation.options, deps),
      );
    case 'verify':
      return await withStore(invocation.options.data, (deps) => commands.runVerify(invocation.options, deps));
    case 'explain':
      return await withStore(invocation.options.data, (deps) =>
        commands.runExplain(invocation.options, deps),
      );
    case 'decisions':
      return await withStore(invocation.options.data, commands.runDecisions);
    case 'rebuild':
      return await withStore(invocation.options.data, commands.runRebuild);
    case 'doctor':
      return await runDoctor(invocation.options, commandOutput());
    case 'topics':
      return await runTopics(invocation.options);
    case 'quarantine':
      return await runQuarantine(invocation.arguments[0], invocation.options);
    case 'capture':
      return await runCapture(invocation.options);
    case 'collector':
      return await runCollector(invocation.options);
    case 'aggregator':
      return await runAggregator(invocation.options);
    case 'api':
      return await runApi(invocation.options);
    case 'all':
      return await runAll(invocation.options);
  }
}

function commandDeps(store: UsageStore): commands.CommandDeps & { readonly clock: Clock } {
  const clock = new SystemClock();
  return {
    store,
    clock,
    facts: telemetryToStderr('error', clock),
    ...commandOutput(),
  };
}

function commandOutput(): commands.CommandOutput {
  return {
    print: (answer) => process.stdout.write(answer),
    note: (line) => process.stderr.write(`${line}\n`),
  };
}

type StoreWork = (deps: commands.CommandDeps & { readonly clock: Clock }) => Promise<number>;

/** The store of a data directory that nothing runs on; chDB lets only one process have it. */
async function withStore(data = 'data', work: StoreWork): Promise<number> {
  const path = join(data, 'store');
  if (!existsSync(path)) {
    const what = `${data} holds no store: name the directory that \`npm start\` was given with --data`;
    throw new MeteringError('METER_CONFIG_INVALID', what);
  }
  const store = await openStore({ directory: path });
  try {
    return await work(commandDeps(store));
  } finally {
    await store.close();
  }
}

async function runTopics({ config }: OptionsOf<'topics'>): Promise<number> {
  const { log, ...named } = kafkaOfRole(config);
  const topics = [...named.topics, ...named.ledgerTopics];
  try {
    const made = await log.ensureTopics(topics);
    for (const topic of topics)
      process.stdout.write(`${topic} ${made.includes(topic) ? 'made' : 'is there'}\n`);
    await log.checkTopics(topics);
    return 0;
  } finally {
    await log.close();
  }
}

/** Topics of the clusters that a role's sections name, and the one that the ledger is published to. */
type KafkaOfRole = Record<'topics' | 'ledgerTopics', readonly string[]> & { readonly log: KafkaLog };

function kafkaOfRole(config: string): KafkaOfRole {
  const { kafka, ...role } = roleSettings(topicsSchema, config);
  const clock = new SystemClock();
  const log = new KafkaLog(kafka, { clock, facts: telemetryToStderr('error', clock) });
  return { log, topics: topicsOf(role), ledgerTopics: ledgerTopicsOf(role.ledgerTopic) };
}

async function runCapture({ config, data = 'data' }: OptionsOf<'capture'>): Promise<number> {
  const isKafka = config !== undefined;
  const { log, topics } = isKafka ? kafkaOfRole(config) : embeddedOf(data);
  try {
    for await (const line of captureLines(log, topics, { isEmptyTheEnd: !isKafka }))
      if (!process.stdout.write(line)) await once(process.stdout, 'drain');
    return 0;
  } finally {
    await log.close();
  }
}

/** Of a data directory that nothing runs on. */
function embeddedOf(data: string): { log: EmbeddedLog; topics: readonly string[] } {
  const directory = join(data, 'log');
  if (!existsSync(directory)) {
    const what = `${data} holds no log: name the directory that \`npm start\` was given with --data`;
    throw new MeteringError('METER_CONFIG_INVALID', what);
  }
  const clock = new SystemClock();
  const config = loadConfig(embeddedLogSchema, { name: 'the log', values: { directory } });
  const log = new EmbeddedLog(config, { clock, facts: telemetryToStderr('error', clock) });
  return { log, topics: log.topics() };
}

/** Of an aggregator's role, or of a data directory that nothing runs on. */
async function runQuarantine(action: string | undefined, options: OptionsOf<'quarantine'>): Promise<number> {
  const { config, data = 'data' } = options;
  const { log } = config === undefined ? embeddedOf(data) : kafkaOfRole(config);
  try {
    const work: StoreWork = (deps) => commands.runQuarantine(action, options, { ...deps, log });
    if (config === undefined) return await withStore(data, work);
    const store = await openStore(roleSettings(roleSchemas.aggregator, config).store);
    try {
      return await work(commandDeps(store));
    } finally {
      await store.close();
    }
  } finally {
    await log.close();
  }
}

interface Run {
  readonly clock: Clock;
  readonly facts: Telemetry;
  /** Told of a fault that a part cannot go on with: it ends the run. */
  readonly failed: (name: string) => (error: unknown) => void;
}

/** Parts start in order, run until a signal or a fault, and stop in reverse. */
async function runParts(
  verbose: boolean | undefined,
  assemble: (run: Run) => Promise<{ parts: readonly Part[]; announce: () => string }>,
): Promise<number> {
  const clock = new SystemClock();
  const facts = telemetryToStderr(verbose === true ? 'debug' : 'warn', clock);
  const tracing = await startTracing();
  const lifecycle = new Lifecycle({ stopTimeoutMs: STOP_TIMEOUT_MS }, { clock, facts });
  stopOnSignals(lifecycle, process);
  const failed = (name: string) => (error: unknown) => {
    lifecycle.fail(name, error).catch(() => undefined);
  };
  const { parts, announce } = await assemble({ clock, facts, failed });
  await lifecycle.start(parts);
  process.stdout.write(announce());
  const outcome = await lifecycle.ended;
  await facts.close();
  await tracing.close();
  process.stdout.write(`Stopped (${outcome.reason}); the next start goes on from here.\n`);
  return outcome.clean ? 0 : 1;
}

async function runCollector({ config, verbose }: OptionsOf<'collector'>): Promise<number> {
  limitHeapGrowth(COLLECTOR_HEAP_GROWTH);
  const role = roleSettings(roleSchemas.collector, config);
  return await runParts(verbose, async (run) => {
    const log = kafkaOf(role.kafka, run);
    const { parts, clusters, addresses } = collectorParts(role, { log, ...run });
    const topics = clusters.map(usageTopic);
    const checks = [logCheck(log, topics)];
    const ops = opsListener(role.ops, { ...run, checks });
    const announce = (): string =>
      textOf([`Collecting into Kafka: ${topics.join(', ')}`, ...addresses(), `OPS      ${ops.url}/readyz`]);
    return { parts: [kafkaPart(log, topics), ...parts, ops], announce };
  });
}

async function runAggregator({ config, verbose }: OptionsOf<'aggregator'>): Promise<number> {
  limitHeapGrowth(AGGREGATOR_HEAP_GROWTH);
  const role = roleSettings(roleSchemas.aggregator, config);
  const { clusters, declaredFile, ledgerTopic, detailRetentionMs } = role;
  const ledgerTopics = ledgerTopicsOf(ledgerTopic);
  const own = { group: role.kafka.groupId, shared: sharedStoreOf(role) };
  return await runParts(verbose, async (run) => {
    const settings = readSettingsTimeline(role.settingsFile);
    const store = await openStore(role.store);
    const log = kafkaOf(role.kafka, run);
    const retain = (): Promise<void> => Promise.resolve();
    const aggregator = new Aggregator(
      { settings, clusters, declaredFile, ledgerTopic, detailRetentionMs, ...own },
      { store, log, ...run, retain },
    );
    const listening = listeners(role, { ...run, store, checks: aggregator.checks() });
    const parts = [
      part('store', { stop: () => store.close() }),
      kafkaPart(log, [...clusters.map(usageTopic), ...ledgerTopics]),
      { ...aggregatorPart(aggregator, run), stopTimeoutMs: ROLE_STOP_TIMEOUT_MS },
      ...listening.parts,
    ];
    const ledger = ledgerTopics.map((topic) => `; the ledger to ${topic}`).join('');
    const topics = `${clusters.map(usageTopic).join(', ')}${ledger}`;
    const announce = (): string => textOf([`Metering from Kafka: ${topics}`, ...listening.addresses()]);
    return { parts, announce };
  });
}

async function runApi({ config, verbose }: OptionsOf<'api'>): Promise<number> {
  const role = roleSettings(roleSchemas.api, config);
  const assemble = async (run: Run) => {
    const store = await openStore(role.store);
    const { parts, addresses } = listeners(role, { ...run, store, checks: [storeCheck(store)] });
    const storePart = part('store', { stop: () => store.close() });
    return { parts: [storePart, ...parts], announce: () => textOf(addresses()) };
  };
  return await runParts(verbose, assemble);
}

/** Everything in this process: the log in a file, ClickHouse inside, and a cluster, simulated or named. */
async function runAll(options: OptionsOf<'all'>): Promise<number> {
  const port = portOf(options.port);
  const clock = clockAt(options.speed);
  const settings = readSettingsTimeline(options.settings);
  const directory = options.data ?? 'data';
  await mkdir(directory, { recursive: true });
  const collected: CollectorConfig =
    options.config === undefined
      ? { simulator: simulatorSchema.parse({ scrapeIntervalMs: DEMO_INTERVAL_MS }) }
      : { scrape: readScrapeConfig(options.config) };
  return await runParts(options.verbose, async ({ facts, failed }) => {
    const run = { facts, failed, clock };
    const store = await openStore({
      directory: join(directory, 'store'),
      maxMemoryBytes: ENGINE_MEMORY_BYTES,
    });
    const values = { directory: join(directory, 'log') };
    const log = new EmbeddedLog(loadConfig(embeddedLogSchema, { name: 'the log', values }), run);
    const { parts, clusters } = collectorParts(collected, { log, ...run });
    const aggregator = new Aggregator(
      { settings, clusters, restartFile: join(directory, 'restart.json'), declaredFile: options.declared },
      { store, log, ...run, retain: () => log.retain() },
    );
    const stopping = { stopTimeoutMs: STOP_TIMEOUT_MS };
    const listening = { host: '127.0.0.1', port, declaredFile: options.declared, ...stopping };
    const api = apiOf(listening, { ...run, store, checks: aggregator.checks() });
    const embedded = [
      part('store', { stop: () => store.close() }),
      part('log', { stop: () => log.close() }),
      aggregatorPart(aggregator, run),
      api,
    ];
    const simulated = options.config === undefined;
    const announce = (): string => announcement({ api, cluster: clusters.join(), directory, simulated });
    return { parts: [...embedded, ...parts], announce };
  });
}

function announcement(run: { api: Api; cluster: string; directory: string; simulated: boolean }): string {
  const { api, cluster, directory, simulated } = run;
  const source = simulated ? `a simulated cluster "${cluster}"` : `cluster "${cluster}" as configured`;
  return textOf([
    `Metering ${source}:`,
    `  scraped over HTTP -> log (${directory}/log) -> ClickHouse (${directory}/store) -> API`,
    `API      ${api.url}/api/v1/meters    health ${api.url}/readyz    metrics ${api.url}/metrics`,
    'First usage in about 15 seconds:',
    `  curl '${api.url}/api/v1/meters/cpu/query?windowSize=HOUR&groupBy=tenant'`,
    'Ctrl-C stops; a restart goes on where this run stopped.',
  ]);
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

function kafkaOf(config: KafkaLogConfig, { clock, facts }: Run): KafkaLog {
  return new KafkaLog(config, { clock, facts });
}

/** Started once its topics are as they have to be; what does not start has to let go by itself. */
function kafkaPart(log: KafkaLog, topics: readonly string[]): Part {
  const start = async (): Promise<void> => {
    try {
      await log.checkTopics(topics);
    } catch (error) {
      await log.close();
      throw error;
    }
  };
  return part('log', { start, stop: () => log.close() });
}

function aggregatorPart(aggregator: Aggregator, { failed }: Run): Part {
  const start = (): Promise<void> => aggregator.start(failed('aggregator'));
  return part('aggregator', { start, stop: () => aggregator.stop() });
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
