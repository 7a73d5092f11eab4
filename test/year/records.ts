/**
 * A year of records, day by day, from a seed: what three clusters put on the log, and when. Nothing of it is
 * kept but what is still under way, and whoever asks again gets the same bytes again.
 *
 * What happens to scrapes: hours of them are lost when a collector is away; hours come late when the log is;
 * in every month a cluster's last evening but one comes days later, after its month was closed; some come so
 * late that they are past the raw retention; the other of a pair of collectors sends the same once more. In
 * one month a cluster falls silent for days, across the close.
 */
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { nextPeriod, periodEnd, periodStart, type Period } from '../../core/metering/period.ts';
import { Random } from '../property/worlds/random.ts';
import { Cluster, type NamespacePlan } from './cluster.ts';

export const SCRAPE_MS = 900_000;
const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
const SCRAPES_PER_DAY = DAY_MS / SCRAPE_MS;

/** How often, by cluster and day. */
const SCRAPES_LOST = 1 / 15;
const SCRAPES_LATE = 1 / 20;
const SENT_TWICE = 1 / 10;
const PAST_RETENTION = 1 / 120;
const APPEND_MS = 1_500;
const OTHER_OF_PAIR_MS = 20_000;

export interface YearPlan {
  readonly seed: number;
  readonly first: Period;
  readonly months: number;
  readonly tenants: number;
  /** Days after the last month. */
  readonly daysBeyond: number;
}

export const YEAR: Omit<YearPlan, 'months'> = {
  seed: 20_260_101,
  first: 202601,
  tenants: 200,
  daysBeyond: 3,
};
export const CLUSTERS = ['north', 'south', 'east'] as const;
const PLATFORM_NAMESPACES = ['kube-system', 'monitoring'];

export interface Silence {
  readonly cluster: string;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly period: Period;
}

export interface Day {
  readonly endMs: number;
  /** As the log has them: what was appended on this day, in the order of its time. */
  readonly records: readonly LogRecord[];
}

export function periodsOf({ first, months }: Pick<YearPlan, 'first' | 'months'>): Period[] {
  const periods = [first];
  while (periods.length < months) periods.push(nextPeriod(periods.at(-1) ?? first));
  return periods;
}

/** From the 26th of the eighth month, or of the last if there are fewer, for ten days. */
export function silenceOf(plan: Pick<YearPlan, 'first' | 'months'>): Silence {
  const period = periodsOf(plan)[Math.min(7, plan.months - 1)] ?? plan.first;
  const fromMs = periodEnd(period) - 6 * DAY_MS;
  return { cluster: 'east', fromMs, untilMs: fromMs + 10 * DAY_MS, period };
}

export class YearRecords {
  readonly #plan: YearPlan;
  readonly #feeds: readonly ClusterFeed[];

