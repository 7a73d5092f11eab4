/**
 * The unit of roll-up is an hour of a cluster. What has to be read for one hour costs the same for many, so
 * hours that follow each other are rolled up together: a span. Nothing of what comes out shows it.
 */
import { HOUR_MS } from '../../core/metering/hour.ts';

export interface Span {
  readonly cluster: string;
  /** Starts of the first and of the last hour, ms. Every hour between them belongs to it. */
  readonly first: number;
  readonly last: number;
}

/** Series ids are 16 bytes, held as latin1 strings of 16 characters. */
export type SeriesKey = string;

/** Condition on tables that are keyed by (cluster, hour). */
export const IN_SPAN = `cluster = {cluster:String}
  AND hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')`;

export function spanParameters(span: Span): { cluster: string; first: number; last: number } {
  return { cluster: span.cluster, first: span.first / 1000, last: span.last / 1000 };
}

/** The newest instant of the span: its last hour owns its own end. */
export function endOf(span: Span): number {
  return span.last + HOUR_MS;
}

export function hoursOf(span: Span): number[] {
  return Array.from({ length: (span.last - span.first) / HOUR_MS + 1 }, (_, i) => span.first + i * HOUR_MS);
}
