/**
 * Keeps usage in step with the samples. In: units marked by ingest. Out: usage parts, closings, coverage,
 * replaced unit by unit, oldest first. The newest hour of a cluster is open: it is refreshed while it grows
 * and rolled up for good once a later hour has begun. A crash loses nothing: what was not finished is still
 * marked.
 */
import { randomUUID } from 'node:crypto';
import { HOUR_MS } from '../../core/metering/hour.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { retried } from '../../core/runtime/retry.ts';
import { frozenBefore } from '../store/retention.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { SeriesCache } from './unit-inputs.ts';
import type { Unit } from './unit-key.ts';
import {
  journalPosition,
  markUnits,
  openMarks,
  unmarkUnits,
  waitsForJournal,
  type UnitMark,
} from './unit-marks.ts';
import { rollUnit } from './unit.ts';

/** What a pass may take of the time: after one of 2 s the next waits 4 s. */
const REST_PER_WORK = 2;
const MIN_REST_MS = 1_000;
const MAX_REST_MS = 30_000;
/** Marks honoured are told in one go; a crash before costs doing these units again. */
const UNMARK_EVERY = 100;

/** The newest hour of a cluster. */
interface NewestUnit extends Unit {
  readonly isOpen: boolean;
}

export class RollUp {
  readonly #settings: MeteringSettings;
  readonly #store: UsageStore;
  readonly #clock: Clock;
  readonly #facts: FactSink;
  readonly #cache = new SeriesCache();
  readonly #source = `rollup:${randomUUID()}`;
  #sequence = 0n;
  /** Marks of open units as of their last refresh, so that an hour at rest is left alone. */
  readonly #refreshed = new Map<string, string>();

  constructor(
    config: { settings: MeteringSettings },
    deps: { store: UsageStore; clock: Clock; facts: FactSink },
  ) {
    this.#settings = config.settings;
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#facts = deps.facts;
  }

  /** Roll up whatever is marked, until the signal aborts; the number of units done. */
  async pass(signal?: AbortSignal): Promise<number> {
    const newest = await this.#newestHours();
    const open = await this.#openSince();
    const marks = await this.#honourable(await this.#unfrozen(await openMarks(this.#store)));
    let done = 0;
    for (const [cluster, ofCluster] of Map.groupBy(marks, (mark) => mark.cluster)) {
      const hour = newest.get(cluster) ?? 0;
      done += await this.#cluster(ofCluster, { cluster, hour, isOpen: hour >= open }, signal);
    }
    return done;
  }

