/**
 * Usage parts -> ledger. In: hours that the roll-up marked. Out: one entry for every key whose inputs changed
 * since its last one, and the hour marked as settled. An hour is settled once its cluster's watermark has
 * passed its end by five minutes (METERING 12); until then it is provisional and replaceable. In a closed
 * period an entry is a correction: the value now beside the value at the last close, provisional until a
 * close fixes it.
 *
 * The ledger itself says what the last entry of a key was, so nothing has to be remembered. A crash anywhere
 * leaves the hour marked; done again it finds its own entries and writes nothing. Two processes may settle
 * the same hour: what was read before somebody else wrote is not appended, for the marks it was read for may
 * have been honoured by the other. Of two whose inserts pass each other in the store, the later one marks the
 * hours anew: the last word is that of a reading after all writing.
 */
import { randomUUID } from 'node:crypto';
import { HOUR_MS } from '../../core/metering/hour.ts';
import { nextPeriod, periodOf, type Period } from '../../core/metering/period.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { MarkSource } from '../rollup/marks.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { closedBefore, readLastClose, type Close } from './decisions.ts';
import { fingerprint, NO_QUARTERS, NOTHING, revisionId, type EntryKey, type LedgerEntry } from './entry.ts';
import { markHours, openHours, settleHours, type HourMark } from './hour-marks.ts';
import type { Ledger } from './ledger.ts';
import { PeriodEntries } from './periods.ts';
import { readHours, type CurrentValue } from './settled-hours.ts';
import { readLatest, type LatestEntry } from './latest-entries.ts';
import { reconcile } from './reconciliation.ts';
import { readWatermarks } from './watermarks.ts';

/** How far the watermark has to be past an hour's end. */
export const SETTLE_AFTER_MS = 300_000;
/** Hours of a cluster that are settled together: read, compared and appended in one go. */
const HOURS_AT_ONCE = 48;
/** And their rows at most, as far as one hour alone does not have more. */
const ROWS_AT_ONCE = 100_000;

export interface SettleOptions {
  /** Hours before this are settled whatever the watermark: a close needs all of its period. */
  readonly allBefore?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface SettlerDeps {
  readonly store: UsageStore;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly facts: FactSink;
}

export class Settler {
  readonly #deps: SettlerDeps;
  readonly #store: UsageStore;
  readonly #ledger: Ledger;
  readonly #facts: FactSink;
  readonly #periods: PeriodEntries;
  readonly #marks = new MarkSource(`settler:${randomUUID()}`);

  constructor(deps: SettlerDeps) {
    this.#deps = deps;
    this.#store = deps.store;
    this.#ledger = deps.ledger;
    this.#facts = deps.facts;
    this.#periods = new PeriodEntries(deps);
  }

