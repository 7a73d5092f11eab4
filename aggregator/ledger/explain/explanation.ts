/**
 * What an explanation says, as it goes out: quantities are decimal strings, instants ISO 8601. From the
 * number down: keys -> series -> intervals -> the samples at both ends and where in the log they came from.
 */
import type { Rule } from './rules.ts';

/** In base units, by quarter of the hour. */
export interface Amount {
  readonly quantity: string;
  readonly quarters: readonly [string, string, string, string];
  readonly missingMs: string;
}

/** `provisional`: not in the ledger yet, or about to change; `closed`: of a period that was closed. */
export type FigureState = 'provisional' | 'settled' | 'closed';

export interface Explanation extends Amount {
  readonly meter: string;
  readonly unit: string;
  /** Start of the hour. */
  readonly hour: string;
  readonly asked: { readonly tenant?: string; readonly cluster?: string; readonly namespace?: string };
  readonly state: FigureState;
  /** As it was billed, of a closed period. */
  readonly atClose?: Amount & { readonly period: string };
  /** All parts added up, shown or not. */
  readonly sum: Amount;
  /** Quarter by quarter. */
  readonly equal: boolean;
  readonly keys: readonly KeyExplanation[];
  readonly intervals: { readonly shown: number; readonly total: number };
  /** What could not be explained, and why, in words. */
  readonly reservations: readonly string[];
}

export interface KeyExplanation extends Amount {
  readonly cluster: string;
  readonly tenant: string;
  readonly namespace: string;
  readonly state: FigureState;
  /** Of the ledger's newest entry; absent where there is none. */
  readonly revision?: number;
  readonly samples: string;
  readonly flags: readonly string[];
  readonly coverage?: { readonly coveredMs: string; readonly expectedMs: string };
  readonly atClose?: Amount;
  readonly sum: Amount;
  readonly equal: boolean;
  /** What units give whose samples are past their retention. */
  readonly withoutSamples: readonly (Amount & { readonly unitHour: string })[];
  /** Those that give most come first. */
  readonly series: readonly SeriesExplanation[];
  readonly seriesNotShown: number;
}

export interface SeriesExplanation extends Amount {
  /** 32 hex digits. */
  readonly series: string;
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly intervals: readonly IntervalExplanation[];
  readonly intervalsNotShown: number;
}

export interface IntervalExplanation {
  /** Hour in which it ends, which owns it. */
  readonly unitHour: string;
  readonly rule: Rule;
  /** Usage lies on (from, to]; of a gauge on [from, to). */
  readonly from: string;
  readonly to: string;
  readonly quantity: string;
  /** Of a gauge: time after `to` for which its value was not held. */
  readonly missing?: { readonly from: string; readonly to: string };
  /** What of it falls into this hour and to this owner. */
  readonly share: Amount;
  readonly flags: readonly string[];
  readonly evidence: Evidence;
  readonly before?: SampleExplanation;
  readonly at: SampleExplanation;
}

/** Instants that the rule went by. */
export interface Evidence {
  /** When metering of the target began. */
  readonly meteringFrom?: string;
  /** The last scrape without the series. */
  readonly absentAt?: string;
  readonly containerStart?: string;
  readonly processStart?: string;
}

export interface SampleExplanation {
  readonly t: string;
  /** In integers of the source: core-ns, bytes, millicores, counts; `stale` for a marker. */
  readonly value: string;
  readonly start?: string;
  /** What the next one was measured from, where that is not this value: the high-water mark. */
  readonly baseline?: string;
  /** A row of a pod that had ended by then: what it held ends with it. */
  readonly podEnded?: true;
  /** Absent where the sample is past its retention. */
  readonly log?: { readonly topic: string; readonly partition: number; readonly offset: string };
}
