/**
 * Keeps usage in step with the samples. In: units marked by ingest. Out: usage parts, closings, coverage,
 * replaced unit by unit, oldest first, hours that follow each other together. The newest hour of a cluster is
 * open: it is refreshed while it grows and rolled up for good once a later hour has begun. A crash loses
 * nothing: what was not finished is still marked.
 */
import { randomUUID } from 'node:crypto';
import { HOUR_MS } from '../../core/metering/hour.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { IsMine } from '../coordination/members.ts';
import { KeptHours } from '../ledger/erasure/kept-hours.ts';
import { markHours } from '../ledger/hour-marks.ts';
import { frozenBefore } from '../store/retention.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { MarkSource } from './marks.ts';
import { rollSpan } from './roll-span.ts';
import { SilentHours } from './silent-hours.ts';
import { SeriesCache } from './span-inputs.ts';
import { ofOneSetting, SpanPlanner, type SpanBounds } from './span-planner.ts';
import { hoursOf, type Span } from './span.ts';
import {
  journalPosition,
  markUnits,
  newestHours,
  openMarks,
  unmarkUnits,
  waitsForJournal,
  type UnitMark,
} from './unit-marks.ts';

/** Marks honoured are told in one go; a crash before costs doing these units again. */
const UNMARK_EVERY = 100;

export interface RollUpConfig {
  readonly settings: MeteringSettings;
  /** Settings of an hour, where they differ from period to period. */
  readonly settingsAt?: (hour: number) => MeteringSettings;
  /** How much is rolled up in one go at most. */
  readonly spans?: SpanBounds;
}

export interface PassOptions {
  /**
   * Hours before this, of all clusters or of each, are rolled up for good even if nothing has come after
   * them.
   */
  readonly finishBefore?: number | ReadonlyMap<string, number>;
  /** Units that other processes do are left to them. */
  readonly isMine?: IsMine | undefined;
}

/** The newest hour of a cluster. */
interface NewestUnit {
  readonly cluster: string;
  readonly hour: number;
  readonly isOpen: boolean;
}

export class RollUp {
  readonly #settings: MeteringSettings;
  readonly #settingsAt: (hour: number) => MeteringSettings;
  readonly #bounds: SpanBounds;
  readonly #store: UsageStore;
  readonly #clock: Clock;
  readonly #facts: FactSink;
  readonly #cache = new SeriesCache();
  readonly #silentHours: SilentHours;
  readonly #marks = new MarkSource(`rollup:${randomUUID()}`);
  /** Marks of open units as of their last refresh, so that an hour at rest is left alone. */
  readonly #refreshed = new Map<string, string>();

  constructor(config: RollUpConfig, deps: { store: UsageStore; clock: Clock; facts: FactSink }) {
    this.#settings = config.settings;
    this.#settingsAt = config.settingsAt ?? (() => config.settings);
    this.#bounds = config.spans ?? {};
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#facts = deps.facts;
    this.#silentHours = new SilentHours(deps.store, config.settings.latenessMs, { looksBack: true });
  }

