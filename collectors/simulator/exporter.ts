import { type Labels, renderLabels } from './labels.ts';
import { type Node } from './node.ts';
import { type Source } from './source.ts';

/** Beyla forgets a series this long after its last byte. */
export const SERIES_TTL_MS = 300_000;
/** A restart leaves it without an answer for this long; what happens meanwhile nobody counts. */
export const RESTART_MS = 2_000;

/**
 * One counter of an exporter. Its value is what it `carried` over and what its source used since `before`.
 */
export class ExporterSeries {
  readonly kind: 'flow' | 'requests';
  /** Rendered, the reporter's own label included. */
  readonly labels: string;
  endedMs: number | null = null;
  #source: Source;
  #before = 0n;
  #carried = 0n;

  constructor(kind: ExporterSeries['kind'], labels: string, source: Source) {
    this.kind = kind;
    this.labels = labels;
    this.#source = source;
  }

  count(t: number): bigint {
    return this.#carried + this.#source.total(t) - this.#before;
  }

  counts(source: Source): boolean {
    return this.#source === source;
  }

  /** The same labels again, from a new source: a pod of a StatefulSet came back to its node. */
  goOn(source: Source): void {
    this.#carried = this.count(source.bornMs);
    this.#before = 0n;
    this.#source = source;
    this.endedMs = null;
  }

  beginAgain(t: number): void {
    this.#carried = 0n;
    this.#before = this.#source.total(t);
  }
}

/**
 * The Beyla of one node. Its counters are in its own memory: a restart begins all of them at 0, and a series
 * whose pod is gone stays with its last value until the TTL.
 */
export class Exporter {
  readonly node: Node;
  startedMs: number;
  down = false;
  readonly #cluster: string;
  readonly #series = new Map<string, ExporterSeries>();
  readonly #ended = new Set<ExporterSeries>();

  constructor(node: Node, cluster: string, startedMs: number) {
    this.node = node;
    this.#cluster = cluster;
    this.startedMs = startedMs;
  }

  series(): Iterable<ExporterSeries> {
    return this.#series.values();
  }

  begin(kind: ExporterSeries['kind'], source: Source, labels: Labels): void {
    const rendered = renderLabels({ beyla_ip: this.node.ip, k8s_cluster_name: this.#cluster, ...labels });
    const known = this.#series.get(rendered);
    if (known === undefined) {
      this.#series.set(rendered, new ExporterSeries(kind, rendered, source));
      return;
    }
    known.goOn(source);
    this.#ended.delete(known);
  }

  end(sources: readonly Source[], t: number): void {
    for (const series of this.#series.values()) {
      if (!sources.some((source) => series.counts(source))) continue;
      series.endedMs = t;
      this.#ended.add(series);
    }
  }

  forgetIdle(t: number): void {
    for (const series of this.#ended) {
      if (t - (series.endedMs ?? t) >= SERIES_TTL_MS) this.#forget(series);
    }
  }

  stop(): void {
    this.down = true;
  }

  /** A new process: it knows only what is still running, and nothing of what was before. */
  start(t: number): void {
    this.down = false;
    this.startedMs = t;
    for (const series of this.#ended) this.#forget(series);
    for (const series of this.#series.values()) series.beginAgain(t);
  }

  #forget(series: ExporterSeries): void {
    this.#ended.delete(series);
    this.#series.delete(series.labels);
  }
}
