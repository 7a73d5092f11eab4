/**
 * The composition root: reads the command line, puts the parts together, runs them. Everything that knows
 * which log and which store there are is here.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Aggregator } from './aggregator/aggregator.ts';
import { apiSchema, opsSchema } from './aggregator/api/config.ts';
import { logCheck, storeCheck } from './aggregator/api/health.ts';
import { apiOf, listeners, opsListener } from './aggregator/api/listeners.ts';
import type { Api } from './aggregator/api/server.ts';
import * as commands from './aggregator/commands.ts';
import { aggregatorSchema } from './aggregator/config.ts';
import { openStore, withThrowawayStore } from './aggregator/store/clickhouse/open.ts';
import { storeSchema } from './aggregator/store/config.ts';
import type { UsageStore } from './aggregator/store/usage-store.ts';
import { collectorParts, collectorSchema, type CollectorConfig } from './collectors/collector.ts';
import { readScrapeConfig } from './collectors/scrape/config.ts';
import { simulatorSchema } from './collectors/simulator/config.ts';
import { captureLines } from './core/eventlog/capture.ts';
import { EmbeddedLog, embeddedLogSchema } from './core/eventlog/embedded.ts';
import { KafkaLog, kafkaLogSchema, type KafkaLogConfig } from './core/eventlog/kafka.ts';
import { usageTopic } from './core/eventlog/usage-topic.ts';
import { SystemClock, type Clock } from './core/runtime/clock.ts';
import {
  parseCommandLine,
  usageText,
  type CommandName,
  type OptionsOf,
} from './core/runtime/command-line.ts';
import { loadConfig, mergeConfig, readConfigFile, readEnvironment } from './core/runtime/config.ts';
import { MeteringError } from './core/runtime/errors.ts';
import { Lifecycle, stopOnSignals, type Part } from './core/runtime/lifecycle.ts';
import { clockAt, portOf } from './core/runtime/option-values.ts';
import { readSettingsTimeline } from './core/runtime/settings.ts';
import { startTracing } from './core/runtime/telemetry-tracing.ts';
import { telemetryToStderr, type Telemetry } from './core/runtime/telemetry.ts';

const DEMO_INTERVAL_MS = 5_000;
/** Beside a scraper and a simulator, the engine is to stay small. */
const ENGINE_MEMORY_BYTES = 512 * 1024 ** 2;
/** All parts together have five seconds; the store comes last and needs most of it. */
const STOP_TIMEOUT_MS = 4_000;
/** What each role is told, in one file; every role takes those of its sections. */
const roleSchemas = {
  collector: collectorSchema.extend({ kafka: kafkaLogSchema, ops: opsSchema.prefault({}) }),
  aggregator: aggregatorSchema.extend({
    kafka: kafkaLogSchema,
    store: storeSchema,
    api: apiSchema.optional(),
    ops: opsSchema.prefault({}),
  }),
  api: z.strictObject({ store: storeSchema, api: apiSchema.prefault({}), ops: opsSchema.prefault({}) }),
} as const;

/** Of whatever role: the sections that name clusters. */
const topicsSchema = z.looseObject({
  kafka: kafkaLogSchema,
  clusters: aggregatorSchema.shape.clusters.optional(),
  ...collectorSchema.shape,
});

async function main(args: readonly string[]): Promise<number> {
  const invocation = parseCommandLine(args);
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

/** A file's settings, with the environment's over them: secrets come from there, or from mounted files. */
function roleValues(path: string): { name: string; values: unknown } {
  return { name: path, values: mergeConfig(readConfigFile(path), readEnvironment()) };
}

function commandDeps(store: UsageStore): commands.CommandDeps & { readonly clock: Clock } {
  const clock = new SystemClock();
  return {
    store,
    clock,
    facts: telemetryToStderr('error', clock),
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
  const { log, topics } = kafkaOfRole(config);
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

/** The log of a role, and the topics of the clusters that its sections name. */
function kafkaOfRole(config: string): { log: KafkaLog; topics: readonly string[] } {
  const { kafka, clusters = [], ...collector } = loadConfig(topicsSchema, roleValues(config));
  const { receiver, scrape, simulator } = collector;
  const collected = [...Object.keys(receiver?.clusters ?? {}), scrape?.cluster, simulator?.cluster];
  const names = new Set([...clusters, ...collected.filter((name) => name !== undefined)]);
  const clock = new SystemClock();
  const log = new KafkaLog(kafka, { clock, facts: telemetryToStderr('error', clock) });
  return { log, topics: [...names].map(usageTopic) };
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
    const store = await openStore(loadConfig(roleSchemas.aggregator, roleValues(config)).store);
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
  const role = loadConfig(roleSchemas.collector, roleValues(config));
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
  const role = loadConfig(roleSchemas.aggregator, roleValues(config));
  const { clusters, declaredFile } = role;
  return await runParts(verbose, async (run) => {
    const settings = readSettingsTimeline(role.settingsFile);
    const store = await openStore(role.store);
    const log = kafkaOf(role.kafka, run);
    const retain = (): Promise<void> => Promise.resolve();
    const aggregator = new Aggregator(
      { settings, clusters, declaredFile, group: role.kafka.groupId },
      { store, log, ...run, retain },
    );
    const listening = listeners(role, { ...run, store, checks: aggregator.checks() });
    const parts = [
      part('store', { stop: () => store.close() }),
      kafkaPart(log, clusters.map(usageTopic)),
      aggregatorPart(aggregator, run),
      ...listening.parts,
    ];
    const topics = clusters.map(usageTopic).join(', ');
    const announce = (): string => textOf([`Metering from Kafka: ${topics}`, ...listening.addresses()]);
    return { parts, announce };
  });
}

async function runApi({ config, verbose }: OptionsOf<'api'>): Promise<number> {
  const role = loadConfig(roleSchemas.api, roleValues(config));
  return await runParts(verbose, async (run) => {
    const store = await openStore(role.store);
    const { parts, addresses } = listeners(role, { ...run, store, checks: [storeCheck(store)] });
    const storePart = part('store', { stop: () => store.close() });
    return { parts: [storePart, ...parts], announce: () => textOf(addresses()) };
  });
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
    const api = apiOf({ host: '127.0.0.1', port }, { ...run, store, checks: aggregator.checks() });
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

function part(name: string, steps: { start?: () => Promise<void>; stop: () => Promise<void> }): Part {
  return { name, start: steps.start ?? (() => Promise.resolve()), stop: steps.stop };
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
