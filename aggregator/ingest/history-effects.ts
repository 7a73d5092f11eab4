/**
 * What a sighting changes (METERING 9, 11, 12): of a namespace's tenant label, of the owner of a pod, of the
 * class of a claim. The units of the time it speaks for, if it differs from the sighting before it. Judged by
 * where it stands among what is stored, itself included.
 */
import { HOUR_MS, owningHour } from '../../core/metering/hour.ts';
import type { History } from '../attribution/histories.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { FOR_EVER, hoursOf, markedHours, OPEN_UNITS } from './marked-hours.ts';

/** A change of value: from the sighting (undefined: from the beginning) until the next one. */
interface Change {
  readonly subject: string;
  readonly from: number | undefined;
  readonly until: number;
}

/** What is in the store of whom, and what this batch brought of it. */
export interface SubjectSighting {
  readonly subject: string;
  readonly t: number;
  readonly value: string;
}

/** Subjects of one statement; more are asked in several. */
const CHUNK = 500;
/** So many heads are kept whatever their age: pods and jobs come and go for as long as a process runs. */
const KEPT_HEADS = 50_000;

interface SightingRow {
  readonly name: string;
  readonly seen: string;
  readonly values: readonly string[];
}

interface Head {
  readonly t: number;
  readonly value: string;
}

export class HistoryEffects {
  readonly #store: UsageStore;
  readonly #history: History;
  /** Newest sighting per cluster and subject, as far as this process knows. */
  readonly #heads = new Map<string, Head>();
  readonly #headsLoaded = new Set<string>();
  readonly #keptHeads: number;
  #pruneAt: number;

  constructor(store: UsageStore, history: History, { keptHeads = KEPT_HEADS } = {}) {
    this.#store = store;
    this.#history = history;
    this.#keptHeads = keptHeads;
    this.#pruneAt = keptHeads;
  }

  /** Subjects whose newest sighting is remembered. */
  get heads(): number {
    return this.#heads.size;
  }

  reset(): void {
    this.#heads.clear();
    this.#headsLoaded.clear();
  }

  /** Units that these sightings, which are in the store, change beyond their own hours. */
  async of(cluster: string, sightings: readonly SubjectSighting[]): Promise<number[]> {
    const inOrder = sightings.toSorted((a, b) => a.t - b.t);
    await this.#loadHeads(cluster, inOrder[0]?.t ?? 0);
    this.#prune(inOrder.at(-1)?.t ?? 0);
    const inDoubt = new Map<string, Set<number>>();
    for (const { subject, t, value } of inOrder) {
      const key = `${cluster}\n${subject}`;
      const head = this.#heads.get(key);
      if (head === undefined || t > head.t) this.#heads.set(key, { t, value });
      if (head !== undefined && t > head.t && value === head.value) continue;
      inDoubt.set(subject, (inDoubt.get(subject) ?? new Set()).add(t));
    }
    const hours: number[] = [];
    for (const chunk of chunks([...inDoubt])) {
      const changes = await this.#changes(cluster, new Map(chunk));
      hours.push(...(await this.#changedHours(cluster, changes)));
    }
    return [...new Set(hours)];
  }

  /** Of whoever is gone, as a rule. A subject without a head is looked up, so none is missed. */
  #prune(newest: number): void {
    if (this.#heads.size <= this.#pruneAt) return;
    const oldest = newest - this.#history.seenEveryMs;
    for (const [key, { t }] of this.#heads) if (t < oldest) this.#heads.delete(key);
    this.#pruneAt = Math.max(this.#keptHeads, 2 * this.#heads.size);
  }

  /** What was known when this process met the cluster; sightings of this batch are among it. */
  async #loadHeads(cluster: string, first: number): Promise<void> {
    if (this.#headsLoaded.has(cluster)) return;
    const from = Math.max(0, first - this.#history.seenEveryMs);
    const rows = await this.#store.rows<{ who: string; newest: string; held: string }>(
      `SELECT who, max(at) AS newest, argMax(what, (at, what)) AS held FROM (${this.#history.within})
       GROUP BY who`,
      { cluster, from, to: FOR_EVER },
    );
    for (const { who, newest, held } of rows)
      this.#heads.set(`${cluster}\n${who}`, { t: Number(newest), value: held });
    this.#headsLoaded.add(cluster);
  }

  /**
   * Which of these sightings change something, and until when: each beside its neighbours in the store. Where
   * only the first sighting of an hour is kept, an earlier one takes the place of a later one. So a sighting
   * speaks for its whole hour, and on until the first of another hour.
   */
  async #changes(
    cluster: string,
    inDoubt: ReadonlyMap<string, ReadonlySet<number>>,
  ): Promise<readonly Change[]> {
    const found = await this.#sightings(cluster, inDoubt);
    return [...found].flatMap(([subject, rows]) => {
      const times = inDoubt.get(subject);
      return rows.flatMap((row, i) => {
        const t = Number(row.seen);
        if (times?.has(t) !== true) return [];
        const before = rows[i - 1]?.values.reduce((a, b) => (a > b ? a : b));
        const end = owningHour(t) + HOUR_MS;
        const ofHour = rows.slice(i).filter(({ seen }) => Number(seen) <= end);
        if (ofHour.every(({ values }) => values.every((value) => value === before))) return [];
        const next = rows[i + ofHour.length];
        return [{ subject, from: i === 0 ? undefined : t, until: next ? Number(next.seen) : Infinity }];
      });
    });
  }

  /**
   * Of each subject from the last sighting before those in doubt to the first one of an hour after them, in
   * order.
   */
  async #sightings(
    cluster: string,
    inDoubt: ReadonlyMap<string, ReadonlySet<number>>,
  ): Promise<Map<string, SightingRow[]>> {
    const times = [...inDoubt.values()];
    const rows = await this.#store.rows<SightingRow>(
      `WITH histories AS (${this.#history.ofSubjects})
       SELECT who AS name, at AS seen, groupUniqArray(what) AS values
       FROM histories AS l
       INNER JOIN (
         SELECT who AS near, maxIf(at, at < first) AS earliest,
           if(countIf(at > last) = 0, toInt64(${FOR_EVER}), minIf(at, at > last)) AS latest
         FROM histories AS h
         INNER JOIN (
           SELECT asked.1 AS doubted, asked.2 AS first, asked.3 AS last FROM (
             SELECT arrayJoin(arrayZip(
               {subjects:Array(String)}, {firsts:Array(Int64)}, {lasts:Array(Int64)})) AS asked)
         ) AS q ON h.who = q.doubted
         GROUP BY near
       ) AS n ON l.who = n.near
       WHERE at >= earliest AND at <= latest
       GROUP BY name, seen ORDER BY name, seen`,
      {
        cluster,
        subjects: [...inDoubt.keys()],
        firsts: times.map((each) => Math.min(...each)),
        lasts: times.map((each) => owningHour(Math.max(...each)) + HOUR_MS),
      },
    );
    return Map.groupBy(rows, (row) => row.name);
  }

