/**
 * What is known of a fact: its log line, its metrics, the runbook of an error.
 *
 * Levels: debug = routine; info = worth a line; warn = surprising, nothing lost; error = usage may be
 * wrong, and a runbook says what to do. Times are milliseconds in facts and seconds in metrics.
 */
export type Level = 'debug' | 'info' | 'warn' | 'error';

export type MetricKind = 'counter' | 'gauge' | 'histogram';

export interface MetricDefinition {
  readonly kind: MetricKind;
  readonly name: string;
  readonly help: string;
  /** The field that is added (counter), set (gauge) or observed (histogram); a counter without one adds 1. */
  readonly field?: string;
  /** Fields that become labels; each has few values (reasons, topics, clusters), never ids or times. */
  readonly labels: readonly string[];
  /** Divides the field's value on its way into the metric: 1000 for milliseconds to seconds. */
  readonly divisor: number;
}

export interface FactDefinition<F extends object> {
  readonly level: Level;
  /** What happened, in the words of the log line. */
  readonly message: string;
  readonly metrics: readonly MetricDefinition[];
  /** Page under docs/runbooks: every error names one, a warning may. */
  readonly runbook?: string;
  /** Carries the type of the fields; never set. */
  readonly fields?: F;
}

interface MetricOptions<F> {
  readonly field?: keyof F & string;
  readonly labels?: readonly (keyof F & string)[];
  readonly divisor?: number;
}

/** Collects what is known of one fact; `F` is given by the caller, the rest is checked against it. */
export class FactBuilder<F extends object> implements FactDefinition<F> {
  readonly level: Level;
  readonly message: string;
  readonly metrics: readonly MetricDefinition[];
  readonly runbook?: string;
  declare readonly fields?: F;

  constructor(definition: FactDefinition<F>) {
    this.level = definition.level;
    this.message = definition.message;
    this.metrics = definition.metrics;
    if (definition.runbook !== undefined) this.runbook = definition.runbook;
  }

  counter(name: string, help: string, options: MetricOptions<F> = {}): FactBuilder<F> {
    return this.#with('counter', name, help, options);
  }

  gauge(name: string, help: string, options: MetricOptions<F> & { field: keyof F & string }): FactBuilder<F> {
    return this.#with('gauge', name, help, options);
  }

  histogram(
    name: string,
    help: string,
    options: MetricOptions<F> & { field: keyof F & string },
  ): FactBuilder<F> {
    return this.#with('histogram', name, help, options);
  }

  #with(kind: MetricKind, name: string, help: string, options: MetricOptions<F>): FactBuilder<F> {
    const metric = { kind, name, help, labels: [], divisor: 1, ...options };
    const { level, message, runbook } = this;
    const metrics = [...this.metrics, metric];
    return new FactBuilder({ level, message, metrics, ...(runbook === undefined ? {} : { runbook }) });
  }
}

export function debug<F extends object>(message: string): FactBuilder<F> {
  return new FactBuilder<F>({ level: 'debug', message, metrics: [] });
}

export function info<F extends object>(message: string): FactBuilder<F> {
  return new FactBuilder<F>({ level: 'info', message, metrics: [] });
}

/** Nothing is wrong with usage, but a page may say what to look at. */
export function warn<F extends object>(message: string, runbook?: string): FactBuilder<F> {
  const page = runbook === undefined ? {} : { runbook };
  return new FactBuilder<F>({ level: 'warn', message, metrics: [], ...page });
}

export function error<F extends object>(message: string, runbook: string): FactBuilder<F> {
  return new FactBuilder<F>({ level: 'error', message, metrics: [], runbook });
}
