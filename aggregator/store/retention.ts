/**
 * What is kept how long. Nothing expires by itself: a TTL drops rows at moments of its own, so the same
 * replay would give different tables. Whole partitions are dropped, judged by the newest log timestamp (the
 * clock can only hold them back, so that one record from the future empties nothing), and a floor is written
 * down first. A floor is a decision with a cut, as a close is: which late records still counted for the hours
 * below it is the same in every replay.
 *
 *   samples, ends of pods, quarantine    the raw retention and the lateness
 *   usage by the hour and its evidence   `hoursRetentionMs`, by whole months
 *   labels of series, the journal, marks those that speak of such hours alone
 *   usage broken down                    `detailRetentionMs`, by whole months, whatever else is kept
 *   usage by the day, the ledger, closes, statements and other decisions: for ever; nothing here drops them
 *
 * Hours below the floor of the samples can no longer see them and are frozen. Hours below the floor of the
 * hours have no parts any more, so nothing is given to them; they are settled and their periods closed
 * before. What has no time (targets, sightings, container starts, host-network pods) is kept.
 *
 * A crash between a floor and its drops leaves what is below it; the next run drops that.
 */
import { periodOf, periodStart } from '../../core/metering/period.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { WriteRight } from '../coordination/writer.ts';
import { appendFloor, closedBefore, readLastClose } from '../ledger/decisions.ts';
import { partsKeptFrom } from '../ledger/erasure/kept-hours.ts';
import { openHours } from '../ledger/hour-marks.ts';
import { readPeriods } from '../ledger/periods.ts';
import type { Quiet, QuietMoment } from '../ledger/quiet.ts';
import { SilentHours } from '../rollup/silent-hours.ts';
import { openMarks } from '../rollup/unit-marks.ts';
import type { UsageStore } from './usage-store.ts';
import { DAY_MS } from '../../core/metering/hour.ts';

/** How long usage broken down by workload, destination and storage class is kept. */
export const DETAIL_RETENTION_MS = 100 * DAY_MS;

export interface RetentionConfig {
  readonly rawRetentionMs: number;
  readonly hoursRetentionMs: number;
  readonly latenessMs: number;
  readonly detailRetentionMs?: number | undefined;
}

/** Tables by what their partitions hold: days (20261122) or months (202611). */
const BY_DAY = ['samples', 'pod_phase'] as const;
/** Closings first: an interval that begins at one gives to hours that have to be there. */
const BY_MONTH = [
  'closings',
  'births',
  'scrape',
  'process_start',
  'label_history',
  'coverage',
  'measured',
  'reconciliation',
  'usage_parts',
  'usage_current',
] as const;

/** Rows of hours long past, in tables without partitions; none that a start needs to go on from. */
const BY_ROW = [
  { table: 'unit_mark', where: "hour < toDateTime({floor:Int64}, 'UTC')" },
  { table: 'hour_mark', where: "hour < toDateTime({floor:Int64}, 'UTC')" },
  // Any later sample of such a series registers it again, because its day is a later one.
  { table: 'series', where: "seen < toDate(toDateTime({floor:Int64}, 'UTC'))" },
  {
    table: 'batch',
    where: `newest_timestamp < {floor:Int64} * 1000
      AND (topic, partition, first_offset) NOT IN (
        SELECT topic, partition, max(first_offset) FROM batch GROUP BY topic, partition)
      AND (topic, partition, last_offset) NOT IN (
        SELECT topic, partition, max(last_offset) FROM batch GROUP BY topic, partition)`,
  },
] as const;

export interface RetentionDeps {
  readonly store: UsageStore;
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly quiet: Quiet;
  /** Where the store is shared: who may decide. */
  readonly right?: WriteRight | undefined;
}

export class Retention {
  readonly #config: RetentionConfig;
  readonly #store: UsageStore;
  readonly #clock: Clock;
  readonly #facts: FactSink;
  readonly #quiet: Quiet;
  readonly #right: WriteRight | undefined;
  /** The floor under the hours for which rows were last looked through. */
  #trimmedTo = 0;
  /** Holds were last looked through at this time. */
  #heldUntil = 0;

  constructor(config: RetentionConfig, deps: RetentionDeps) {
    this.#config = config;
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#facts = deps.facts;
    this.#quiet = deps.quiet;
    this.#right = deps.right;
  }

  /** Drop what is past its time. Called now and then, and harmless at any time. */
  async enforce(): Promise<void> {
    await this.#forgetHolds();
    const newest = await this.#newestLogTimestamp();
    if (newest === undefined) return;
    const floor = await this.#raiseFloor(newest);
    for (const table of BY_DAY) await this.#drop(table, dayOf(floor));
    await this.#drop('quarantine', monthOf(floor));
    const hoursFloor = await this.#raiseHoursFloor(newest, floor);
    for (const table of BY_MONTH) await this.#drop(table, monthOf(hoursFloor));
    await this.#dropDetails(newest, floor);
    await this.#trim(hoursFloor);
  }

