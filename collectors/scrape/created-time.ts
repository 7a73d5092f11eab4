/**
 * OpenMetrics tells when a counter, histogram or summary began by a sample `<family>_created` (seconds) with
 * the same labels. Input: the samples of one family. Output: the others, with their start times. A time that
 * is no time (0, NaN, beyond what can be carried) tells nothing. `foo_total 17` and `foo_created 100.5`
 * become `foo_total 17` begun at 100,500 ms.
 */
import { secondsToMs } from '../../core/metering/quantity.ts';
import { type ExposedSample, MAX_TIME_MS } from './exposed-sample.ts';

export interface Family {
  readonly name: string;
  readonly type: string;
}

/** Suffixes of the samples that a `_created` sample of the family speaks for. */
const CREATED_FOR: ReadonlyMap<string, readonly string[]> = new Map([
  ['counter', ['_total']],
  ['histogram', ['_bucket', '_count', '_sum']],
  ['summary', ['', '_count', '_sum']],
]);

export function withStartTimes(family: Family, members: readonly ExposedSample[]): readonly ExposedSample[] {
  const suffixes = CREATED_FOR.get(family.type);
  const createdName = `${family.name}_created`;
  if (suffixes === undefined || !members.some(({ name }) => name === createdName)) return members;
  const createdMs = new Map<string, number>();
  for (const sample of members) {
    if (sample.name !== createdName || !(sample.value > 0) || sample.value > MAX_TIME_MS / 1000) continue;
    createdMs.set(sharedLabels(family, sample), secondsToMs(sample.value));
  }
  const names = new Set(suffixes.map((suffix) => family.name + suffix));
  return members
    .filter(({ name }) => name !== createdName)
    .map((sample) => {
      const startMs = names.has(sample.name) ? createdMs.get(sharedLabels(family, sample)) : undefined;
      return startMs === undefined ? sample : { ...sample, startMs };
    });
}

/** Every label but the one that tells the buckets or quantiles of one metric apart. */
function sharedLabels(family: Family, sample: ExposedSample): string {
  const own = family.type === 'histogram' ? 'le' : family.type === 'summary' ? 'quantile' : undefined;
  const shared = sample.labels.filter(([name, value]) => name !== own && value !== '');
  return JSON.stringify(shared.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
