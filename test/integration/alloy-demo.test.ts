/**
 * The laptop's path: the same simulated cluster, scraped by the built-in scraper and as alloy/demo says. The
 * scraper's scrapes tell when; at each of those times a twin of the simulator, which is the same down to the
 * byte, is asked over HTTP for the targets of the demo's configuration, and its rows go through the demo's
 * rules into records of Alloy's shape. What is proven: targets, paths, labels, rules and resources of the
 * committed files give the same usage, straight and as a capture of a topic on a broker. What is not: Alloy
 * itself and its queue, which do not run here.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { capturedBatches } from '../../aggregator/rollup/replay.ts';
import type { UsageRow } from '../../aggregator/rollup/usage-rows.ts';
import { parseExposition } from '../../collectors/scrape/exposition.ts';
import { labelScrape } from '../../collectors/scrape/points.ts';
import { scrapeConfig } from '../../collectors/scrape/config.ts';
import { ScrapeCollector } from '../../collectors/scrape/scrape-collector.ts';
import { ClusterSimulator } from '../../collectors/simulator/simulator.ts';
import { captureLines } from '../../core/eventlog/capture.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { nextTurn } from '../../core/runtime/clock.ts';
import { AlloyCollector, type Scrape } from '../support/alloy/collector.ts';
import { committed } from '../support/alloy/committed.ts';
import { alloyRecord, seriesIn, type AlloyPoint } from '../support/alloy/records.ts';
import type { Labels } from '../support/alloy/relabel.ts';
import type { TestStore } from '../support/chdb.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { kafkaLog } from '../support/kafka/kafka-log.ts';
import { MemoryLog } from '../support/memory-log.ts';
import { emptyStore, openFastStore, Pipeline } from '../support/pipeline.ts';
import { recordedFacts } from '../support/scrape-facts.ts';
import { StepClock } from '../support/step-clock.ts';
import { SimulatedClock } from '../unit/collectors/simulator/simulated-clock.ts';
import { VECTOR_SETTINGS } from '../vectors/vectors.ts';

const START_MS = Date.UTC(2026, 2, 14, 9, 54, 11, 250);
const MINUTES = 8;
const INTERVAL_MS = 30_000;
/** No other sleep is as long, so whoever sleeps for it waits for a page. */
const TIMEOUT_MS = 9_973;
const TOPIC = 'usage.demo';
const WORLD = {
  ...{ cluster: 'demo', seed: 'gh0stcloud', nodes: 3, tenants: ['acme', 'globex', 'initech'] },
  ...{ host: '127.0.0.1', port: 0 },
};

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(() => opened.dispose());
beforeEach(() => emptyStore(opened.store));

/** The built-in scraper over some minutes; time stands still while a page is fetched. */
async function builtIn(): Promise<readonly LogRecord[]> {
  const clock = new StepClock(START_MS);
  const simulator = new ClusterSimulator(WORLD, { clock });
  await simulator.start();
  const log = new MemoryLog({ clock });
  const targets = simulator.targets().map(({ labels: { cluster: _, ...labels }, ...target }) => ({
    ...target,
    ...{ labels, intervalMs: INTERVAL_MS, timeoutMs: TIMEOUT_MS, honorLabels: true },
  }));
  const deps = { log, clock, telemetry: recordedFacts().telemetry };
  const collector = new ScrapeCollector(scrapeConfig({ cluster: 'demo', targets }), deps);
  await collector.start();
  while (clock.step(START_MS + MINUTES * 60_000)) {
    for (let quiet = 0; quiet < 3; quiet++) {
      await nextTurn();
      if (clock.sleeping(TIMEOUT_MS) > 0) quiet = -1;
    }
  }
  await collector.stop();
  await simulator.stop();
  return log.records(TOPIC);
}

interface Moment {
  readonly t: number;
  readonly job: string;
  readonly instance: string;
}

/** When the built-in scraper asked which target: its `up` says so. */
function momentsOf(records: readonly LogRecord[]): Moment[] {
  const ups = records
    .flatMap(({ value }) => seriesIn(value))
    .filter(({ labels }) => labels.get('__name__') === 'up');
  return ups
    .map(({ labels, timeUnixNano }) => ({
      t: Number(BigInt(timeUnixNano) / 1_000_000n),
      job: labels.get('job') ?? '',
      instance: labels.get('instance') ?? '',
    }))
    .sort((a, b) => a.t - b.t);
}

/** What the demo's Alloy writes of the same cluster, asked at the same times. */
async function byAlloy(moments: readonly Moment[]): Promise<LogRecord[]> {
  const clock = new SimulatedClock(START_MS);
  const simulator = new ClusterSimulator(WORLD, { clock });
  await simulator.start();
  const address = new URL(simulator.targets()[0]!.url).host;
  const alloy = new AlloyCollector(committed('demo'), { env: { DEMO_TARGET: address } });
  const targets = alloy.scrapes().flatMap((scrape) => scrape.targets.map((target) => ({ scrape, target })));
  const before = new Map<Labels, ReadonlyMap<string, Labels>>();
  const records: LogRecord[] = [];
  for (const { t, job, instance } of moments) {
    const found = targets.find(
      ({ target }) => target.get('job') === job && target.get('instance') === instance,
    );
    if (found === undefined) continue;
    clock.set(t);
    const points = await scraped(found.scrape, found.target, t);
    const own = new Map(
      points.filter(({ value }) => value !== undefined).map((point) => [keyOf(point), point.labels]),
    );
    const gone = [...(before.get(found.target) ?? [])].filter(([key]) => !own.has(key));
    before.set(found.target, own);
    const all = [
      ...points,
      ...gone.map(([, labels]) => ({ labels, timeUnixNano: nanos(t), value: undefined })),
    ];
    const passed = all.flatMap((point) => {
      const labels = alloy.pass(found.scrape.label, point.labels);
      return labels === undefined ? [] : [{ ...point, labels }];
    });
    const offset = BigInt(records.length);
    const resource = alloy.resource(job, instance);
    records.push(alloyRecord({ topic: TOPIC, offset, timestampMs: t + 500, resource, points: passed }));
  }
  await simulator.stop();
  return records;
}