  /** The floor, raised to where it belongs by now if it can be. */
  async #raiseFloor(newest: number): Promise<number> {
    return await this.#raise(await frozenBefore(this.#store), {
      possible: () => this.#possibleFloor(newest),
      append: (floor, { cut }) => appendFloor(this.#store, { kind: 'floor', floor, cut }, this.#right),
    });
  }

  async #raiseHoursFloor(newest: number, floor: number): Promise<number> {
    return await this.#raise(await partsKeptFrom(this.#store), {
      possible: () => this.#possibleHoursFloor(newest, floor),
      append: (hours, { cut }) => appendFloor(this.#store, { kind: 'hours', floor: hours, cut }, this.#right),
    });
  }

  async #raise(
    floor: number,
    {
      possible,
      append,
    }: { possible: () => Promise<number>; append: (floor: number, moment: QuietMoment) => Promise<void> },
  ): Promise<number> {
    if ((await possible()) <= floor) return floor;
    const raised = await this.#quiet.during('retention', async (moment) => {
      const higher = await possible();
      if (higher <= floor || !(await moment.lasts())) return floor;
      await append(higher, moment);
      return higher;
    });
    return raised ?? floor;
  }

  /** A record that waited in the log for the lateness may still bring samples as old as the raw retention. */
  async #possibleFloor(newest: number): Promise<number> {
    const { rawRetentionMs, latenessMs } = this.#config;
    const floor = await frozenBefore(this.#store);
    const past = Math.min(newest - rawRetentionMs - latenessMs, await this.#oldestOpenHour(floor));
    return Math.max(0, Math.floor(past / DAY_MS) * DAY_MS);
  }

  /** Hours go when their samples are gone, the ledger has them and their periods are closed. */
  async #possibleHoursFloor(newest: number, floor: number): Promise<number> {
    const past = Math.min(newest - this.#config.hoursRetentionMs, floor);
    const month = periodStart(periodOf(Math.max(0, past)));
    if (month === 0) return 0;
    const unsettled = (await openHours(this.#store)).map(({ hour }) => hour);
    const bounds = [past, await this.#openPeriodsFrom(), ...unsettled];
    const bound = bounds.reduce((least, each) => Math.min(least, each), Infinity);
    return periodStart(periodOf(Math.max(0, bound)));
  }

  /** Start of the first period that is not closed; Infinity where there has never been one. */
  async #openPeriodsFrom(): Promise<number> {
    const close = await readLastClose(this.#store);
    if (close !== undefined) return closedBefore(close);
    const [first] = (await readPeriods(this.#store)).keys();
    return first === undefined ? Infinity : periodStart(first);
  }

  async #newestLogTimestamp(): Promise<number | undefined> {
    const [row] = await this.#store.rows<{ newest: string }>(
      'SELECT max(newest_timestamp) AS newest FROM batch',
    );
    const newest = Number(row?.newest ?? 0);
    return newest > 0 ? Math.min(newest, this.#clock.now()) : undefined;
  }

  /**
   * What still waits for its roll-up keeps its samples; so do hours of silence that it will bring to light,
   * which nobody has marked yet.
   */
  async #oldestOpenHour(floor: number): Promise<number> {
    const marks = await openMarks(this.#store);
    const silentHours = new SilentHours(this.#store, this.#config.latenessMs, { looksBack: false });
    const silent = [...(await silentHours.beside(marks)).values()].flat();
    const hours = [...marks.map(({ hour }) => hour), ...silent.filter((hour) => hour >= floor)];
    return hours.reduce((oldest, hour) => Math.min(oldest, hour), Infinity);
  }

  /**
   * No floor is written down: nothing is billed by details, and a late sample brings back no more than the
   * next run drops. What they are made of stays while an hour can be rolled up.
   */
  async #dropDetails(newest: number, samplesFloor: number): Promise<void> {
    const floor = newest - (this.#config.detailRetentionMs ?? DETAIL_RETENTION_MS);
    await this.#drop('detail_parts', monthOf(floor));
    await this.#drop('detail_history', monthOf(Math.min(floor, samplesFloor)));
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

  /** Once for each floor, and once after a start: files are rewritten for it. */
  async #trim(hoursFloor: number): Promise<void> {
    if (hoursFloor <= this.#trimmedTo) return;
    for (const { table, where } of BY_ROW) await this.#delete(table, where, { floor: hoursFloor / 1000 });
    this.#trimmedTo = hoursFloor;
  }

  /** Holds that ran out a day ago hold nobody. */
  async #forgetHolds(): Promise<void> {
    const now = this.#clock.now();
    if (now - this.#heldUntil < DAY_MS) return;
    const where = "until < fromUnixTimestamp64Milli({before:Int64}, 'UTC')";
    await this.#delete('hold', where, { before: now - DAY_MS });
    this.#heldUntil = now;
  }

  async #delete(table: string, where: string, parameters: Readonly<Record<string, number>>): Promise<void> {
    const found = await this.#store.rows(
      `SELECT 1 AS found FROM ${table} WHERE ${where} LIMIT 1`,
      parameters,
    );
    if (found.length === 0) return;
    await this.#store.command(
      `ALTER TABLE ${table} DELETE WHERE ${where} SETTINGS mutations_sync = 2`,
      parameters,
    );
  }
}

/** Hours before this are frozen; 0 where nothing was dropped yet. */
export async function frozenBefore(store: UsageStore): Promise<number> {
  const [row] = await store.rows<{ seconds: number }>(
    "SELECT toUnixTimestamp(max(floor)) AS seconds FROM decision WHERE kind = 'floor'",
  );
  return (row?.seconds ?? 0) * 1000;
}

function dayOf(ms: number): number {
  return Number(new Date(Math.max(0, ms)).toISOString().slice(0, 10).replaceAll('-', ''));
}

function monthOf(ms: number): number {
  return Math.floor(dayOf(ms) / 100);
}
