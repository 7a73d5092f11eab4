/**
 * Which series a target showed in its last scrape: the difference to the next one is what vanished (staleness
 * markers) and what is new. Series are held by their key, a text of their own, so that no body of a scrape
 * stays in memory because of a slice of it.
 */
import type { Label } from './exposed-sample.ts';
import type { ResourceId } from './target.ts';

/** A series with all its labels: sorted, without empty ones, job and instance apart. */
export interface TrackedSeries extends ResourceId {
  readonly name: string;
  readonly labels: readonly Label[];
}

export function seriesKey({ job, instance, name, labels }: TrackedSeries): string {
  return JSON.stringify([job, instance, name, ...labels.flat()]);
}

export function seriesOfKey(key: string): TrackedSeries {
  const [job, instance, name, ...rest] = JSON.parse(key) as [string, string, string, ...string[]];
  const labels: Label[] = [];
  for (let i = 0; i < rest.length; i += 2) labels.push([rest[i] as string, rest[i + 1] as string]);
  return { job, instance, name, labels };
}

export interface SeriesChange {
  readonly added: number;
  readonly vanished: readonly TrackedSeries[];
}

export class SeriesTracker {
  private known: ReadonlySet<string> = new Set();

  /** Takes the series of a scrape (none: the target is down) in place of those of the one before. */
  replace(current: ReadonlySet<string>): SeriesChange {
    const before = this.known;
    this.known = current;
    const vanished = [...before].filter((key) => !current.has(key)).map(seriesOfKey);
    return { added: current.size - (before.size - vanished.length), vanished };
  }
}