  /** Settles whatever is due; the number of hours that were. */
  async pass(options: SettleOptions = {}): Promise<number> {
    const marks = await openHours(this.#store);
    if (marks.length === 0) return 0;
    const watermarks = await readWatermarks(this.#store);
    const isDue = ({ cluster, hour }: HourMark): boolean =>
      hour < (options.allBefore ?? 0) ||
      hour + HOUR_MS + SETTLE_AFTER_MS <= (watermarks.get(cluster) ?? -Infinity);
    let done = 0;
    for (const [cluster, due] of Map.groupBy(marks.filter(isDue), (mark) => mark.cluster)) {
      const hours = [...new Set(due.map((mark) => mark.hour))].sort((a, b) => a - b);
      for (const chunk of await this.#chunks(cluster, hours)) {
        if (options.signal?.aborted === true) return done;
        if (!(await this.#settle(cluster, chunk))) continue;
        await reconcile(this.#deps, { cluster, hours: chunk });
        const honoured = due.filter((mark) => chunk.includes(mark.hour));
        await settleHours(this.#store, honoured);
        done += chunk.length;
      }
    }
    return done;
  }

  /** Runs of hours that fit in memory together. */
  async #chunks(cluster: string, hours: readonly number[]): Promise<number[][]> {
    if (hours.length === 1) return [[...hours]];
    const rows = await this.#store.rows<{ seconds: number; n: string }>(
      `SELECT toUnixTimestamp(hour) AS seconds, count() AS n FROM usage_parts
       WHERE cluster = {cluster:String}
         AND hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')
       GROUP BY hour`,
      { cluster, first: Math.min(...hours) / 1000, last: Math.max(...hours) / 1000 },
    );
    const sizes = new Map(rows.map((row) => [row.seconds * 1000, Number(row.n)]));
    const chunks: number[][] = [];
    let size = Infinity;
    for (const hour of hours) {
      const more = sizes.get(hour) ?? 0;
      const chunk = chunks.at(-1);
      if (chunk === undefined || chunk.length >= HOURS_AT_ONCE || size + more > ROWS_AT_ONCE) {
        chunks.push([hour]);
        size = more;
      } else {
        chunk.push(hour);
        size += more;
      }
    }
    return chunks;
  }

  /** False: somebody else wrote about these hours meanwhile, or closed a period. */
  async #settle(cluster: string, hours: readonly number[]): Promise<boolean> {
    const close = await readLastClose(this.#store);
    const head = await this.#ledger.head();
    const current = await readHours(this.#store, cluster, hours);
    const latest = await readLatest(this.#store, { cluster, hours, upTo: head });
    const entries = await this.#changes(cluster, hours, { current, latest, close });
    await this.#periods.opened(entries);
    if (!(await this.#ledger.appendAfter(head, entries, { cluster, hours }))) return false;
    await this.#project(cluster, latest, { head, entries });
    if (entries.length > 0) this.#tell(cluster, hours, entries);
    const written = await this.#ledger.countAfter(head, { cluster, hours });
    if (written > entries.length) await markHours(this.#store, this.#marks.marks(cluster, hours));
    return (await readLastClose(this.#store))?.period === close?.period;
  }

  /**
   * What was appended, and what a process that died left behind in these hours: only those that had entries
   * before can hide some.
   */
  async #project(
    cluster: string,
    latest: ReadonlyMap<string, LatestEntry>,
    { head, entries }: { readonly head: bigint; readonly entries: readonly LedgerEntry[] },
  ): Promise<void> {
    const known = [...new Set([...latest.values()].map(({ hour }) => hour))];
    const left = known.length === 0 ? undefined : await this.#ledger.unprojected(cluster, known);
    const isNew = entries.some((entry) => entry.kind === 'usage');
    if (left !== undefined && (!isNew || left < head)) await this.#ledger.project(left);
    else if (isNew) await this.#ledger.project(head);
  }

  #tell(cluster: string, hours: readonly number[], entries: readonly LedgerEntry[]): void {
    const ofHour = Map.groupBy(entries, (entry) => entry.hour);
    for (const hour of hours) {
      const rows = ofHour.get(hour) ?? [];
      if (rows.length === 0) continue;
      const revisions = rows.filter((entry) => entry.revision > 1).length;
      this.#facts.event('hourSettled', {
        ...{ cluster, hour: new Date(hour).toISOString(), rows: rows.length, revisions },
      });
    }
  }

  async #changes(
    cluster: string,
    hours: readonly number[],
    seen: {
      readonly current: ReadonlyMap<string, CurrentValue>;
      readonly latest: ReadonlyMap<string, LatestEntry>;
      readonly close: Close | undefined;
    },
  ): Promise<LedgerEntry[]> {
    const { current, latest, close } = seen;
    const closed = hours.filter((hour) => hour < closedBefore(close));
    const atClose =
      close === undefined || closed.length === 0
        ? new Map<string, LatestEntry>()
        : await readLatest(this.#store, { cluster, hours: closed, upTo: close.upTo });
    const entries: LedgerEntry[] = [];
    for (const [key, value] of current) {
      const last = latest.get(key);
      if (last?.inputHash.equals(value.inputHash) === true && !isStray(last, close)) continue;
      entries.push(entryOf(value, { last, atClose: atClose.get(key), close }));
    }
    for (const [key, last] of latest) {
      if (current.has(key) || (last.isNothing && !isStray(last, close))) continue;
      entries.push(entryOf(vanished(last), { last, atClose: atClose.get(key), close }));
    }
    return entries;
  }
}

/**
 * Written as usage of an open period by a process that did not know yet of its close: it has to be said
 * again.
 */
function isStray({ kind, seq, hour }: LatestEntry, close: Close | undefined): boolean {
  return close !== undefined && kind === 'usage' && hour < closedBefore(close) && seq > close.upTo;
}

/** A key that gives nothing any more gets a row of nothing (METERING 9). */
function vanished(last: LatestEntry): CurrentValue {
  const { hour, cluster, tenant, namespace, meter, isCoverage } = last;
  const inputHash = fingerprint('nothing');
  return { hour, cluster, tenant, namespace, meter, isCoverage, ...NOTHING, inputHash };
}

interface Before {
  readonly last: LatestEntry | undefined;
  readonly atClose: LatestEntry | undefined;
  readonly close: Close | undefined;
}

function entryOf(value: CurrentValue, { last, atClose, close }: Before): LedgerEntry {
  const { isCoverage, ...rest } = value;
  const isClosed = value.hour < closedBefore(close);
  const kind = isCoverage ? 'coverage' : isClosed ? 'correction' : 'usage';
  const revision = (last?.revision ?? 0) + 1;
  return {
    ...rest,
    kind,
    period: periodFor(value, close),
    revision,
    id: revisionId(kind, value, revision, value.inputHash),
    final: false,
    before: isClosed ? (atClose?.quarters ?? NO_QUARTERS) : NO_QUARTERS,
    body: '',
  };
}

/** An entry about a closed period is dated to the one that closes next. */
function periodFor(key: EntryKey, close: Close | undefined): Period {
  return close !== undefined && key.hour < closedBefore(close)
    ? nextPeriod(close.period)
    : periodOf(key.hour);
}
