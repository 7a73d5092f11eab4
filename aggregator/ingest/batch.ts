/** What a run of log records says, collected before anything of it is written. */
import type { PointRejection, RecordRejection } from '../../core/metering/rejection.ts';
import { owningHour } from '../../core/metering/hour.ts';
import { SampleColumns } from './sample-columns.ts';

export const NO_TIME = 9223372036854775807n;

/** A scrape target as this process knows it. */
export interface Target {
  readonly cluster: string;
  readonly id: bigint;
  readonly job: string;
  readonly instance: string;
  /** Earliest successful scrape met so far, newest `up` of any value, newest successful one. */
  firstScrape: number;
  newestUp: number;
  newestSuccess: number;
  /** Newest first sighting of a series by this target. */
  newestBirth: number;
  newestProcessStart: number;
  /** False until the store was asked about what other processes, or this one before a restart, wrote. */
  settled: boolean;
  /** Known again under another object: what this one says of the newest is no longer all there is. */
  isForgotten: boolean;
}

export interface Scrape {
  readonly target: Target;
  readonly t: number;
  /** 1 successful, 0 failed, -1 removed. */
  readonly up: 1 | 0 | -1;
}

export interface Facts {
  readonly scrapes: Scrape[];
  readonly processStarts: { readonly target: Target; readonly t: number; readonly start: number }[];
  readonly containerStarts: { readonly cluster: string; readonly key: bigint; readonly start: number }[];
  readonly labels: {
    readonly cluster: string;
    readonly namespace: string;
    readonly t: number;
    readonly tenant: string;
  }[];
  readonly hostNetwork: { readonly cluster: string; readonly podKey: string }[];
  readonly podEnds: { readonly cluster: string; readonly podUid: string; readonly t: number }[];
  readonly details: DetailSighting[];
}

/** The first sighting of a value in its hour. */
export interface DetailSighting {
  readonly cluster: string;
  readonly namespace: string;
  /** `Kind/name` */
  readonly subject: string;
  readonly t: number;
  readonly value: string;
}

export interface Sighting {
  readonly target: Target;
  readonly series: Uint8Array;
  readonly t: number;
  readonly rejected: boolean;
  readonly startKey: bigint;
}

export interface SeriesRow {
  readonly cluster: string;
  readonly series: Uint8Array;
  readonly meter: string;
  readonly metric: string;
  readonly delta: boolean;
  readonly namespace: string;
  readonly podKey: string;
  readonly labels: readonly (readonly [string, string])[];
  /** Day number since the epoch. */
  readonly day: number;
}

export interface QuarantineRow {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  /** Ordinal of the point in its record; 0 is the record as a whole. */
  readonly n: number;
  readonly reason: PointRejection | RecordRejection;
  readonly excerpt: string;
  readonly logTimestamp: number;
}

/** One topic-partition's share of a batch. */
export class PartitionTally {
  readonly topic: string;
  readonly partition: number;
  firstOffset = -1n;
  lastOffset = -1n;
  records = 0;
  points = 0;
  samples = 0;
  crc = 0;
  newestTimestamp = 0;
  readonly rejected = new Map<string, number>();
  /** Hours that samples and facts fall into, by cluster. */
  readonly touched = new Map<string, Set<number>>();
  #lastCluster = '';
  #lastHour = Number.NaN;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  get source(): string {
    return `${this.topic}/${this.partition}`;
  }

  touch(cluster: string, t: number): void {
    const hour = owningHour(t);
    if (hour === this.#lastHour && cluster === this.#lastCluster) return;
    this.#lastHour = hour;
    this.#lastCluster = cluster;
    this.touchHour(cluster, hour);
  }

  touchHour(cluster: string, hour: number): void {
    let hours = this.touched.get(cluster);
    if (hours === undefined) this.touched.set(cluster, (hours = new Set()));
    hours.add(hour);
  }

  reject(reason: string, count = 1): void {
    this.rejected.set(reason, (this.rejected.get(reason) ?? 0) + count);
  }
}

/** Strings that the sample columns refer to by number. */
export class Dictionary {
  readonly values: string[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(value: string): number {
    let number = this.#numbers.get(value);
    if (number === undefined) {
      number = this.values.push(value) - 1;
      this.#numbers.set(value, number);
    }
    return number;
  }
}

export class Batch {
  readonly samples: SampleColumns;
  readonly clusters = new Dictionary();
  readonly topics = new Dictionary();
  readonly facts: Facts = {
    scrapes: [],
    processStarts: [],
    containerStarts: [],
    labels: [],
    hostNetwork: [],
    podEnds: [],
    details: [],
  };
  readonly sightings: Sighting[] = [];
  readonly series: SeriesRow[] = [];
  readonly targets: Target[] = [];
  readonly feeds: { readonly target: Target; readonly meter: string }[] = [];
  readonly quarantine: QuarantineRow[] = [];
  readonly partitions = new Map<string, PartitionTally>();

  /** As many samples as are expected; any number may come. */
  constructor(expectedSamples = 0) {
    this.samples = new SampleColumns(expectedSamples);
  }

  partition(topic: string, partition: number): PartitionTally {
    const key = `${topic}/${partition}`;
    let tally = this.partitions.get(key);
    if (tally === undefined) this.partitions.set(key, (tally = new PartitionTally(topic, partition)));
    return tally;
  }

  /** Where to go back to when a record turns out to be malformed half-way. */
  checkpoint(): () => void {
    const lists: { length: number }[] = [
      ...Object.values<unknown[]>({ ...this.facts }),
      this.sightings,
      this.series,
      this.targets,
      this.feeds,
      this.quarantine,
    ];
    const lengths = lists.map((list) => list.length);
    const samples = this.samples.length;
    return () => {
      this.samples.truncate(samples);
      lists.forEach((list, i) => (list.length = lengths[i] ?? 0));
    };
  }
}
