/**
 * What a sighting of a namespace's tenant label changes (METERING 9, 11): the units of the time it speaks
 * for, if it differs from the sighting before it. Judged by where it stands among what is stored, itself
 * included.
 */
import { HOUR_MS, owningHour } from '../../core/metering/hour.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { Facts } from './batch.ts';
import { FOR_EVER, hoursOf, markedHours, OPEN_UNITS } from './marked-hours.ts';

/** A change of owner: from the sighting (undefined: from the beginning) until the next one. */
interface OwnerChange {
  readonly namespace: string;
  readonly from: number | undefined;
  readonly until: number;
}

/** Namespaces of one statement; more are asked in several. */
const CHUNK = 500;

interface SightingRow {
  readonly name: string;
  readonly seen: string;
  readonly owners: readonly string[];
}

interface NamespaceHead {
  readonly t: number;
  readonly tenant: string;
}

export class LabelEffects {
  readonly #store: UsageStore;
  /** Newest sighting per cluster and namespace, as far as this process knows. */
  readonly #heads = new Map<string, NamespaceHead>();
  readonly #headsLoaded = new Set<string>();

  constructor(store: UsageStore) {
    this.#store = store;
  }

  reset(): void {
    this.#heads.clear();
    this.#headsLoaded.clear();
  }

  /** Units that these sightings, which are in the store, change beyond their own hours. */
  async of(cluster: string, labels: Facts['labels']): Promise<number[]> {
    await this.#loadHeads(cluster);
    const inDoubt = new Map<string, Set<number>>();
    for (const { namespace, t, tenant } of labels.toSorted((a, b) => a.t - b.t)) {
      const key = `${cluster}\n${namespace}`;
      const head = this.#heads.get(key);
      if (head === undefined || t > head.t) this.#heads.set(key, { t, tenant });
      if (head !== undefined && t > head.t && tenant === head.tenant) continue;
      inDoubt.set(namespace, (inDoubt.get(namespace) ?? new Set()).add(t));
    }
    const hours: number[] = [];
    for (const chunk of chunks([...inDoubt])) {
      const changes = await this.#changes(cluster, new Map(chunk));
      hours.push(...(await this.#ownedHours(cluster, changes)));
    }
    return [...new Set(hours)];
  }

  /** What was known when this process met the cluster; sightings of this batch are among it. */
  async #loadHeads(cluster: string): Promise<void> {
    if (this.#headsLoaded.has(cluster)) return;
    const rows = await this.#store.rows<{ namespace: string; newest: string; owner: string }>(
      `SELECT namespace, max(t) AS newest, argMax(tenant, (t, tenant)) AS owner FROM label_history
       WHERE cluster = {cluster:String} GROUP BY namespace`,
      { cluster },
    );
    for (const { namespace, newest, owner } of rows) {
      this.#heads.set(`${cluster}\n${namespace}`, { t: Number(newest), tenant: owner });
    }
    this.#headsLoaded.add(cluster);
  }

  /** Which of these sightings change the owner, and until when: each beside its neighbours in the store. */
  async #changes(
    cluster: string,
    inDoubt: ReadonlyMap<string, ReadonlySet<number>>,
  ): Promise<readonly OwnerChange[]> {
    const found = await this.#sightings(cluster, inDoubt);
    return [...found].flatMap(([namespace, rows]) => {
      const times = inDoubt.get(namespace);
      const owners = rows.map((row) => row.owners.reduce((a, b) => (a > b ? a : b)));
      return rows.flatMap((row, i) => {
        const same = row.owners.length < 2 && i > 0 && owners[i] === owners[i - 1];
        if (times?.has(Number(row.seen)) !== true || same) return [];
        const next = rows[i + 1];
        const until = next === undefined ? Infinity : Number(next.seen);
        return [{ namespace, from: i === 0 ? undefined : Number(row.seen), until }];
      });
    });
  }

