/**
 * Scrapes one target on its schedule.
 *
 * Input: the target, as it answers or not. Output: one scrape's points at a time, handed to the outbox: the
 * samples, the scraper's own report (`up` and its kin) and a staleness marker for every series that vanished.
 * Guarantee: a failed scrape ingests nothing of its body, gives `up` 0 and ends every series of the target
 * once; a stop ends nothing, because nothing is known then. A crash loses the memory of what was shown last:
 * series that vanish meanwhile get no marker, and the gauge rule's `max_hold` bounds what they still count.
 */
import type { Clock } from '../../core/runtime/clock.ts';
import { type ScrapeTarget, timeoutMsOf } from './config.ts';
import { parseExposition } from './exposition.ts';
import type { Outbox } from './outbox.ts';
import { type LabelledScrape, labelScrape, type Point, reportSeries } from './points.ts';
import { toRecords } from './records.ts';
import { Schedule } from './schedule.ts';
import { ScrapeClient } from './scrape-client.ts';
import { seriesKey, SeriesTracker, type TrackedSeries } from './series-tracker.ts';
import { targetId } from './target.ts';
import type { ScrapeFailureReason, ScrapeTelemetry } from './telemetry.ts';

/**
 * Up to this late a scrape still carries the time of its slot, as in Prometheus; later ones carry their own.
 */
const MAX_ALIGN_MS = 1_000;
const MAX_ALIGN_SHARE = 0.1;

export interface TargetLoopConfig {
  readonly cluster: string;
  readonly topic: string;
  readonly scopeVersion: string;
  readonly target: ScrapeTarget;
}

export interface TargetLoopDeps {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly telemetry: ScrapeTelemetry;
}

/** What a target showed last: outlives a change of its settings. */
export class TargetMemory {
  readonly samples = new SeriesTracker();
  readonly report = new SeriesTracker();
}

type Outcome =
  | ({ readonly ok: true; readonly scraped: number } & LabelledScrape)
  | { readonly ok: false; readonly reason: ScrapeFailureReason; readonly error: unknown };

export class TargetLoop {
  readonly config: TargetLoopConfig;
  readonly memory: TargetMemory;
  private readonly deps: TargetLoopDeps;
  private readonly id: string;
  private readonly client: ScrapeClient;
  private readonly schedule: Schedule;
  private readonly stopping = new AbortController();
  private underWay: AbortController | undefined;
  private done: Promise<void> | undefined;

  constructor(config: TargetLoopConfig, deps: TargetLoopDeps, memory = new TargetMemory()) {
    this.config = config;
    this.deps = deps;
    this.memory = memory;
    this.id = targetId(config.target);
    this.client = new ScrapeClient(config.target);
    this.schedule = new Schedule(this.id, config.target.intervalMs);
  }

  start(): void {
    this.done = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.underWay?.abort();
    await this.done;
    this.client.close();
  }

  /** The target is configured no more: every series of it ends now. */
  end(): void {
    const nowMs = this.deps.clock.now();
    const series = [this.memory.samples, this.memory.report].flatMap(
      (known) => known.replace(new Set()).vanished,
    );
    this.send(
      series.map((one) => marker(one, nowMs)),
      nowMs,
    );
  }

  private async run(): Promise<void> {
    const { clock, outbox, telemetry } = this.deps;
    while (!this.isStopping()) {
      const slot = this.schedule.next(clock.now());
      if (slot.skipped > 0)
        telemetry.scrapesSkipped({ target: this.id, reason: 'late', count: slot.skipped });
      await clock.sleep(Math.max(0, slot.atMs - clock.now()), this.stopping.signal);
      if (this.isStopping()) return;
      if (outbox.isFull) telemetry.scrapesSkipped({ target: this.id, reason: 'buffer_full', count: 1 });
      else await this.scrape(this.timeOf(slot.atMs));
    }
  }

  private isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  private timeOf(slotMs: number): number {
    const nowMs = this.deps.clock.now();
    const toleranceMs = Math.min(MAX_ALIGN_MS, this.config.target.intervalMs * MAX_ALIGN_SHARE);
    return Math.abs(nowMs - slotMs) <= toleranceMs ? slotMs : nowMs;
  }

  private async scrape(scrapeMs: number): Promise<void> {
    const { clock } = this.deps;
    const startedMs = clock.now();
    const outcome = await this.read(scrapeMs);
    if (this.isStopping()) return;
    const durationMs = Math.max(0, clock.now() - startedMs);
    this.state(outcome, durationMs);
    const points = outcome.ok ? outcome.points : [];
    const change = this.memory.samples.replace(outcome.ok ? outcome.tracked : new Set());
    const report = this.report(outcome, { durationMs, added: change.added, scrapeMs });
    this.send(
      [...points, ...change.vanished.map((series) => marker(series, scrapeMs)), ...report],
      clock.now(),
    );
  }

  /** Fetch and parse, within the target's time. */
  private async read(scrapeMs: number): Promise<Outcome> {
    const { target } = this.config;
    const timeout = new AbortController();
    const finished = new AbortController();
    this.underWay = timeout;
    const timer = this.deps.clock.sleep(timeoutMsOf(target), finished.signal).then(() => timeout.abort());
    const fetched = await this.client.fetch(timeout.signal);
    finished.abort();
    await timer;
    if (!fetched.ok) return fetched;
    const parsed = parseExposition(fetched.body, fetched.format, { maxSamples: target.sampleLimit });
    if (!parsed.ok) return { ok: false, reason: parsed.reason, error: parsed.detail };
    return {
      ok: true,
      scraped: parsed.samples.length,
      ...labelScrape(parsed.samples, this.config, scrapeMs),
    };
  }

  private state(outcome: Outcome, durationMs: number): void {
    const { telemetry } = this.deps;
    const target = this.id;
    if (!outcome.ok) {
      telemetry.scrapeFailed({ target, reason: outcome.reason, error: outcome.error });
      return;
    }
    telemetry.scrapeDone({ target, samples: outcome.scraped, durationMs });
    if (outcome.duplicates > 0) telemetry.scrapeDuplicates({ target, count: outcome.duplicates });
  }

  /** The scraper's own series, with a marker for those that a change of the target's labels left behind. */
  private report(
    outcome: Outcome,
    facts: { readonly durationMs: number; readonly added: number; readonly scrapeMs: number },
  ): readonly Point[] {
    const values: Readonly<Record<string, number>> = {
      up: outcome.ok ? 1 : 0,
      scrape_duration_seconds: facts.durationMs / 1000,
      scrape_samples_scraped: outcome.ok ? outcome.scraped : 0,
      scrape_samples_post_metric_relabeling: outcome.ok ? outcome.points.length : 0,
      scrape_series_added: outcome.ok ? facts.added : 0,
    };
    const points = Object.entries(values).map(([name, value]) => {
      return { series: reportSeries(this.config, name), timeMs: facts.scrapeMs, value, startMs: undefined };
    });
    const { vanished } = this.memory.report.replace(new Set(points.map(({ series }) => seriesKey(series))));
    return [...points, ...vanished.map((series) => marker(series, facts.scrapeMs))];
  }

  private send(points: readonly Point[], timestampMs: number): void {
    const { topic, scopeVersion, target } = this.config;
    const scheme = new URL(target.url).protocol.slice(0, -1);
    this.deps.outbox.add(toRecords(points, { topic, scheme, scopeVersion, timestampMs }));
  }
}

function marker(series: TrackedSeries, timeMs: number): Point {
  return { series, timeMs, value: undefined, startMs: undefined };
}
