/**
 * Hours in which nothing at all was scraped. No sample and no fact marks them, but scrapes were expected in
 * them, and without their coverage a dead collector would look like a complete period. They come to light
 * when a later hour is marked: what lies between two marked hours, as far as the lateness after the last `up`
 * of a target reaches, has to be rolled up as well.
 *
 * Found from what is stored, so neither the order of arrival nor a restart matters: whatever could make an
 * hour of silence count marks an hour near it, and those that are about to be rolled up are where to look.
 */
import { HOUR_MS } from '../../core/metering/hour.ts';
import type { UsageStore } from '../store/usage-store.ts';

/** The hours between two that are marked. */
interface Gap {
  readonly cluster: string;
  readonly before: number;
  readonly after: number;
}

export class SilentHours {
  readonly #store: UsageStore;
  readonly #latenessMs: number;
  /** What an earlier process did not come to look at. */
  #isFirstLook: boolean;

  constructor(store: UsageStore, latenessMs: number, options: { readonly looksBack: boolean }) {
    this.#store = store;
    this.#latenessMs = latenessMs;
    this.#isFirstLook = options.looksBack;
  }

  /** Hours to be marked by cluster, given those that are about to be rolled up. */
  async beside(
    open: readonly { readonly cluster: string; readonly hour: number }[],
  ): Promise<Map<string, number[]>> {
    const found = new Map<string, number[]>();
    if (open.length === 0) return found;
    const hours = new Map(
      [...Map.groupBy(open, (unit) => unit.cluster)].map(([cluster, units]) => [
        cluster,
        [...new Set(units.map((unit) => unit.hour))],
      ]),
    );
    for (const gap of await readGaps(this.#store)) {
      const isNear = (hour: number): boolean =>
        hour >= gap.before - this.#latenessMs - HOUR_MS && hour <= gap.after;
      if (!this.#isFirstLook && hours.get(gap.cluster)?.some(isNear) !== true) continue;
      const silent = await this.#expectedWithin(gap);
      if (silent.length > 0) found.set(gap.cluster, [...(found.get(gap.cluster) ?? []), ...silent]);
    }
    this.#isFirstLook = false;
    return found;
  }

  async #expectedWithin({ cluster, before, after }: Gap): Promise<number[]> {
    const [row] = await this.#store.rows<{ last: string }>(
      `SELECT maxIf(newest, version > 0) AS last FROM (
         SELECT max(t) AS newest, argMax(version, (t, version)) AS version FROM scrape
         WHERE cluster = {cluster:String} AND hour >= toDateTime({from:Int64}, 'UTC')
           AND hour <= toDateTime({before:Int64}, 'UTC')
         GROUP BY target)`,
      {
        cluster,
        from: Math.max(0, Math.floor((before - this.#latenessMs) / 1000) - 3600),
        before: before / 1000,
      },
    );
    const until = Math.min(after, Number(row?.last ?? 0) + this.#latenessMs);
    const hours: number[] = [];
    for (let hour = before + HOUR_MS; hour < until; hour += HOUR_MS) hours.push(hour);
    return hours;
  }
}

async function readGaps(store: UsageStore): Promise<Gap[]> {
  const rows = await store.rows<{ name: string; from: number; to: number }>(
    `SELECT name, from, to FROM (
       SELECT name, seconds AS to, lagInFrame(seconds) OVER (
         PARTITION BY name ORDER BY seconds ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS from
       FROM (SELECT DISTINCT toString(cluster) AS name, toUnixTimestamp(hour) AS seconds FROM unit_mark))
     WHERE from > 0 AND to - from > 3600 ORDER BY name, from`,
  );
  return rows.map(({ name, from, to }) => ({ cluster: name, before: from * 1000, after: to * 1000 }));
}
