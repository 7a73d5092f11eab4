/**
 * Samples of a target -> points as they go to the log. Input: what the target showed, its settings, the time
 * of the scrape. Output: points with the labels that Prometheus would give them, no series twice at one time.
 *
 * Labels: a scraped label that a target label also has becomes `exported_<name>`, or wins with honorLabels.
 * `cluster` is never up to the target: it names the topic, and a record with another one would be refused.
 * Empty labels are dropped at the end, as everywhere. An own timestamp counts unless honorTimestamps is off.
 */
import type { ScrapeTarget } from './config.ts';
import type { ExposedSample, Label } from './exposed-sample.ts';
import { seriesKey, type TrackedSeries } from './series-tracker.ts';
import { instanceOf } from './target.ts';

/** A value, or a staleness marker where there is none. */
export interface Point {
  readonly series: TrackedSeries;
  readonly timeMs: number;
  readonly value: number | undefined;
  readonly startMs: number | undefined;
}

export interface TargetLabels {
  readonly cluster: string;
  readonly target: ScrapeTarget;
}

export interface LabelledScrape {
  readonly points: readonly Point[];
  /** Series of which the target itself says when they end: those to mark when they vanish. */
  readonly tracked: ReadonlySet<string>;
  readonly duplicates: number;
}

export function labelScrape(
  samples: readonly ExposedSample[],
  scraper: TargetLabels,
  scrapeMs: number,
): LabelledScrape {
  const { honorTimestamps, trackTimestampsStaleness } = scraper.target;
  const series = seriesOf(scraper);
  const tracked = new Set<string>();
  const seen = new Set<string>();
  const points: Point[] = [];
  for (const sample of samples) {
    const own = honorTimestamps ? sample.timestampMs : undefined;
    const timeMs = own ?? scrapeMs;
    const labelled = series(sample);
    const key = seriesKey(labelled);
    const at = timeMs === scrapeMs ? key : `${key}@${timeMs}`;
    if (own === undefined || trackTimestampsStaleness) tracked.add(key);
    if (seen.has(at)) continue;
    seen.add(at);
    points.push({ series: labelled, timeMs, value: sample.value, startMs: sample.startMs });
  }
  return { points, tracked, duplicates: samples.length - points.length };
}

/** What the scraper itself says of a target, under the target's labels alone. */
export function reportSeries({ cluster, target }: TargetLabels, name: string): TrackedSeries {
  return {
    ...identityOf(target),
    name,
    labels: sorted([...Object.entries(target.labels), ['cluster', cluster]]),
  };
}

function identityOf(target: ScrapeTarget): { readonly job: string; readonly instance: string } {
  return { job: target.job, instance: instanceOf(target) };
}

function seriesOf({ cluster, target }: TargetLabels): (sample: ExposedSample) => TrackedSeries {
  const identity = identityOf(target);
  const own = new Map([...Object.entries(target.labels), ...Object.entries(identity)]);
  return ({ name, labels }) => {
    const merged = target.honorLabels
      ? scrapedFirst(labels, own, cluster)
      : targetFirst(labels, own, cluster);
    const job = merged.get('job') ?? '';
    const instance = merged.get('instance') ?? '';
    merged.delete('job');
    merged.delete('instance');
    return {
      job: job === '' ? identity.job : job,
      instance: instance === '' ? identity.instance : instance,
      name,
      labels: sorted([...merged]),
    };
  };
}

function targetFirst(
  labels: readonly Label[],
  own: ReadonlyMap<string, string>,
  cluster: string,
): Map<string, string> {
  const merged = new Map([...own, ['cluster', cluster]]);
  const clashes: Label[] = [];
  for (const label of labels) {
    if (merged.has(label[0])) clashes.push(label);
    else merged.set(...label);
  }
  for (const [name, value] of clashes) if (value !== '') merged.set(exportedName(name, merged), value);
  return merged;
}

function scrapedFirst(
  labels: readonly Label[],
  own: ReadonlyMap<string, string>,
  cluster: string,
): Map<string, string> {
  const merged = new Map(labels);
  const claimed = merged.get('cluster');
  merged.set('cluster', cluster);
  if (claimed !== undefined && claimed !== '') merged.set(exportedName('cluster', merged), claimed);
  for (const [name, value] of own) if (!merged.has(name)) merged.set(name, value);
  return merged;
}

/** `exported_x`, or `exported_exported_x` where the target already uses that. */
function exportedName(name: string, taken: ReadonlyMap<string, string>): string {
  let exported = `exported_${name}`;
  while (taken.has(exported)) exported = `exported_${exported}`;
  return exported;
}

function sorted(labels: readonly Label[]): readonly Label[] {
  return labels.filter(([, value]) => value !== '').sort(([a], [b]) => (a < b ? -1 : 1));
}