  /** Roll up whatever is marked, until the signal aborts; the number of units done. */
  async pass(signal?: AbortSignal, options: PassOptions = {}): Promise<number> {
    const marks = await this.#marksToHonour(options.isMine);
    // After the marks, so that none of these lies beyond the newest.
    const newest = await newestHours(this.#store);
    const open = await this.#openSince();
    let done = 0;
    for (const [cluster, ofCluster] of Map.groupBy(marks, (mark) => mark.cluster)) {
      const hour = newest.get(cluster) ?? 0;
      const isOpen = hour >= open && hour >= finishBefore(cluster, options);
      done += await this.#cluster(ofCluster, { cluster, hour, isOpen }, { ...options, signal });
    }
    return done;
  }

  async #cluster(
    marks: readonly UnitMark[],
    newest: NewestUnit,
    { signal, isMine }: Pick<PassOptions, 'isMine'> & { readonly signal: AbortSignal | undefined },
  ): Promise<number> {
    const planner = new SpanPlanner(this.#store, newest.cluster, this.#bounds);
    const waiting = new Map([...Map.groupBy(marks, (mark) => mark.hour)]);
    const honoured: UnitMark[] = [];
    let done = 0;
    while (waiting.size > 0 && signal?.aborted !== true) {
      const hours = [...waiting.keys()].sort((a, b) => a - b);
      if (hours[0] === newest.hour && newest.isOpen) {
        done += await this.#refresh(newest, waiting.get(newest.hour) ?? []);
        waiting.delete(newest.hour);
        continue;
      }
      const closed = hours.filter((hour) => !newest.isOpen || hour !== newest.hour);
      const kept = await KeptHours.read(this.#store);
      const together = kept.together(newest.cluster, ofOneSetting(closed, this.#settingsAt));
      const span = await planner.next(together);
      const followUps = await this.#roll(span, { isOpen: false, openHour: newest.hour, kept });
      if (followUps === undefined) continue;
      const ofSpan = hoursOf(span);
      honoured.push(...ofSpan.flatMap((hour) => waiting.get(hour) ?? []));
      for (const hour of ofSpan) waiting.delete(hour);
      if (honoured.length >= UNMARK_EVERY)
        await unmarkUnits(this.#store, honoured.splice(0), this.#clock.now());
      for (const mark of followUps.filter(({ cluster, hour }) => isMine?.(cluster, hour) !== false))
        waiting.set(mark.hour, [...(waiting.get(mark.hour) ?? []), mark]);
      done += ofSpan.length;
    }
    await unmarkUnits(this.#store, honoured, this.#clock.now());
    return done;
  }

  async #refresh({ cluster, hour }: NewestUnit, marks: readonly UnitMark[]): Promise<number> {
    const key = `${cluster}\n${hour}`;
    const state = stateOf(marks);
    if (this.#refreshed.get(key) === state) return 0;
    const place = { isOpen: true, openHour: hour, kept: await KeptHours.read(this.#store) };
    if ((await this.#roll({ cluster, first: hour, last: hour }, place)) === undefined) return 0;
    for (const known of this.#refreshed.keys()) {
      if (known.startsWith(`${cluster}\n`)) this.#refreshed.delete(known);
    }
    this.#refreshed.set(key, state);
    return 1;
  }

  /** The marks it made, which are to be honoured as well; undefined if the span has to be planned anew. */
  async #roll(
    span: Span,
    place: { readonly isOpen: boolean; readonly openHour: number; readonly kept: KeptHours },
  ): Promise<UnitMark[] | undefined> {
    const begin = this.#clock.now();
    const { cluster } = span;
    const followUps: UnitMark[] = [];
    const units = await rollSpan(this.#store, span, {
      settings: this.#settingsAt(span.first),
      cache: this.#cache,
      ...place,
      mark: async (hours) => {
        const marks = this.#marks.marks(cluster, hours);
        await markUnits(this.#store, marks);
        followUps.push(...marks);
      },
      markForLedger: (hours) => markHours(this.#store, this.#marks.marks(cluster, hours)),
    });
    if (units === undefined) return undefined;
    const durationMs = (this.#clock.now() - begin) / units.length;
    const partless = units.flatMap(({ parts }) => parts).filter(({ hour }) => !place.kept.hasParts(hour));
    this.#tellFrozen(cluster, new Set(partless.map(({ hour }) => hour)), 'its usage is past its retention');
    for (const { hour, samples, parts } of units) {
      const told = { cluster, hour: new Date(hour).toISOString(), samples, rows: parts.length, durationMs };
      this.#facts.event('unitRolledUp', told);
    }
    return followUps;
  }

  async #marksToHonour(isMine: IsMine = () => true): Promise<readonly UnitMark[]> {
    const floor = await frozenBefore(this.#store);
    const open = (await openMarks(this.#store)).filter(({ cluster, hour }) => isMine(cluster, hour));
    const unfrozen = await this.#unfrozen(open, floor);
    const marks = await this.#honourable(unfrozen);
    const silent = [...(await this.#silentHours.beside(marks))].flatMap(([cluster, hours]) =>
      this.#marks.marks(
        cluster,
        hours.filter((hour) => hour >= floor),
      ),
    );
    await markUnits(this.#store, silent);
    return [...marks, ...silent.filter(({ cluster, hour }) => isMine(cluster, hour))];
  }

  /** An hour whose samples are past their retention stays as it is; its marks are taken off and told. */
  async #unfrozen(marks: readonly UnitMark[], floor: number): Promise<readonly UnitMark[]> {
    const frozen = marks.filter((mark) => mark.hour < floor);
    if (frozen.length === 0) return marks;
    for (const { cluster, hour } of frozen)
      this.#tellFrozen(cluster, [hour], 'its samples are past their retention');
    await unmarkUnits(this.#store, frozen, this.#clock.now());
    return marks.filter((mark) => mark.hour >= floor);
  }

  #tellFrozen(cluster: string, hours: Iterable<number>, reason: string): void {
    for (const hour of hours)
      this.#facts.event('hourFrozen', { cluster, hour: new Date(hour).toISOString(), reason });
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

/** The same whether marks were read from the store or have just been made. */
function stateOf(marks: readonly UnitMark[]): string {
  const newest = new Map<string, bigint>();
  for (const { source, marked } of marks) {
    if (marked > (newest.get(source) ?? -1n)) newest.set(source, marked);
  }
  return [...newest]
    .map(([source, marked]) => `${source}=${marked}`)
    .sort()
    .join();
}

function finishBefore(cluster: string, options: PassOptions): number {
  const { finishBefore: before } = options;
  return typeof before === 'object' ? (before.get(cluster) ?? 0) : (before ?? 0);
}
