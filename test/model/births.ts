/**
 * METERING.md 6.3 and 6.4, choices 13-17: what the first accepted sample of a cumulative series counts.
 */
import { containerKey, type Facts } from './facts.ts';
import { largest } from './grouping.ts';
import type { Given } from './given.ts';
import type { Interval } from './interval.ts';
import { note, type Notes } from './notes.ts';
import type { Series, Value } from './series.ts';
import { processStartOf } from './starts.ts';

const HOUR_MS = 3_600_000n;

/** The interval the first value lies on, or undefined for a baseline. */
export function birthOf(series: Series, first: Value, given: Given): Interval | undefined {
  const { facts, notes } = given;
  const begin = beginOfMetering(first, facts);
  if (begin === undefined) {
    note(notes, 'birth_never_scraped');
    return undefined;
  }
  const from = birthStart(series, first, begin, given);
  if (from === undefined) return undefined;
  note(notes, 'birth_after_rejected_sighting', series.firstSighting < first.t);
  return { from, to: first.t, quantity: first.value };
}

/** Choice 15, in its order; then choice 16. */
function birthStart(series: Series, first: Value, begin: bigint, given: Given): bigint | undefined {
  const { facts, notes } = given;
  if (first.start === first.t) {
    note(notes, 'birth_start_is_time');
    return undefined;
  }
  if (first.start !== undefined) return knownBirth(first.start, begin, 'birth_by_start', notes);
  if (series.meter.memory === 'kernel') {
    const start = containerStart(series, first, facts);
    if (start !== undefined) return knownBirth(start, begin, 'birth_by_container_start', notes);
  }
  const absence = lastScrapeWithout(series, first, given);
  const processStart = series.meter.memory === 'exporter' ? processStartOf(first, facts) : undefined;
  if (processStart !== undefined && processStart >= begin) {
    note(notes, 'birth_start_is_beginning_of_metering', processStart === begin);
    return processBirth(first, processStart, absence, notes);
  }
  note(notes, 'birth_process_older_than_metering', processStart !== undefined);
  note(notes, absence === undefined ? 'unknown_origin' : 'birth_by_absence');
  return absence;
}

/** Section 6.4 a and b. */
function knownBirth(
  start: bigint,
  begin: bigint,
  how: 'birth_by_start' | 'birth_by_container_start',
  notes: Notes,
): bigint | undefined {
  note(notes, start >= begin ? how : 'birth_older_than_metering');
  note(notes, 'birth_start_is_beginning_of_metering', start === begin);
  return start >= begin ? start : undefined;
}

/** Section 6: the process began at `start`; its series may have begun later, after t_q. */
function processBirth(first: Value, start: bigint, absence: bigint | undefined, notes: Notes): bigint {
  const from = absence !== undefined && absence > start ? absence : start;
  note(notes, from === start ? 'birth_by_process_start' : 'birth_by_scrape_after_process_start');
  note(notes, 'birth_floor_across_hour', from / HOUR_MS !== (first.t - 1n) / HOUR_MS);
  return from;
}

/** Choice 13, M: the earliest first successful scrape of the targets that reported the sample. */
function beginOfMetering(first: Value, facts: Facts): bigint | undefined {
  const firsts = [...first.reporters].flatMap((target) => facts.scrapes.get(target)?.slice(0, 1) ?? []);
  return firsts.length === 0 ? undefined : -largest(firsts.map((t) => -t));
}

/** Choice 14, t_q: the latest scrape without the series, at most the lateness away. */
function lastScrapeWithout(series: Series, first: Value, given: Given): bigint | undefined {
  const { facts, settings, notes } = given;
  const scrapes = [...first.reporters].flatMap((target) => facts.scrapes.get(target) ?? []);
  const before = scrapes.filter((t) => t < series.firstSighting);
  if (before.length === 0) return undefined;
  const away = first.t - largest(before);
  note(notes, 'birth_absence_exactly_the_lateness', away === BigInt(settings.latenessMs));
  note(notes, 'birth_absence_one_ms_inside', away === BigInt(settings.latenessMs) - 1n);
  note(notes, 'birth_absence_one_ms_too_far', away === BigInt(settings.latenessMs) + 1n);
  return away <= BigInt(settings.latenessMs) ? largest(before) : undefined;
}

/** Section 6: the smallest start of the same cgroup, if it lies before t. */
function containerStart(series: Series, first: Value, facts: Facts): bigint | undefined {
  const start = series.labels.has('id') ? facts.containerStarts.get(containerKey(series)) : undefined;
  return start !== undefined && start > 0n && start < first.t ? start : undefined;
}
