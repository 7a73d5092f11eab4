import { inspect } from 'node:util';

import type { Counter, Gauge, Histogram, Meter } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { Registry } from 'prom-client';

import type { Clock } from './clock.ts';
import type { FactDefinition, Level, MetricDefinition } from './fact-definition.ts';
import { facts, type FactFields, type FactName, type FactSink } from './facts.ts';
import { formatLine, type LineFormat } from './log-line.ts';
import { recordSpan } from './telemetry-tracing.ts';

/**
 * Input: named facts of the catalogue. Output: one log line each (from `level` up) and the metrics the
 * catalogue gives them. Guarantee: a fact never throws and never waits, so no stage fails by telling.
 * A crash loses the counts since the last scrape, as with every Prometheus counter; no figure hangs on them.
 */
export interface TelemetryConfig {
  readonly format: LineFormat;
  /** Facts below this level are counted but not written; `silent` writes none. */
  readonly level: Level | 'silent';
}

export interface TelemetryDeps {
  readonly clock: Clock;
  readonly output: { write(text: string): unknown };
}

const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];

/** For a process of its own: to standard error, readable on a terminal and JSON elsewhere. */
export function telemetryToStderr(level: Level | 'silent', clock: Clock): Telemetry {
  const output = process.stderr;
  return new Telemetry({ format: output.isTTY ? 'pretty' : 'json', level }, { clock, output });
}

/** Buckets in seconds: from a store insert to an hour's roll-up. */
const DURATION_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

type Instrument = (value: number, labels: Record<string, string>) => void;

export class Telemetry implements FactSink {
  /** Where the domain's own gauges (usage, quotas, periods) register; shown together with the pipeline's. */
  readonly domain: Registry = new Registry();
  readonly #config: TelemetryConfig;
  readonly #deps: TelemetryDeps;
  readonly #reader: PrometheusExporter;
  readonly #provider: MeterProvider;
  readonly #serializer = new PrometheusSerializer('', false, undefined, true, true);
  readonly #instruments = new Map<string, Instrument>();

  constructor(config: TelemetryConfig, deps: TelemetryDeps) {
    this.#config = config;
    this.#deps = deps;
    // The exporter is used as a reader only: our own ops listener serves the text, no port is opened here.
    this.#reader = new PrometheusExporter({ preventServerStart: true });
    this.#provider = new MeterProvider({ readers: [this.#reader] });
    const meter = this.#provider.getMeter('gh0stmeter');
    for (const fact of Object.values<FactDefinition<object>>(facts)) {
      for (const metric of fact.metrics) this.#register(meter, metric);
    }
  }

  event<N extends FactName>(name: N, fields: FactFields<N>): void {
    const fact: FactDefinition<object> = facts[name];
    const values: Readonly<Record<string, unknown>> = { ...(fields as object) };
    for (const metric of fact.metrics) this.#record(metric, values);
    const { durationMs } = values;
    if (typeof durationMs === 'number') {
      recordSpan(name, { endMs: this.#deps.clock.now(), durationMs }, values);
    }
    if (!this.#writes(fact.level)) return;
    const runbook = fact.runbook === undefined ? {} : { runbook: `docs/runbooks/${fact.runbook}.md` };
    this.#deps.output.write(
      formatLine(this.#config.format, {
        timeMs: this.#deps.clock.now(),
        level: fact.level,
        event: name,
        message: fact.message,
        fields: { ...values, ...runbook },
      }),
    );
  }

  /** The Prometheus exposition of the pipeline's metrics and of the domain's. */
  async metricsText(): Promise<string> {
    const { resourceMetrics } = await this.#reader.collect();
    const pipeline = this.#serializer.serialize(resourceMetrics);
    const domain = await this.domain.metrics();
    return [pipeline, domain].map((text) => `${text.trim()}\n`).join('');
  }

  async close(): Promise<void> {
    await this.#provider.shutdown();
  }

  #writes(level: Level): boolean {
    return this.#config.level !== 'silent' && LEVELS.indexOf(level) >= LEVELS.indexOf(this.#config.level);
  }

  /** Two facts may feed one metric, so instruments are kept by name. */
  #register(meter: Meter, metric: MetricDefinition): void {
    if (!this.#instruments.has(metric.name)) this.#instruments.set(metric.name, instrument(meter, metric));
  }

  #record(metric: MetricDefinition, values: Readonly<Record<string, unknown>>): void {
    const labels = Object.fromEntries(metric.labels.map((label) => [label, labelText(values[label])]));
    const value = metric.field === undefined ? 1 : Number(values[metric.field]) / metric.divisor;
    this.#instruments.get(metric.name)?.(value, labels);
  }
}

function instrument(meter: Meter, { kind, name, help, labels }: MetricDefinition): Instrument {
  switch (kind) {
    case 'counter': {
      const counter: Counter = meter.createCounter(name, { description: help });
      // Without a 0 to rise from, a rate would miss the first count. Labelled ones have no 0 to give.
      if (labels.length === 0) counter.add(0);
      return (value, attributes) => counter.add(value, attributes);
    }
    case 'gauge': {
      const gauge: Gauge = meter.createGauge(name, { description: help });
      return (value, attributes) => gauge.record(value, attributes);
    }
    case 'histogram': {
      const advice = { explicitBucketBoundaries: DURATION_BUCKETS };
      const histogram: Histogram = meter.createHistogram(name, { description: help, advice });
      return (value, attributes) => histogram.record(value, attributes);
    }
  }
}

function labelText(value: unknown): string {
  return typeof value === 'string' ? value : inspect(value);
}