  constructor(plan: YearPlan) {
    this.#plan = plan;
    const tenants = Array.from({ length: plan.tenants }, (_, i) => `tenant-${String(i).padStart(3, '0')}`);
    this.#feeds = CLUSTERS.map((name, i) => {
      const random = new Random(plan.seed + i);
      const clusterPlan = {
        ...{ cluster: name, partitions: i === 0 ? 2 : 1, scrapeOffsetMs: 60_000 * (1 + 4 * i) + 137 },
        ...{ namespaces: namespacesOf(tenants, i), showsProcessStart: i === 2 },
      };
      return new ClusterFeed(new Cluster(clusterPlan, tenants, random), { plan, random, number: i });
    });
  }

  get seriesCount(): number {
    return this.#feeds.reduce((sum, { seriesCount }) => sum + seriesCount, 0);
  }

  *days(): Generator<Day> {
    const { first, daysBeyond } = this.#plan;
    const begin = periodStart(first);
    const end = periodEnd(periodsOf(this.#plan).at(-1) ?? first) + daysBeyond * DAY_MS;
    for (let day = begin; day < end; day += DAY_MS) {
      const records = this.#feeds.flatMap((feed) => feed.day(day));
      yield { endMs: day + DAY_MS, records: records.sort((a, b) => a.timestampMs - b.timestampMs) };
    }
  }
}

/** Every tenant in one cluster, every fortieth in two; beside them the platform and what nobody owns. */
function namespacesOf(tenants: readonly string[], cluster: number): NamespacePlan[] {
  const own = tenants.filter(
    (_, i) => i % CLUSTERS.length === cluster || (i % 40 === 0 && (i + 1) % CLUSTERS.length === cluster),
  );
  return [
    ...own.map((tenant) => ({ name: `${tenant}-prod`, tenant })),
    ...PLATFORM_NAMESPACES.map((name) => ({ name, tenant: undefined })),
    ...['left-behind', 'experiments'].map((name) => ({ name, tenant: undefined })),
  ];
}

/** A record on its way to the log. */
interface Underway {
  readonly arrivesMs: number;
  readonly partition: number;
  readonly value: Uint8Array;
}

/** A stretch of scrapes that share a fate. */
interface Stretch {
  readonly fromMs: number;
  readonly untilMs: number;
}

interface DayFate {
  readonly lost?: Stretch;
  readonly late?: Stretch & { readonly byMs: number };
  readonly twice?: Stretch;
  readonly pastRetention?: Stretch;
}

class ClusterFeed {
  readonly #cluster: Cluster;
  readonly #number: number;
  readonly #random: Random;
  readonly #silence: Silence;
  readonly #offsets: bigint[];
  #underway: Underway[] = [];

  constructor(cluster: Cluster, given: { plan: YearPlan; random: Random; number: number }) {
    this.#cluster = cluster;
    this.#number = given.number;
    this.#random = given.random;
    this.#silence = silenceOf(given.plan);
    this.#offsets = Array.from({ length: cluster.plan.partitions }, () => 0n);
  }

  get seriesCount(): number {
    return this.#cluster.seriesCount;
  }

  /** What is appended to the cluster's topic on the day, partition by partition in offset order. */
  day(dayMs: number): LogRecord[] {
    const fate = this.#fate(dayMs);
    this.#cluster.beginDay(dayMs + this.#cluster.plan.scrapeOffsetMs);
    for (let i = 0; i < SCRAPES_PER_DAY; i++) {
      this.#cluster.step();
      this.#scrape(dayMs + i * SCRAPE_MS + this.#cluster.plan.scrapeOffsetMs, fate);
    }
    const arrived = this.#underway.filter(({ arrivesMs }) => arrivesMs < dayMs + DAY_MS);
    this.#underway = this.#underway.filter(({ arrivesMs }) => arrivesMs >= dayMs + DAY_MS);
    return arrived.sort((a, b) => a.arrivesMs - b.arrivesMs).map((record) => this.#appended(record));
  }

  #scrape(t: number, fate: DayFate): void {
    const { cluster, fromMs, untilMs } = this.#silence;
    const isSilent = cluster === this.#cluster.plan.cluster && t >= fromMs && t < untilMs;
    if (isSilent || within(fate.lost, t)) return;
    const value = this.#cluster.record(t);
    const partition = Math.floor(t / SCRAPE_MS) % this.#offsets.length;
    const arrivesMs = t + this.#delay(t, fate);
    this.#underway.push({ arrivesMs, partition, value });
    if (!within(fate.twice, t)) return;
    this.#underway.push({ arrivesMs: arrivesMs + OTHER_OF_PAIR_MS, partition, value });
  }

  #delay(t: number, { late, pastRetention }: DayFate): number {
    if (late !== undefined && within(late, t)) return late.byMs;
    return within(pastRetention, t) ? 50 * DAY_MS : APPEND_MS;
  }

  #fate(dayMs: number): DayFate {
    const random = this.#random;
    const stretch = (leastHours: number, mostHours: number): Stretch => {
      const fromMs = dayMs + random.int(0, 20) * HOUR_MS;
      return { fromMs, untilMs: fromMs + random.int(leastHours, mostHours) * HOUR_MS };
    };
    const date = new Date(dayMs);
    const monthEnd = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
    const isLastButOne = dayMs === monthEnd - 2 * DAY_MS;
    const isMine = date.getUTCMonth() % CLUSTERS.length === this.#number;
    const evening = { fromMs: dayMs + 18 * HOUR_MS, untilMs: dayMs + 20 * HOUR_MS };
    const fate = {
      ...(random.chance(SCRAPES_LOST) ? { lost: stretch(1, 6) } : {}),
      ...(random.chance(SCRAPES_LATE)
        ? { late: { ...stretch(1, 4), byMs: random.int(2, 30) * HOUR_MS } }
        : {}),
      ...(random.chance(SENT_TWICE) ? { twice: stretch(1, 3) } : {}),
      ...(random.chance(PAST_RETENTION) ? { pastRetention: stretch(1, 1) } : {}),
    };
    return isLastButOne && isMine ? { ...fate, late: { ...evening, byMs: random.int(6, 9) * DAY_MS } } : fate;
  }

  #appended({ arrivesMs, partition, value }: Underway): LogRecord {
    const offset = this.#offsets[partition] ?? 0n;
    this.#offsets[partition] = offset + 1n;
    const topic = `usage.${this.#cluster.plan.cluster}`;
    return { topic, partition, offset, timestampMs: arrivesMs, key: null, headers: {}, value };
  }
}

function within(stretch: Stretch | undefined, t: number): boolean {
  return stretch !== undefined && t >= stretch.fromMs && t < stretch.untilMs;
}
