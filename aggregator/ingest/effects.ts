/**
 * Which units a fact changes beyond the hour it falls into (METERING 9). Every answer is a superset: a unit
 * rolled up once more than needed costs time, one too few costs money.
 *
 * Two kinds. Starts of containers and host-network pods matter when they are news to the store, so their
 * units are marked before they are written. The others are judged by where they stand among what is stored,
 * themselves included: they are marked after the write, and come out the same when a crash lets the batch be
 * delivered again.
 */
import { owningHour } from '../../core/metering/hour.ts';
import { DETAILS, subjectOf, TENANT_LABELS } from '../attribution/histories.ts';
import { GAP_MS } from '../conversion/flags.ts';
import { idsIn } from '../store/ids.ts';
import type { Parameters, UsageStore } from '../store/usage-store.ts';
import type { Batch, Facts, Scrape, Target } from './batch.ts';
import { HistoryEffects } from './history-effects.ts';
import { FOR_EVER, hoursOf, markedHours, OPEN_UNITS } from './marked-hours.ts';

/** Hours by cluster. */
export class TouchedHours {
  readonly byCluster = new Map<string, Set<number>>();

  add(cluster: string, hours: Iterable<number>): void {
    let known = this.byCluster.get(cluster);
    if (known === undefined) this.byCluster.set(cluster, (known = new Set()));
    for (const hour of hours) known.add(hour);
  }
}

/** Parameters of one statement; more are asked in several. */
const CHUNK = 2_000;

export class Effects {
  readonly #store: UsageStore;
  readonly #latenessMs: number;
  readonly #labels: HistoryEffects;
  readonly #details: HistoryEffects;
  readonly #newestHour = new Map<string, number>();

  constructor(store: UsageStore, latenessMs: number) {
    this.#store = store;
    this.#latenessMs = latenessMs;
    this.#labels = new HistoryEffects(store, TENANT_LABELS);
    this.#details = new HistoryEffects(store, DETAILS);
  }

  reset(): void {
    this.#labels.reset();
    this.#details.reset();
    this.#newestHour.clear();
  }

