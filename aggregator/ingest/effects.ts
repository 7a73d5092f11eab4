/**
 * Which units a fact changes beyond the hour it falls into (METERING 9). Every answer is a superset: a unit
 * rolled up once more than needed costs time, one too few costs money.
 *
 * Two kinds. Starts of containers and host-network pods matter when they are news to the store, so their
 * units are marked before they are written. The others are judged by where they stand among what is stored,
 * themselves included: they are marked after the write, and come out the same when a crash lets the batch be
 * delivered again.
 */
import { HOUR_MS, owningHour } from '../../core/metering/hour.ts';
import { GAP_MS } from '../conversion/flags.ts';
import type { Parameters, UsageStore } from '../store/usage-store.ts';
import type { Batch, Facts, Scrape, Target } from './batch.ts';

/** Hours by cluster. */
export class TouchedHours {
  readonly byCluster = new Map<string, Set<number>>();

  add(cluster: string, hours: Iterable<number>): void {
    let known = this.byCluster.get(cluster);
    if (known === undefined) this.byCluster.set(cluster, (known = new Set()));
    for (const hour of hours) known.add(hour);
  }
}

const FOR_EVER = 9223372036854775807n;
/** Parameters of one statement; more are asked in several. */
const CHUNK = 2_000;

interface NamespaceHead {
  readonly t: number;
  readonly tenant: string;
}

export class Effects {
  readonly #store: UsageStore;
  readonly #latenessMs: number;
  /** Newest label sighting per cluster and namespace, as far as this process knows. */
  readonly #heads = new Map<string, NamespaceHead>();
  readonly #headsLoaded = new Set<string>();
  readonly #newestHour = new Map<string, number>();

  constructor(store: UsageStore, latenessMs: number) {
    this.#store = store;
    this.#latenessMs = latenessMs;
  }

  reset(): void {
    this.#heads.clear();
    this.#headsLoaded.clear();
    this.#newestHour.clear();
  }

  /** Units that facts new to the store will change. Before the facts are written. */
  async ofNews(batch: Batch): Promise<TouchedHours> {
    const touched = new TouchedHours();
    for (const [cluster, starts] of groupBy(batch.facts.containerStarts, (start) => start.cluster)) {
      for (const chunk of chunks(starts)) await this.#containerStarts(cluster, chunk, touched);
    }
    for (const [cluster, pods] of groupBy(batch.facts.hostNetwork, (pod) => pod.cluster)) {
      for (const chunk of chunks(pods)) {
        const podKeys = chunk.map((pod) => pod.podKey);
        touched.add(cluster, await this.#hostNetwork(cluster, podKeys));
      }
    }
    return touched;
  }

  /** Units that the batch changes beyond its own hours. After everything else of it was written. */
  async ofPlace(batch: Batch): Promise<TouchedHours> {
    const touched = new TouchedHours();
    const { facts, sightings } = batch;
    for (const [cluster, scrapes] of groupBy(facts.scrapes, (scrape) => scrape.target.cluster)) {
      touched.add(cluster, await this.#coverage(cluster, scrapes));
      await this.#settle(cluster, scrapes);
      for (const chunk of chunks(lateScrapes(scrapes))) await this.#lateUps(cluster, chunk, touched);
    }
    await this.#processStarts(facts, touched);
    for (const [cluster, labels] of groupBy(facts.labels, (label) => label.cluster)) {
      await this.#labels(cluster, labels, touched);
    }
    const rejected = sightings.filter((sighting) => sighting.rejected);
    for (const [cluster, seen] of groupBy(rejected, (sighting) => sighting.target.cluster)) {
      for (const chunk of chunks(seen)) {
        const series = chunk.map((sighting) => Buffer.from(sighting.series).toString('hex'));
        const which = `cluster = {cluster:String}
          AND series IN (SELECT unhex(arrayJoin({series:Array(String)})))`;
        touched.add(cluster, await this.#birthHours(which, { cluster, series }));
      }
    }
    return touched;
  }

  /** Hours that own the first values of the series that `which` (a condition on `sightings`) selects. */
  async #birthHours(which: string, parameters: Parameters): Promise<number[]> {
    const rows = await this.#store.rows<{ start: string }>(
      `SELECT DISTINCT intDiv(first - 1, 3600000) * 3600000 AS start FROM (
         SELECT min(value_t) AS first FROM sightings WHERE ${which} GROUP BY cluster, series
       ) WHERE first < ${FOR_EVER}`,
      parameters,
    );
    return rows.map((row) => Number(row.start));
  }

  async #containerStarts(
    cluster: string,
    starts: Facts['containerStarts'],
    touched: TouchedHours,
  ): Promise<void> {
    const keys = [...new Set(starts.map((start) => start.key))];
    const known = await this.#store.rows<{ start_key: string; smallest: string }>(
      `SELECT start_key, min(start) AS smallest FROM container_start
       WHERE cluster = {cluster:String} AND start_key IN {keys:Array(UInt64)} GROUP BY start_key`,
      { cluster, keys },
    );
    const smallest = new Map(known.map((row) => [row.start_key, Number(row.smallest)]));
    const news = starts.filter((start) => start.start < (smallest.get(start.key.toString()) ?? Infinity));
    if (news.length === 0) return;
    const newKeys = [...new Set(news.map((start) => start.key))];
    const which = `cluster = {cluster:String} AND series IN (
      SELECT series FROM births WHERE cluster = {cluster:String} AND start_key IN {keys:Array(UInt64)})`;
    touched.add(cluster, await this.#birthHours(which, { cluster, keys: newKeys }));
  }