  /** Units of the time that sightings speak for, and whatever reaches into it from later. */
  async #changedHours(cluster: string, changes: readonly Change[]): Promise<number[]> {
    const firsts = await this.#firstSightings(cluster, changes);
    const owned = changes.flatMap(({ subject, from, until }) => {
      const since = from ?? firsts.get(subject);
      if (since === undefined) return [];
      const last = until === Infinity ? Infinity : owningHour(until) + HOUR_MS;
      return [{ subject, first: owningHour(since), last }];
    });
    if (owned.length === 0) return [];
    const earliest = owned.reduce((least, { first }) => Math.min(least, first), Infinity);
    const latest = owned.reduce((most, { last }) => Math.max(most, last), 0);
    const marked = await markedHours(this.#store, cluster, earliest, latest);
    const hours = marked.filter((hour) => owned.some(({ first, last }) => hour >= first && hour <= last));
    const ended = owned.filter(({ last }) => last !== Infinity);
    return ended.length === 0 ? hours : [...hours, ...(await this.#nextUnits(cluster, ended))];
  }

  /** The first sighting applies to all that lies before it: from the subject's first sample on. */
  async #firstSightings(cluster: string, changes: readonly Change[]): Promise<Map<string, number>> {
    const subjects = [
      ...new Set(changes.filter(({ from }) => from === undefined).map(({ subject }) => subject)),
    ];
    if (subjects.length === 0) return new Map();
    const rows = await this.#store.rows<{ name: string; first: string }>(
      `WITH decided AS (${this.#history.series})
       SELECT s.who AS name, min(f.value_t) AS first
       FROM (
         SELECT series, value_t FROM sightings
         WHERE cluster = {cluster:String} AND value_t < ${FOR_EVER}
           AND series IN (SELECT series FROM decided)
       ) AS f
       INNER JOIN (SELECT series, who FROM decided) AS s ON f.series = s.series
       GROUP BY name`,
      { cluster, subjects },
    );
    return new Map(rows.map(({ name, first }) => [name, Number(first)]));
  }

  async #nextUnits(
    cluster: string,
    ended: readonly { readonly subject: string; readonly last: number }[],
  ): Promise<number[]> {
    return await hoursOf(
      this.#store,
      `SELECT DISTINCT toUnixTimestamp(next) AS seconds FROM (
         SELECT min(c.hour) AS next FROM closings AS c
         INNER JOIN (
           SELECT DISTINCT s.series AS owned, e.after AS after FROM (${this.#history.series}) AS s
           INNER JOIN (
             SELECT pair.1 AS subject, toDateTime(pair.2, 'UTC') AS after FROM (
               SELECT arrayJoin(arrayZip({subjects:Array(String)}, {afters:Array(Int64)})) AS pair)
           ) AS e ON s.who = e.subject
         ) AS o ON c.series = o.owned
         WHERE c.cluster = {cluster:String} AND c.hour > toDateTime({earliest:Int64}, 'UTC')
           AND c.hour > o.after
         GROUP BY c.series, o.after)
       UNION DISTINCT ${OPEN_UNITS}`,
      {
        cluster,
        subjects: ended.map(({ subject }) => subject),
        afters: ended.map(({ last }) => last / 1000),
        earliest: Math.min(...ended.map(({ last }) => last)) / 1000,
      },
    );
  }
}

function* chunks<T>(items: readonly T[]): Generator<T[]> {
  for (let i = 0; i < items.length; i += CHUNK) yield items.slice(i, i + CHUNK);
}