  /** Of each namespace from the last sighting before those in doubt to the first one after them, in order. */
  async #sightings(
    cluster: string,
    inDoubt: ReadonlyMap<string, ReadonlySet<number>>,
  ): Promise<Map<string, SightingRow[]>> {
    const times = [...inDoubt.values()];
    const rows = await this.#store.rows<SightingRow>(
      `SELECT ns AS name, t AS seen, groupUniqArray(toString(tenant)) AS owners
       FROM (SELECT toString(namespace) AS ns, t, tenant FROM label_history
             WHERE cluster = {cluster:String} AND namespace IN {namespaces:Array(String)}) AS l
       INNER JOIN (
         SELECT toString(namespace) AS near, maxIf(t, t < first) AS earliest,
           if(countIf(t > last) = 0, toInt64(${FOR_EVER}), minIf(t, t > last)) AS latest
         FROM label_history AS h
         INNER JOIN (
           SELECT asked.1 AS doubted, asked.2 AS first, asked.3 AS last FROM (
             SELECT arrayJoin(arrayZip(
               {namespaces:Array(String)}, {firsts:Array(Int64)}, {lasts:Array(Int64)})) AS asked)
         ) AS q ON h.namespace = q.doubted
         WHERE h.cluster = {cluster:String} AND h.namespace IN {namespaces:Array(String)}
         GROUP BY near
       ) AS n ON l.ns = n.near
       WHERE t >= earliest AND t <= latest
       GROUP BY name, seen ORDER BY name, seen`,
      {
        cluster,
        namespaces: [...inDoubt.keys()],
        firsts: times.map((each) => Math.min(...each)),
        lasts: times.map((each) => Math.max(...each)),
      },
    );
    return Map.groupBy(rows, (row) => row.name);
  }

  /** Units of the time that sightings speak for, and whatever reaches into it from later. */
  async #ownedHours(cluster: string, changes: readonly OwnerChange[]): Promise<number[]> {
    const firsts = await this.#firstSightings(cluster, changes);
    const owned = changes.flatMap(({ namespace, from, until }) => {
      const since = from ?? firsts.get(namespace);
      if (since === undefined) return [];
      const last = until === Infinity ? Infinity : owningHour(until) + HOUR_MS;
      return [{ namespace, first: owningHour(since), last }];
    });
    if (owned.length === 0) return [];
    const earliest = owned.reduce((least, { first }) => Math.min(least, first), Infinity);
    const latest = owned.reduce((most, { last }) => Math.max(most, last), 0);
    const marked = await markedHours(this.#store, cluster, earliest, latest);
    const hours = marked.filter((hour) => owned.some(({ first, last }) => hour >= first && hour <= last));
    const ended = owned.filter(({ last }) => last !== Infinity);
    return ended.length === 0 ? hours : [...hours, ...(await this.#nextUnits(cluster, ended))];
  }

  /** The first label applies to all that lies before it: from the namespace's first sample on. */
  async #firstSightings(cluster: string, changes: readonly OwnerChange[]): Promise<Map<string, number>> {
    const namespaces = [
      ...new Set(changes.filter(({ from }) => from === undefined).map(({ namespace }) => namespace)),
    ];
    if (namespaces.length === 0) return new Map();
    const rows = await this.#store.rows<{ name: string; first: string }>(
      `SELECT toString(s.namespace) AS name, min(f.value_t) AS first
       FROM (
         SELECT series, value_t FROM sightings
         WHERE cluster = {cluster:String} AND value_t < ${FOR_EVER} AND series IN (
           SELECT series FROM series
           WHERE cluster = {cluster:String} AND namespace IN {namespaces:Array(String)})
       ) AS f
       INNER JOIN (
         SELECT DISTINCT series, namespace FROM series
         WHERE cluster = {cluster:String} AND namespace IN {namespaces:Array(String)}
       ) AS s ON f.series = s.series
       GROUP BY name`,
      { cluster, namespaces },
    );
    return new Map(rows.map(({ name, first }) => [name, Number(first)]));
  }

  async #nextUnits(
    cluster: string,
    ended: readonly { readonly namespace: string; readonly last: number }[],
  ): Promise<number[]> {
    return await hoursOf(
      this.#store,
      `SELECT DISTINCT toUnixTimestamp(next) AS seconds FROM (
         SELECT min(c.hour) AS next FROM closings AS c
         INNER JOIN (
           SELECT DISTINCT s.series AS owned, e.after AS after FROM series AS s
           INNER JOIN (
             SELECT pair.1 AS namespace, toDateTime(pair.2, 'UTC') AS after FROM (
               SELECT arrayJoin(arrayZip({namespaces:Array(String)}, {afters:Array(Int64)})) AS pair)
           ) AS e ON s.namespace = e.namespace
           WHERE s.cluster = {cluster:String}
         ) AS o ON c.series = o.owned
         WHERE c.cluster = {cluster:String} AND c.hour > toDateTime({earliest:Int64}, 'UTC')
           AND c.hour > o.after
         GROUP BY c.series, o.after)
       UNION DISTINCT ${OPEN_UNITS}`,
      {
        cluster,
        namespaces: ended.map(({ namespace }) => namespace),
        afters: ended.map(({ last }) => last / 1000),
        earliest: Math.min(...ended.map(({ last }) => last)) / 1000,
      },
    );
  }
}

function* chunks<T>(items: readonly T[]): Generator<T[]> {
  for (let i = 0; i < items.length; i += CHUNK) yield items.slice(i, i + CHUNK);
}