/** A page over HTTP, with the labels of its target and what Alloy says of the scrape. */
async function scraped(scrape: Scrape, target: Labels, t: number): Promise<AlloyPoint[]> {
  const url = `http://${target.get('__address__') ?? ''}${target.get('__metrics_path__') ?? ''}`;
  const own = new Map([...target].filter(([name]) => !name.startsWith('__')));
  const report = (name: string, value: number): AlloyPoint => ({
    ...{ labels: new Map([['__name__', name], ...own]), timeUnixNano: nanos(t), value },
  });
  const response = await fetch(url);
  const body = Buffer.from(await response.arrayBuffer());
  if (!response.ok) return [report('up', 0), report('scrape_samples_scraped', 0)];
  const parsed = parseExposition(body, 'text', { maxSamples: 100_000 });
  if (!parsed.ok) throw new Error(parsed.detail);
  const { job, instance, ...labels } = Object.fromEntries(own) as { job: string; instance: string };
  const [settings] = scrapeConfig({
    cluster: 'none',
    targets: [
      {
        job,
        instance,
        url,
        labels,
        honorLabels: scrape.honorLabels,
        trackTimestampsStaleness: scrape.tracksStaleness,
      },
    ],
  }).targets;
  const { points } = labelScrape(parsed.samples, { cluster: 'none', target: settings! }, t);
  const rows = points.map(({ series, timeMs, value }) => ({
    labels: new Map([['__name__', series.name], ...own, ...series.labels]),
    timeUnixNano: nanos(timeMs),
    value,
  }));
  return [...rows, report('up', 1), report('scrape_samples_scraped', rows.length)];
}

function nanos(t: number): string {
  return `${t}000000`;
}

function keyOf({ labels }: AlloyPoint): string {
  return JSON.stringify([...labels].sort());
}

async function usage(records: readonly LogRecord[]): Promise<UsageRow[]> {
  await emptyStore(opened.store);
  const pipeline = new Pipeline(opened.store, { ...VECTOR_SETTINGS, platformNamespaces: ['kube-system'] });
  await pipeline.take(records);
  return (await pipeline.usage()).filter(({ quantity }) => quantity !== 0n);
}

let scraperRecords: readonly LogRecord[];
let alloyRecords: readonly LogRecord[];
beforeAll(async () => {
  scraperRecords = await builtIn();
  alloyRecords = await byAlloy(momentsOf(scraperRecords));
}, 150_000);

test('the demo gives the usage that the built-in scraper gives, from fewer points', async () => {
  const [expected, got] = [await usage(scraperRecords), await usage(alloyRecords)];
  expect(expected.length).toBeGreaterThan(50);
  expect(new Set(expected.map(({ meter }) => meter)).size).toBeGreaterThan(9);
  expect(got).toEqual(expected);
  const points = (records: readonly LogRecord[]): number =>
    records.flatMap(({ value }) => seriesIn(value)).length;
  expect(points(alloyRecords)).toBeLessThan(points(scraperRecords) / 2);
}, 150_000);

const missing = missingForKafka();

test.skipIf(missing !== undefined)(
  `a capture of what went through a broker gives the same${missing === undefined ? '' : `: ${missing}`}`,
  async () => {
    const broker = await KafkaBroker.start();
    const directory = await mkdtemp(join(tmpdir(), 'alloy-demo-'));
    const log = kafkaLog(broker.address);
    try {
      await log.ensureTopics([TOPIC]);
      // Several partitions, in requests of a size that Alloy sends; the broker gives places of its own.
      for (const { partition: _, ...record } of alloyRecords) await log.append([record]);
      const captured = join(directory, 'demo.jsonl');
      const lines: string[] = [];
      for await (const line of captureLines(log, [TOPIC], { isEmptyTheEnd: false })) lines.push(line);
      await writeFile(captured, lines.join(''));
      const records: LogRecord[] = [];
      for await (const batch of capturedBatches([captured])) records.push(...batch);
      expect(records).toHaveLength(alloyRecords.length);
      expect(new Set(records.map(({ partition }) => partition)).size).toBeGreaterThan(1);
      expect(await usage(records)).toEqual(await usage(scraperRecords));
    } finally {
      await log.close();
      await broker.stop();
      await rm(directory, { recursive: true });
    }
  },
  150_000,
);

test('the demo scrapes every target of the simulator but the page that repeats another', async () => {
  const simulator = new ClusterSimulator(WORLD, { clock: new SimulatedClock(START_MS) });
  await simulator.start();
  const wanted = simulator
    .targets()
    .filter(({ job }) => job !== 'kubelet-resource')
    .map(({ job, url }) => `${job} ${new URL(url).pathname}`);
  await simulator.stop();
  const alloy = new AlloyCollector(committed('demo'), { env: {} });
  const targets = alloy.scrapes().flatMap((scrape) => scrape.targets);
  const asked = targets.map((target) => `${target.get('job') ?? ''} ${target.get('__metrics_path__') ?? ''}`);
  expect(asked.sort()).toEqual(wanted.sort());
  expect(new Set(targets.map((target) => target.get('__address__')))).toEqual(new Set(['127.0.0.1:9464']));
});
