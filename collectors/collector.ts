/**
 * The collector role: what is pushed to it and what it scrapes, appended to the log. Input: its settings and
 * a log that is open. Guarantee: that of each part (receiver, scraper); they share nothing but the log. A
 * crash loses nothing that was answered or appended.
 */
import { z } from 'zod';
import type { SampleLog } from '../core/eventlog/sample-log.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { FactSink } from '../core/runtime/facts.ts';
import type { Part } from '../core/runtime/lifecycle.ts';
import { receiverConfigOf, receiverConfigSchema } from './receiver/config.ts';
import { Receiver } from './receiver/receiver.ts';
import { scrapeConfig, scrapeConfigSchema, type ScrapeConfig } from './scrape/config.ts';
import { ScrapeCollector } from './scrape/scrape-collector.ts';
import { factsOfScraping } from './scrape/telemetry.ts';
import { simulatorSchema, type SimulatorRoleConfig } from './simulator/config.ts';
import { ClusterSimulator } from './simulator/simulator.ts';

export const collectorSchema = z.strictObject({
  /** Samples that others send. */
  receiver: receiverConfigSchema.optional(),
  /** Targets that this process scrapes. */
  scrape: scrapeConfigSchema.optional(),
  simulator: simulatorSchema.optional(),
});

export type CollectorConfig = Readonly<z.output<typeof collectorSchema>>;

export interface CollectorDeps {
  readonly log: SampleLog;
  readonly clock: Clock;
  readonly facts: FactSink;
}

/** What a collector runs, in the order in which it starts. */
export interface CollectorParts {
  readonly parts: readonly Part[];
  /** Whose topics it appends to. */
  readonly clusters: readonly string[];
  /** Where it can be reached; known once it has started. */
  readonly addresses: () => readonly string[];
}

export function collectorParts(config: CollectorConfig, deps: CollectorDeps): CollectorParts {
  const parts: Part[] = [];
  const clusters = new Set<string>();
  const addresses: (() => string)[] = [];
  if (config.simulator !== undefined) {
    const simulated = new SimulatedCluster(config.simulator, deps);
    parts.push(simulated);
    addresses.push(() => `simulated cluster ${simulated.origin}`);
    if (simulated.isScraped) clusters.add(config.simulator.cluster);
  }
  if (config.receiver !== undefined) {
    const receiving = receiverConfigOf(config.receiver);
    const receiver = new Receiver(receiving, deps);
    parts.push(receiver);
    addresses.push(() => `receiver ${receiver.url}/api/v1/write and ${receiver.url}/v1/metrics`);
    for (const { name } of receiving.clusters) clusters.add(name);
  }
  if (config.scrape !== undefined) {
    parts.push(scraperPart(config.scrape, deps));
    clusters.add(config.scrape.cluster);
  }
  return { parts, clusters: [...clusters], addresses: () => addresses.map((address) => address()) };
}

function scraperPart(config: ScrapeConfig, deps: CollectorDeps): Part {
  const scraper = new ScrapeCollector(config, { ...deps, telemetry: factsOfScraping(deps.facts) });
  return { name: 'scraper', start: () => scraper.start(), stop: () => scraper.stop() };
}

/** A simulator, and a scraper of it where that is asked for: its targets are known once it listens. */
class SimulatedCluster implements Part {
  readonly name = 'simulator';
  readonly #config: SimulatorRoleConfig;
  readonly #deps: CollectorDeps;
  readonly #simulator: ClusterSimulator;
  #scraper: Part | undefined;

  constructor(config: SimulatorRoleConfig, deps: CollectorDeps) {
    const { scrapeIntervalMs: _, ...world } = config;
    this.#config = config;
    this.#deps = deps;
    this.#simulator = new ClusterSimulator(world, deps);
  }

  get isScraped(): boolean {
    return this.#config.scrapeIntervalMs !== undefined;
  }

  /** Once it has started. */
  get origin(): string {
    return new URL(this.#simulator.targets()[0]?.url ?? '').origin;
  }

  async start(): Promise<void> {
    await this.#simulator.start();
    const { cluster, scrapeIntervalMs: intervalMs } = this.#config;
    if (intervalMs === undefined) return;
    const targets = this.#simulator.targets().map(({ labels, ...target }) => {
      const { cluster: _, ...others } = labels;
      return { ...target, labels: others, intervalMs, honorLabels: true };
    });
    this.#scraper = scraperPart(scrapeConfig({ cluster, targets }), this.#deps);
    await this.#scraper.start();
  }

  async stop(): Promise<void> {
    await this.#scraper?.stop();
    await this.#simulator.stop();
  }
}
