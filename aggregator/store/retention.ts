/**
 * What is kept how long. Nothing expires by itself: a TTL drops rows at moments of its own, so the same
 * replay would give different tables. Whole partitions are dropped, judged by the newest log timestamp (the
 * clock can only hold them back, so that one record from the future empties nothing), once their hours are
 * rolled up, and the floor under the samples is written down first: an hour below it can no longer see its
 * samples and is frozen.
 *
 * A crash between the two leaves a floor with samples below it; the next run drops them.
 */
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { openMarks } from '../rollup/unit-marks.ts';
import type { UsageStore } from './usage-store.ts';

const DAY_MS = 86_400_000;
/** Dimensions outlive the samples: births, owners and coverage of a late sample need them. */
const THIRTEEN_MONTHS_MS = 400 * DAY_MS;

export interface RetentionConfig {
  readonly rawRetentionMs: number;
  readonly latenessMs: number;
}

/** Tables by what their partitions hold: days (20261122) or months (202611). */
const BY_DAY = ['samples', 'pod_phase'] as const;
const BY_MONTH = [
  'scrape',
  'births',
  'process_start',
  'label_history',
  'closings',
  'coverage',
  'usage_parts',
] as const;

export interface RetentionDeps {
  readonly store: UsageStore;
  readonly clock: Clock;
  readonly facts: FactSink;
}

export class Retention {
  readonly #config: RetentionConfig;
  readonly #store: UsageStore;
  readonly #clock: Clock;
  readonly #facts: FactSink;

  constructor(config: RetentionConfig, deps: RetentionDeps) {
    this.#config = config;
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#facts = deps.facts;
  }

  /** Drop what is past its time. Called now and then, and harmless at any time. */
  async enforce(): Promise<void> {
    const newest = await this.#newestLogTimestamp();
    if (newest === undefined) return;
    // A record that waited in the log for the lateness may still bring samples as old as the raw retention.
    const { rawRetentionMs, latenessMs } = this.#config;
    const past = Math.min(newest - rawRetentionMs - latenessMs, await this.#oldestOpenHour());
    const floor = Math.floor(past / DAY_MS) * DAY_MS;
    await this.#store.insert('retention_floor', [{ name: 'samples', floor: Math.max(0, floor / 1000) }]);
    for (const table of BY_DAY) await this.#drop(table, dayOf(floor));
    for (const table of BY_MONTH) await this.#drop(table, monthOf(newest - THIRTEEN_MONTHS_MS));
    await this.#drop('quarantine', monthOf(floor));
  }

  async #newestLogTimestamp(): Promise<number | undefined> {
    const [row] = await this.#store.rows<{ newest: string }>(
      'SELECT max(newest_timestamp) AS newest FROM batch',
    );
    const newest = Number(row?.newest ?? 0);
    return newest > 0 ? Math.min(newest, this.#clock.now()) : undefined;
  }

  /** What still waits for its roll-up keeps its samples. */
  async #oldestOpenHour(): Promise<number> {
    const marks = await openMarks(this.#store);
    return marks.reduce((oldest, mark) => Math.min(oldest, mark.hour), Infinity);
  }

  /** Partitions below `first`, which is named as they are. */
  async #drop(table: string, first: number): Promise<void> {
    const rows = await this.#store.rows<{ id: string }>(
      `SELECT DISTINCT partition_id AS id FROM system.parts
       WHERE database = currentDatabase() AND table = {table:String} AND active`,
      { table },
    );
    for (const { id } of rows) {
      if (Number(id) >= first) continue;
      await this.#store.command(`ALTER TABLE ${table} DROP PARTITION ID {id:String}`, { id });
      this.#facts.event('partitionDropped', { table, partition: id });
    }
  }
}

/** Hours before this are frozen; 0 where nothing was dropped yet. */
export async function frozenBefore(store: UsageStore): Promise<number> {
  const [row] = await store.rows<{ seconds: number }>(
    "SELECT toUnixTimestamp(max(floor)) AS seconds FROM retention_floor WHERE name = 'samples'",
  );
  return (row?.seconds ?? 0) * 1000;
}

function dayOf(ms: number): number {
  return Number(new Date(Math.max(0, ms)).toISOString().slice(0, 10).replaceAll('-', ''));
}

function monthOf(ms: number): number {
  return Math.floor(dayOf(ms) / 100);
}