  /**
   * Passes until the signal aborts, leaving the machine to others most of the time. Waits for a store that is
   * away.
   */
  async run(signal: AbortSignal): Promise<void> {
    const retrying = { operation: 'roll up', clock: this.#clock, facts: this.#facts, signal };
    while (!signal.aborted) {
      const begin = this.#clock.now();
      await retried(() => this.pass(signal), retrying);
      const rest = (this.#clock.now() - begin) * REST_PER_WORK;
      await this.#clock.sleep(Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, rest)), signal);
    }
  }

  async #cluster(marks: readonly UnitMark[], newest: NewestUnit, signal?: AbortSignal): Promise<number> {
    const waiting = new Map([...Map.groupBy(marks, (mark) => mark.hour)]);
    const honoured: UnitMark[] = [];
    let done = 0;
    while (waiting.size > 0 && signal?.aborted !== true) {
      const hour = Math.min(...waiting.keys());
      const ofUnit = waiting.get(hour) ?? [];
      waiting.delete(hour);
      const unit = { cluster: newest.cluster, hour };
      if (hour === newest.hour && newest.isOpen) {
        done += await this.#refresh(newest, ofUnit);
        continue;
      }
      const followUps = await this.#roll(unit, { isOpen: false, openHour: newest.hour });
      honoured.push(...ofUnit);
      if (honoured.length >= UNMARK_EVERY)
        await unmarkUnits(this.#store, honoured.splice(0), this.#clock.now());
      for (const mark of followUps) waiting.set(mark.hour, [...(waiting.get(mark.hour) ?? []), mark]);
      done++;
    }
    await unmarkUnits(this.#store, honoured, this.#clock.now());
    return done;
  }

  async #refresh(unit: NewestUnit, marks: readonly UnitMark[]): Promise<number> {
    const key = `${unit.cluster}\n${unit.hour}`;
    const state = marks.map((mark) => `${mark.source}=${mark.marked}`).join();
    if (this.#refreshed.get(key) === state) return 0;
    await this.#roll(unit, { isOpen: true, openHour: unit.hour });
    for (const known of this.#refreshed.keys()) {
      if (known.startsWith(`${unit.cluster}\n`)) this.#refreshed.delete(known);
    }
    this.#refreshed.set(key, state);
    return 1;
  }

  async #roll(unit: Unit, place: { isOpen: boolean; openHour: number }): Promise<UnitMark[]> {
    const begin = this.#clock.now();
    const followUps: UnitMark[] = [];
    const { samples, rows } = await rollUnit(this.#store, unit, {
      settings: this.#settings,
      cache: this.#cache,
      ...place,
      mark: async (hours) => {
        for (const hour of hours) {
          followUps.push({ cluster: unit.cluster, hour, source: this.#source, marked: ++this.#sequence });
        }
        await markUnits(this.#store, followUps);
      },
    });
    const durationMs = this.#clock.now() - begin;
    const hour = new Date(unit.hour).toISOString();
    this.#facts.event('unitRolledUp', { cluster: unit.cluster, hour, samples, rows, durationMs });
    return followUps;
  }

  /** An hour whose samples are past their retention stays as it is; its marks are taken off and told. */
  async #unfrozen(marks: readonly UnitMark[]): Promise<readonly UnitMark[]> {
    const floor = await frozenBefore(this.#store);
    const frozen = marks.filter((mark) => mark.hour < floor);
    if (frozen.length === 0) return marks;
    for (const { cluster, hour } of frozen) {
      const reason = 'its samples are past their retention';
      this.#facts.event('hourFrozen', { cluster, hour: new Date(hour).toISOString(), reason });
    }
    await unmarkUnits(this.#store, frozen, this.#clock.now());
    return marks.filter((mark) => mark.hour >= floor);
  }

  async #newestHours(): Promise<Map<string, number>> {
    const rows = await this.#store.rows<{ cluster: string; newest: number }>(
      'SELECT cluster, toUnixTimestamp(max(hour)) AS newest FROM unit_mark GROUP BY cluster',
    );
    return new Map(rows.map((row) => [row.cluster, row.newest * 1000]));
  }

  /**
   * From here on a cluster's newest hour is open: it may still grow. One that nothing has come after for the
   * lateness is rolled up for good like any other, so that it has closings when its samples are gone.
   */
  async #openSince(): Promise<number> {
    const [row] = await this.#store.rows<{ newest: string }>(
      'SELECT max(newest_timestamp) AS newest FROM batch',
    );
    return Number(row?.newest ?? 0) - this.#settings.latenessMs - HOUR_MS;
  }

  /** Marks of the log as far as the journal reaches: beyond it, what they wait for may not be stored yet. */
  async #honourable(marks: readonly UnitMark[]): Promise<UnitMark[]> {
    const reached = new Map<string, bigint>();
    const honourable: UnitMark[] = [];
    for (const mark of marks) {
      if (!waitsForJournal(mark.source)) {
        honourable.push(mark);
        continue;
      }
      let journal = reached.get(mark.source);
      if (journal === undefined) {
        journal = await journalPosition(this.#store, mark.source);
        reached.set(mark.source, journal);
      }
      honourable.push(mark.marked <= journal ? mark : { ...mark, marked: journal });
    }
    return honourable;
  }
}
