/**
 * The aggregator role: consumes the log, keeps usage in step, and says how it is doing. Input: a log and a
 * store, both open and migrated. A fault that no retry mends ends the role; its restart goes on from durable
 * state.
 */
import { randomUUID } from 'node:crypto';
import type { LogConsumer, LogPosition, SampleLog } from '../core/eventlog/sample-log.ts';
import type { MeteringSettings } from '../core/metering/settings.ts';
import { every, type Clock } from '../core/runtime/clock.ts';
import { MeteringError } from '../core/runtime/errors.ts';
import type { FactSink } from '../core/runtime/facts.ts';
import type { ReadinessCheck } from './api/health.ts';
import { Ingest } from './ingest/ingest.ts';
import { RestartPoint, SAFE_AGE_MS } from './ingest/restart-point.ts';
import { RollUp } from './rollup/roll-up.ts';
import { journalPosition, openMarks, remarkRolledSince } from './rollup/unit-marks.ts';
import { Retention } from './store/retention.ts';
import type { UsageStore } from './store/usage-store.ts';

export interface AggregatorConfig {
  readonly settings: MeteringSettings;
  /** Each has a topic of its own, `usage.<cluster>`. */
  readonly clusters: readonly string[];
  /** Where the committed positions of the last minutes are kept (embedded only). */
  readonly restartFile: string;
}

export interface AggregatorDeps {
  readonly store: UsageStore;
  readonly log: SampleLog;
  readonly clock: Clock;
  readonly facts: FactSink;
  /** Removes what the log no longer needs; called now and then. */
  readonly retain: () => Promise<unknown>;
}

const GROUP = 'aggregator';
const TOPIC_PREFIX = 'usage.';
const MAX_BATCH_BYTES = 8 * 1024 * 1024;
const POLL_MS = 500;
const HOUSEKEEPING_MS = 60_000;

export class Aggregator {
  readonly #config: AggregatorConfig;
  readonly #deps: AggregatorDeps;
  readonly #topics: readonly string[];
  readonly #restartPoint: RestartPoint;
  readonly #retention: Retention;
  readonly #stopping = new AbortController();
  #consumer: LogConsumer | undefined;
  #loops: Promise<unknown>[] = [];

  constructor(config: AggregatorConfig, deps: AggregatorDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#topics = config.clusters.map((cluster) => TOPIC_PREFIX + cluster);
    this.#restartPoint = new RestartPoint(config.restartFile);
    this.#retention = new Retention(config.settings, deps);
  }

  /** Resolves when the role runs; `failed` is told of a fault that ends it later. */
  async start(failed: (error: unknown) => void): Promise<void> {
    const { store, log, clock, facts } = this.#deps;
    const { settings } = this.#config;
    this.#consumer = await log.consumer({ group: GROUP, topics: this.#topics });
    await this.#refuseLostLog();
    await this.#recover(this.#consumer);
    const ingest = new Ingest(
      {
        settings,
        clusterOfTopic: (topic) => topic.slice(TOPIC_PREFIX.length),
        maxBatchBytes: MAX_BATCH_BYTES,
        pollMs: POLL_MS,
      },
      { store, clock, facts },
    );
    const rollUp = new RollUp({ settings }, { store, clock, facts });
    const { signal } = this.#stopping;
    const housekeeping = every(clock, { intervalMs: HOUSEKEEPING_MS, signal }, () => this.#keepHouse());
    this.#loops = [ingest.run(this.#consumer, signal), rollUp.run(signal), housekeeping];
    for (const loop of this.#loops) loop.catch(failed);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const ends = await Promise.allSettled(this.#loops);
    await this.#consumer?.close();
    if (ends.every((end) => end.status === 'fulfilled')) await this.#restartPoint.close();
  }

  checks(): ReadinessCheck[] {
    return [
      {
        name: 'store',
        check: async () => {
          const marks = await openMarks(this.#deps.store);
          return { ready: true, detail: `answers; ${marks.length} marks to roll up` };
        },
      },
      {
        name: 'log',
        check: async () => {
          const behind = await this.#lag();
          return { ready: this.#consumer !== undefined, detail: `${behind} records not read yet` };
        },
      },
    ];
  }

  async #lag(): Promise<bigint> {
    const committed = (await this.#consumer?.committed()) ?? [];
    const at = new Map(committed.map((position) => [sourceOf(position), position.next]));
    const ends = await this.#deps.log.endPositions(this.#topics);
    return ends.reduce((sum, end) => sum + end.next - (at.get(sourceOf(end)) ?? 0n), 0n);
  }

  /**
   * A log that ends before what the store has seen was replaced or cut: going on would skip what comes next.
   */
  async #refuseLostLog(): Promise<void> {
    for (const end of await this.#deps.log.endPositions(this.#topics)) {
      const known = await journalPosition(this.#deps.store, sourceOf(end));
      if (known <= end.next) continue;
      const { topic, partition } = end;
      this.#deps.facts.event('logBehindStore', { topic, partition, end: end.next, known });
      throw new MeteringError(
        'METER_LOG_BEHIND_STORE',
        `the log ${sourceOf(end)} ends at ${end.next}, but the store saw ${known}: it was replaced or cut. ` +
          'Bring back the log that belongs to this store, or start with an empty data directory',
      );
    }
  }

  /** After an unclean stop: read again, and roll up again, what may not have reached the disk. */
  async #recover(consumer: LogConsumer): Promise<void> {
    const { store, clock, facts } = this.#deps;
    const { unclean, positions } = await this.#restartPoint.begin(clock.now());
    if (!unclean) return;
    const safe = new Map(positions.map((position) => [sourceOf(position), position.next]));
    const back: LogPosition[] = [];
    for (const committed of await consumer.committed()) {
      const next = safe.get(sourceOf(committed)) ?? 0n;
      if (next >= committed.next) continue;
      const { topic, partition } = committed;
      facts.event('consumerRewound', { topic, partition, from: committed.next, to: next });
      back.push({ topic, partition, next });
    }
    await consumer.seek(back);
    await remarkRolledSince(store, clock.now() - SAFE_AGE_MS, `restart:${randomUUID()}`);
  }

  async #keepHouse(): Promise<void> {
    const { clock, retain } = this.#deps;
    await this.#restartPoint.note(clock.now(), (await this.#consumer?.committed()) ?? []);
    await retain();
    await this.#retention.enforce();
  }
}

function sourceOf(position: { topic: string; partition: number }): string {
  return `${position.topic}/${position.partition}`;
}
