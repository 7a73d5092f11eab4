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
  readonly from: number | undefined;
  readonly until: number;
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
    for (const [namespace, times] of inDoubt) {
      for (const change of await this.#changes(cluster, namespace, times)) {
        hours.push(...(await this.#ownedHours(cluster, namespace, change)));
      }
    }
    return hours;
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
  async #changes(cluster: string, namespace: string, times: ReadonlySet<number>): Promise<OwnerChange[]> {
    const which = 'FROM label_history WHERE cluster = {cluster:String} AND namespace = {namespace:String}';
    const rows = await this.#store.rows<{ seen: string; owners: string[] }>(
      `SELECT t AS seen, groupUniqArray(toString(tenant)) AS owners ${which}
         AND t >= (SELECT max(t) ${which} AND t < {first:Int64})
         AND t <= (SELECT if(count() = 0, ${FOR_EVER}, min(t)) ${which} AND t > {last:Int64})
       GROUP BY t ORDER BY t`,
      { cluster, namespace, first: Math.min(...times), last: Math.max(...times) },
    );
    const owners = rows.map((row) => row.owners.reduce((a, b) => (a > b ? a : b)));
    return rows.flatMap((row, i) => {
      const same = row.owners.length < 2 && i > 0 && owners[i] === owners[i - 1];
      if (!times.has(Number(row.seen)) || same) return [];
      const next = rows[i + 1];
      const until = next === undefined ? Infinity : Number(next.seen);
      return [{ from: i === 0 ? undefined : Number(row.seen), until }];
    });
  }

  /** Units of the time that a sighting speaks for, and whatever reaches into it from later. */
  async #ownedHours(cluster: string, namespace: string, change: OwnerChange): Promise<number[]> {
    const from = change.from ?? (await this.#firstSighting(cluster, namespace));
    if (from === undefined) return [];
    const last = change.until === Infinity ? Infinity : owningHour(change.until) + HOUR_MS;
    const hours = await markedHours(this.#store, cluster, owningHour(from), last);
    return last === Infinity ? hours : [...hours, ...(await this.#nextUnits(cluster, namespace, last))];
  }

  /** The first label applies to all that lies before it: from the namespace's first sample on. */
  async #firstSighting(cluster: string, namespace: string): Promise<number | undefined> {
    const [row] = await this.#store.rows<{ seen: string; first: string }>(
      `SELECT count() AS seen, min(value_t) AS first FROM sightings
       WHERE cluster = {cluster:String} AND value_t < ${FOR_EVER} AND series IN (
         SELECT series FROM series WHERE cluster = {cluster:String} AND namespace = {namespace:String})`,
      { cluster, namespace },
    );
    return row === undefined || Number(row.seen) === 0 ? undefined : Number(row.first);
  }

  async #nextUnits(cluster: string, namespace: string, after: number): Promise<number[]> {
    return await hoursOf(
      this.#store,
      `SELECT DISTINCT toUnixTimestamp(next) AS seconds FROM (
         SELECT min(hour) AS next FROM closings
         WHERE cluster = {cluster:String} AND hour > toDateTime({after:Int64}, 'UTC') AND series IN (
           SELECT series FROM series WHERE cluster = {cluster:String} AND namespace = {namespace:String})
         GROUP BY series)
       UNION DISTINCT ${OPEN_UNITS}`,
      { cluster, namespace, after: after / 1000 },
    );
  }
}
