/**
 * What must hold at every moment, looked at between the steps of a world: the ledger only grows, a reader
 * that follows it by cursor misses nothing, watermarks never go back, and what was closed stays as it was.
 */
import { readCloses, type Close } from '../../aggregator/ledger/decisions.ts';
import { SETTLE_AFTER_MS } from '../../aggregator/ledger/settler.ts';
import { readWatermarks } from '../../aggregator/ledger/watermarks.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { HOUR } from './traffic.ts';

/** An entry as the feed's reader takes it. */
export interface FeedEntry {
  readonly seq: bigint;
  readonly id: string;
  readonly kind: string;
  readonly final: number;
  /** Everything else, as one text. */
  readonly text: string;
  readonly key: string;
  readonly quarters: readonly bigint[];
}

const PAGE = 5_000;

export class Watcher {
  readonly feed: FeedEntry[] = [];
  readonly #store: UsageStore;
  /** Clusters that a close may settle before they were seen so far. */
  readonly #waived: ReadonlySet<string>;
  #cursor = 0n;
  #watermarks = new Map<string, number>();
  readonly #closes = new Map<number, Close>();
  /** `usage_current` of a period as it was closed. */
  readonly #currents = new Map<number, string>();

  constructor(store: UsageStore, waived: ReadonlySet<string>) {
    this.#store = store;
    this.#waived = waived;
  }

  get closes(): readonly Close[] {
    return [...this.#closes.values()].sort((a, b) => a.period - b.period);
  }

  async look(): Promise<void> {
    await this.#watch();
    await this.#follow();
    for (const close of await readCloses(this.#store)) await this.#closed(close);
  }

  /** What is different when anything was done. */
  async state(): Promise<string> {
    const [row] = await this.#store.rows(
      `SELECT (SELECT max(seq) FROM ledger) AS head, (SELECT count() FROM decision) AS decisions,
         (SELECT count() FROM batch) AS batches,
         (SELECT count() FROM (SELECT 1 FROM unit_mark GROUP BY cluster, hour, source
            HAVING max(marked) > max(rolled))) AS units,
         (SELECT count() FROM (SELECT 1 FROM hour_mark GROUP BY cluster, hour, source
            HAVING max(marked) > max(settled))) AS hours`,
    );
    return JSON.stringify(row);
  }

  async #watch(): Promise<void> {
    const watermarks = await readWatermarks(this.#store);
    for (const [cluster, before] of this.#watermarks) {
      const now = watermarks.get(cluster) ?? -Infinity;
      if (now < before) throw new Error(`the watermark of ${cluster} went back from ${before} to ${now}`);
    }
    this.#watermarks = watermarks;
  }

  async #follow(): Promise<void> {
    for (;;) {
      const page = await readFeed(this.#store, this.#cursor, PAGE);
      for (const entry of page) this.#isDue(entry);
      this.feed.push(...page);
      this.#cursor = page.at(-1)?.seq ?? this.#cursor;
      if (page.length < PAGE) return;
    }
  }

  /** An hour is settled once the watermark has passed its end by five minutes. */
  #isDue({ kind, key }: FeedEntry): void {
    const [seconds = '', cluster = ''] = JSON.parse(key) as string[];
    if (!['usage', 'correction', 'coverage'].includes(kind) || this.#waived.has(cluster)) return;
    const endMs = Number(seconds) * 1000 + HOUR + SETTLE_AFTER_MS;
    if (endMs > (this.#watermarks.get(cluster) ?? 0)) throw new Error(`${key} was settled before it was due`);
  }

  async #closed(close: Close): Promise<void> {
    const known = this.#closes.get(close.period);
    if (known === undefined) {
      this.#closes.set(close.period, close);
      this.#currents.set(close.period, await this.currentOf(close.period));
    } else if (known.hash !== close.hash || known.upTo !== close.upTo) {
      throw new Error(`${close.period} was closed twice`);
    }
  }

  async currentOf(period: number): Promise<string> {
    const rows = await this.#store.rows(
      `SELECT tenant, meter, toUnixTimestamp(hour) AS seconds, cluster, namespace, q0, q1, q2, q3, missing_ms,
         samples, flags FROM usage_current FINAL WHERE toYYYYMM(hour) = {period:UInt32}
         AND (q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0 OR missing_ms != 0 OR samples != 0) ORDER BY ALL`,
      { period },
    );
    return rows.map((row) => JSON.stringify(row)).join('\n');
  }

  /** Periods of which what queries read is not what it was when they were closed. */
  async changedPeriods(): Promise<number[]> {
    const changed: number[] = [];
    for (const [period, then] of this.#currents) {
      if ((await this.currentOf(period)) !== then) changed.push(period);
    }
    return changed;
  }
}

interface FeedRow {
  readonly n: string;
  readonly entry_id: string;
  readonly kind: string;
  readonly final: number;
  readonly quarters: readonly string[];
  readonly key: readonly string[];
  readonly rest: readonly unknown[];
}

export async function readFeed(store: UsageStore, after: bigint, limit: number): Promise<FeedEntry[]> {
  const rows = await store.rows<FeedRow>(
    `SELECT toString(seq) AS n, hex(id) AS entry_id, kind, final, [q0, q1, q2, q3] AS quarters,
       [toString(toUnixTimestamp(hour)), cluster, tenant, namespace, meter] AS key,
       tuple(period, revision, p0, p1, p2, p3, missing_ms, samples, flags, covered_ms, expected_ms,
         hex(input_hash), body) AS rest
     FROM ledger WHERE seq > {after:UInt64} ORDER BY seq LIMIT {limit:UInt32}`,
    { after, limit },
  );
  return rows.map(({ n, entry_id: id, kind, final, quarters, key, rest }) => ({
    ...{ seq: BigInt(n), id, kind, final, key: JSON.stringify(key) },
    quarters: quarters.map(BigInt),
    text: JSON.stringify([kind, final, quarters, key, rest]),
  }));
}