  async #hostNetwork(cluster: string, podKeys: readonly string[]): Promise<number[]> {
    const rows = await this.#store.rows<{ seconds: number }>(
      `SELECT DISTINCT toUnixTimestamp(hour) AS seconds FROM closings
       WHERE cluster = {cluster:String} AND series IN (
         SELECT series FROM series WHERE cluster = {cluster:String} AND pod_key IN (
           SELECT arrayJoin({podKeys:Array(String)}) EXCEPT
           SELECT pod_key FROM host_network WHERE cluster = {cluster:String}))`,
      { cluster, podKeys },
    );
    return rows.map((row) => row.seconds * 1000);
  }

  /**
   * Coverage of an hour reaches from scrape to scrape, and a scrape is expected for the lateness after the
   * last: one that comes late changes hours up to there, one that comes in order completes the hour before.
   */
  async #coverage(cluster: string, scrapes: readonly Scrape[]): Promise<number[]> {
    const newest = this.#newestHour.get(cluster) ?? -Infinity;
    const late = scrapes.filter(
      ({ target, t }) => !target.settled || t < target.newestUp || owningHour(t) < newest,
    );
    const before = scrapes
      .filter(({ target, t }) => target.settled && t >= target.newestUp && t - target.newestUp <= GAP_MS)
      .map(({ target }) => owningHour(target.newestUp));
    const reached = scrapes.reduce((hour, { t }) => Math.max(hour, owningHour(t)), newest);
    this.#newestHour.set(cluster, reached);
    if (late.length === 0) return before;
    const times = late.map(({ t }) => t);
    const from = owningHour(least(times) - GAP_MS);
    const to = owningHour(-least(times.map((t) => -t)) + this.#latenessMs);
    return [...before, ...(await this.#markedHours(cluster, from, to))];
  }

  /** What the store knows of targets that this process meets for the first time. */
  async #settle(cluster: string, scrapes: readonly Scrape[]): Promise<void> {
    const unsettled = new Map(
      scrapes.filter(({ target }) => !target.settled).map(({ target }) => [target.id.toString(), target]),
    );
    for (const chunk of chunks([...unsettled.keys()])) {
      const rows = await this.#store.rows<{ target: string; newest: string }>(
        `SELECT target, max(t) AS newest FROM births
         WHERE cluster = {cluster:String} AND target IN {targets:Array(UInt64)} GROUP BY target`,
        { cluster, targets: chunk.map(BigInt) },
      );
      for (const { target: id, newest } of rows) {
        const target = unsettled.get(id);
        if (target !== undefined) target.newestBirth = Math.max(target.newestBirth, Number(newest));
      }
    }
  }

  async #lateUps(cluster: string, scrapes: readonly Scrape[], touched: TouchedHours): Promise<void> {
    const which = `cluster = {cluster:String} AND series IN (
      SELECT series FROM (SELECT target, t, series FROM births WHERE cluster = {cluster:String}) AS b
      INNER JOIN (
        SELECT u.target AS target, min(u.since) AS earliest,
          if(min(u.since) <= any(f.first), toInt64(${FOR_EVER}), max(u.since) + {lateness:Int64}) AS latest
        FROM (
          SELECT up.1 AS target, up.2 AS since
          FROM (SELECT arrayJoin(arrayZip({targets:Array(UInt64)}, {times:Array(Int64)})) AS up)
        ) AS u
        INNER JOIN (
          SELECT target, min(first_scrape) AS first FROM target
          WHERE cluster = {cluster:String} GROUP BY target
        ) AS f ON u.target = f.target
        GROUP BY u.target
      ) AS l ON b.target = l.target
      WHERE b.t > l.earliest AND b.t <= l.latest)`;
    const parameters = {
      cluster,
      targets: scrapes.map((scrape) => scrape.target.id),
      times: scrapes.map((scrape) => scrape.t),
      lateness: this.#latenessMs,
    };
    touched.add(cluster, await this.#birthHours(which, parameters));
  }

  /** A process start speaks for all samples since the one shown before it. */
  async #processStarts(facts: Facts, touched: TouchedHours): Promise<void> {
    for (const { target, t } of facts.processStarts) {
      const shownBefore =
        t > target.newestProcessStart && target.newestProcessStart > 0
          ? target.newestProcessStart
          : await this.#processShownBefore(target, t);
      target.newestProcessStart = Math.max(target.newestProcessStart, t);
      const from = owningHour(shownBefore + 1);
      if (from === owningHour(t)) continue;
      touched.add(target.cluster, await this.#markedHours(target.cluster, from, owningHour(t)));
    }
  }

  async #processShownBefore(target: Target, t: number): Promise<number> {
    const [row] = await this.#store.rows<{ before: string }>(
      `SELECT max(t) AS before FROM process_start
       WHERE cluster = {cluster:String} AND target = {target:UInt64} AND t < {t:Int64}`,
      { cluster: target.cluster, target: target.id, t },
    );
    return Number(row?.before ?? 0);
  }

  async #markedHours(cluster: string, from: number, to: number): Promise<number[]> {
    const rows = await this.#store.rows<{ seconds: number }>(
      `SELECT DISTINCT toUnixTimestamp(hour) AS seconds FROM unit_mark WHERE cluster = {cluster:String}
       AND hour >= toDateTime({from:Int64}, 'UTC') AND hour <= toDateTime({to:Int64}, 'UTC')`,
      { cluster, from: Math.max(0, from / 1000), to: Math.min(4294967295, to / 1000) },
    );
    return rows.map((row) => row.seconds * 1000);
  }

  async #labels(cluster: string, labels: Facts['labels'], touched: TouchedHours): Promise<void> {
    await this.#loadHeads(cluster);
    for (const { namespace, t, tenant } of labels.toSorted((a, b) => a.t - b.t)) {
      const key = `${cluster}\n${namespace}`;
      const head = this.#heads.get(key);
      if (head === undefined || t > head.t) this.#heads.set(key, { t, tenant });
      if (head !== undefined && t > head.t && tenant === head.tenant) continue;
      touched.add(cluster, await this.#labelChange(cluster, namespace, t));
    }
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

  /**
   * Units between a sighting that changes the owner and the next one, and whatever reaches into that time.
   */
  async #labelChange(cluster: string, namespace: string, t: number): Promise<number[]> {
    const [place] = await this.#store.rows<{ before: string[]; here: string[]; next: string }>(
      `SELECT
         if(countIf(t < {t:Int64}) = 0, [], [maxIf((t, tenant), t < {t:Int64}).2]) AS before,
         groupUniqArrayIf(tenant, t = {t:Int64}) AS here,
         if(countIf(t > {t:Int64}) = 0, ${FOR_EVER}, minIf(t, t > {t:Int64})) AS next
       FROM label_history WHERE cluster = {cluster:String} AND namespace = {namespace:String}`,
      { cluster, namespace, t },
    );
    if (place === undefined) return [];
    const [before] = place.before;
    if (place.here.length < 2 && before !== undefined && before === place.here[0]) return [];
    const from = before === undefined ? 0 : owningHour(t);
    const last = BigInt(place.next) === FOR_EVER ? Infinity : owningHour(Number(place.next)) + HOUR_MS;
    const hours = await this.#markedHours(cluster, from, last);
    return last === Infinity ? hours : [...hours, ...(await this.#nextUnits(cluster, namespace, last))];
  }

  async #nextUnits(cluster: string, namespace: string, after: number): Promise<number[]> {
    const rows = await this.#store.rows<{ seconds: number }>(
      `SELECT DISTINCT toUnixTimestamp(next) AS seconds FROM (
         SELECT min(hour) AS next FROM closings
         WHERE cluster = {cluster:String} AND hour > toDateTime({after:Int64}, 'UTC') AND series IN (
           SELECT series FROM series WHERE cluster = {cluster:String} AND namespace = {namespace:String})
         GROUP BY series)`,
      { cluster, namespace, after: after / 1000 },
    );
    return rows.map((row) => row.seconds * 1000);
  }
}

/**
 * Successful scrapes that births may already have been judged without. Moves what is known of their targets
 * on.
 */
function lateScrapes(scrapes: readonly Scrape[]): Scrape[] {
  const late = scrapes.filter(
    ({ target, t, up }) => up === 1 && (!target.settled || t < target.newestBirth || t < target.firstScrape),
  );
  for (const { target, t, up } of scrapes) {
    target.newestUp = Math.max(target.newestUp, t);
    if (up !== 1) continue;
    target.firstScrape = Math.min(target.firstScrape, t);
    target.settled = true;
  }
  return late;
}

function least(values: readonly number[]): number {
  return values.reduce((a, b) => Math.min(a, b), Infinity);
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  return Map.groupBy(items, keyOf);
}

function* chunks<T>(items: readonly T[]): Generator<T[]> {
  for (let i = 0; i < items.length; i += CHUNK) yield items.slice(i, i + CHUNK);
}
