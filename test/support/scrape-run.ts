import type * as https from 'node:https';
import { scrapeConfig, type ScrapeConfig, type ScrapeTarget } from '../../collectors/scrape/config.ts';
import { ScrapeCollector } from '../../collectors/scrape/scrape-collector.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { MemoryLog, type MemoryLogOptions } from './memory-log.ts';
import { decodePublished } from './published-otlp.ts';
import { recordedFacts } from './scrape-facts.ts';
import { type Answer, ScrapeTargetServer } from './scrape-target.ts';

/** Short for a test, long enough for a busy machine to answer within. */
export const INTERVAL_MS = 300;
const running: { stop(): Promise<void> }[] = [];
const servers: ScrapeTargetServer[] = [];

/** For afterEach: stops the collectors first, then what they scraped. */
export async function stopAll(): Promise<void> {
  for (const one of running.splice(0)) await one.stop();
  for (const one of servers.splice(0)) await one[Symbol.asyncDispose]();
}

export type TargetSettings = Partial<Omit<ScrapeTarget, 'url'>>;

export async function serve(answer: Answer, tls?: https.ServerOptions): Promise<ScrapeTargetServer> {
  const server = await new ScrapeTargetServer(answer, tls).listen();
  servers.push(server);
  return server;
}

export function configFor(
  url: string,
  { bearerToken, ...settings }: TargetSettings = {},
  more: object = {},
): ScrapeConfig {
  const target = { job: 'demo', url, intervalMs: INTERVAL_MS, labels: { node: 'n1' }, ...settings };
  const config = scrapeConfig({ cluster: 'dev', targets: [target], drainTimeoutMs: 1_000, ...more });
  if (bearerToken === undefined) return config;
  return { ...config, targets: config.targets.map((one) => ({ ...one, bearerToken })) };
}

export async function collect(config: ScrapeConfig, logOptions: MemoryLogOptions = {}) {
  const log = new MemoryLog(logOptions);
  const facts = recordedFacts();
  const collector = new ScrapeCollector(config, {
    log,
    clock: new SystemClock(),
    telemetry: facts.telemetry,
  });
  await collector.start();
  running.push(collector);
  return { log, facts, collector };
}

export interface Row {
  readonly name: string;
  readonly labels: string;
  readonly timeMs: number;
  readonly value: number | 'stale' | undefined;
  readonly startMs: number | undefined;
}

interface Decoded {
  resourceMetrics: {
    scopeMetrics: {
      metrics: {
        name: string;
        gauge: {
          dataPoints: {
            attributes?: { key: string; value: { stringValue: string } }[];
            timeUnixNano: string;
            startTimeUnixNano?: string;
            asDouble?: number;
            flags?: number;
          }[];
        };
      }[];
    }[];
  }[];
}

/** Every point in the log, as another library decodes it. */
export function rows(log: MemoryLog): readonly Row[] {
  return log.records('usage.dev').flatMap((record) => {
    const { resourceMetrics } = decodePublished(record.value) as Decoded;
    const metrics = resourceMetrics.flatMap((one) => one.scopeMetrics).flatMap((one) => one.metrics);
    return metrics.flatMap(({ name, gauge }) =>
      gauge.dataPoints.map(({ attributes = [], timeUnixNano, startTimeUnixNano, asDouble, flags }) => ({
        name,
        labels: attributes.map(({ key, value }) => `${key}=${value.stringValue}`).join(','),
        timeMs: Number(BigInt(timeUnixNano) / 1_000_000n),
        value: flags === 1 && asDouble === undefined ? ('stale' as const) : asDouble,
        startMs: startTimeUnixNano === undefined ? undefined : Number(BigInt(startTimeUnixNano) / 1_000_000n),
      })),
    );
  });
}

export const valuesOf = (log: MemoryLog, name: string) =>
  rows(log)
    .filter((row) => row.name === name)
    .map(({ value }) => value);