  /** What was judged of this batch did not reach the store: judge it anew, against what is there. */
  forget(batch: Batch): void {
    this.reset();
    const { scrapes, processStarts } = batch.facts;
    for (const { target } of [...scrapes, ...processStarts]) {
      target.settled = false;
      target.firstScrape = Infinity;
      target.newestUp = target.newestSuccess = target.newestProcessStart = -Infinity;
    }
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
    for (const [cluster, feeds] of groupBy(batch.feeds, (feed) => feed.target.cluster)) {
      for (const chunk of chunks(feeds)) touched.add(cluster, await this.#feeds(cluster, chunk));
    }
    return touched;
  }

  /** Units that the batch changes beyond its own hours. After everything else of it was written. */
  async ofPlace(batch: Batch): Promise<TouchedHours> {
    const touched = new TouchedHours();
    const { facts, sightings } = batch;
    for (const [cluster, scrapes] of groupBy(facts.scrapes, (scrape) => scrape.target.cluster)) {
      await this.#settle(cluster, scrapes);
      touched.add(cluster, await this.#coverage(cluster, scrapes));
      for (const chunk of chunks(lateScrapes(scrapes))) await this.#lateUps(cluster, chunk, touched);
    }
    await this.#processStarts(facts, touched);
    for (const [cluster, labels] of groupBy(facts.labels, (label) => label.cluster)) {
      const seen = labels.map(({ namespace, t, tenant }) => ({ subject: namespace, t, value: tenant }));
      touched.add(cluster, await this.#labels.of(cluster, seen));
    }
    for (const [cluster, details] of groupBy(facts.details, (detail) => detail.cluster)) {
      const seen = details.map(({ namespace, subject, t, value }) => ({
        ...{ subject: subjectOf(namespace, subject), t, value },
      }));
      touched.add(cluster, await this.#details.of(cluster, seen));
    }
    const rejected = sightings.filter((sighting) => sighting.rejected);
    for (const [cluster, seen] of groupBy(rejected, (sighting) => sighting.target.cluster)) {
      for (const chunk of chunks(seen)) {
        const series = chunk.map((sighting) => Buffer.from(sighting.series).toString('hex'));
        const which = `cluster = {cluster:String}
          AND series IN ${idsIn('series')}`;
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
    return await hoursOf(
      this.#store,
      `SELECT DISTINCT toUnixTimestamp(hour) AS seconds FROM closings
       WHERE cluster = {cluster:String} AND series IN (
         SELECT series FROM series WHERE cluster = {cluster:String} AND pod_key IN (
           SELECT arrayJoin({podKeys:Array(String)}) EXCEPT
           SELECT pod_key FROM host_network WHERE cluster = {cluster:String}))
       UNION DISTINCT ${OPEN_UNITS}`,
      { cluster, podKeys },
    );
  }

  /** A target that turns out to feed a meter has been expected to since its first scrape. */
  async #feeds(cluster: string, feeds: Batch['feeds']): Promise<number[]> {
    const targets = [...new Set(feeds.map((feed) => feed.target.id))];
    const rows = await this.#store.rows<{ target: string; meters: string[]; first: string }>(
      `SELECT t.target AS target, groupUniqArray(toString(f.meter)) AS meters, min(t.first_scrape) AS first
       FROM target AS t LEFT JOIN feed AS f ON t.cluster = f.cluster AND t.target = f.target
       WHERE t.cluster = {cluster:String} AND t.target IN {targets:Array(UInt64)} GROUP BY t.target`,
      { cluster, targets },
    );
    const known = new Map(rows.map((row) => [row.target, row]));
    const firsts = feeds
      .filter(({ target, meter }) => known.get(target.id.toString())?.meters.includes(meter) === false)
      .map(({ target }) => BigInt(known.get(target.id.toString())?.first ?? FOR_EVER))
      .filter((first) => first !== FOR_EVER)
      .map(Number);
    if (firsts.length === 0) return [];
    return await markedHours(this.#store, cluster, owningHour(least(firsts)), Infinity);
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
      .filter(
        ({ target, t, up }) => up === 1 && t > target.newestSuccess && t - target.newestSuccess <= GAP_MS,
      )
      .map(({ target }) => owningHour(target.newestSuccess));
    const reached = scrapes.reduce((hour, { t }) => Math.max(hour, owningHour(t)), newest);
    this.#newestHour.set(cluster, reached);
    if (late.length === 0) return before;
    const times = late.map(({ t }) => t);
    const from = owningHour(least(times) - GAP_MS);
    const to = owningHour(-least(times.map((t) => -t)) + this.#latenessMs);
    return [...before, ...(await markedHours(this.#store, cluster, from, to))];
  }

  /** What the store knows of targets that this process meets for the first time; this batch is among it. */
  async #settle(cluster: string, scrapes: readonly Scrape[]): Promise<void> {
    const unsettled = new Map(
      scrapes.filter(({ target }) => !target.settled).map(({ target }) => [target.id.toString(), target]),
    );
    for (const chunk of chunks([...unsettled.keys()])) {
      const rows = await this.#store.rows<{ id: string; birth: string; scraped: string }>(
        `SELECT id, max(born) AS birth, max(seen) AS scraped FROM (
           SELECT target AS id, max(t) AS born, 0 AS seen FROM births
           WHERE cluster = {cluster:String} AND target IN {targets:Array(UInt64)} GROUP BY target
           UNION ALL
           SELECT target, 0, max(t) FROM scrape
           WHERE cluster = {cluster:String} AND target IN {targets:Array(UInt64)} GROUP BY target
         ) GROUP BY id`,
        { cluster, targets: chunk.map(BigInt) },
      );
      for (const { id, birth, scraped } of rows) {
        const target = unsettled.get(id);
        if (target === undefined) continue;
        target.newestBirth = Math.max(target.newestBirth, Number(birth));
        target.newestUp = Math.max(target.newestUp, Number(scraped));
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
      touched.add(target.cluster, await markedHours(this.#store, target.cluster, from, owningHour(t)));
    }
  }

  /** When the target showed one before t; else just before the first that it reported at all. */
  async #processShownBefore(target: Target, t: number): Promise<number> {
    const [row] = await this.#store.rows<{ before: string; sightings: string; first: string }>(
      `SELECT
         (SELECT max(t) FROM process_start
          WHERE cluster = {cluster:String} AND target = {target:UInt64} AND t < {t:Int64}) AS before,
         count() AS sightings, min(t) AS first
       FROM births WHERE cluster = {cluster:String} AND target = {target:UInt64}`,
      { cluster: target.cluster, target: target.id, t },
    );
    if (row === undefined || Number(row.before) > 0) return Number(row?.before ?? 0);
    return Number(row.sightings) === 0 ? t - 1 : Math.min(t, Number(row.first)) - 1;
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
    target.newestSuccess = Math.max(target.newestSuccess, t);
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
