import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { modelUsage } from '../model/model.ts';
import type { Note } from '../model/notes.ts';
import { Random } from './worlds/random.ts';
import { buildWorld, smallerWorlds, summary, world } from './worlds.ts';

const SEEDS = Array.from({ length: 300 }, (_, seed) => seed);

/** In how many of the 300 worlds a feature must occur; all others in at least `ANY`. */
const ANY = 4;
const AT_LEAST: Partial<Record<Note | `meter_${string}`, number>> = {
  reset_by_value: 100,
  reset_by_start: 40,
  reset_by_process_start: 30,
  non_monotonic: 40,
  quarantined: 60,
  birth_by_absence: 80,
  birth_by_start: 40,
  birth_by_container_start: 20,
  birth_by_process_start: 15,
  birth_by_scrape_after_process_start: 10,
  birth_older_than_metering: 50,
  birth_after_rejected_sighting: 30,
  conflict: 80,
  several_reporters: 60,
  missing: 60,
  owner_change_inside: 40,
  host_network_by_uid: 10,
  meter_cpu: 80,
  meter_egress: 40,
  meter_http_requests: 60,
  meter_memory: 60,
};
const EVERY: readonly string[] = [
  ...['undecodable_record', 'bad_label', 'no_time', 'future', 'future_by_exactly_the_tolerance', 'too_old'],
  ...['old_by_exactly_the_retention', 'start_after_time', 'no_value', 'nan', 'infinite', 'negative'],
  ...['overflow', 'delta_without_start', 'duplicate', 'equal_value_other_start', 'marker_beaten_by_value'],
  ...['birth_never_scraped', 'birth_start_is_time', 'birth_start_is_beginning_of_metering'],
  ...['birth_process_older_than_metering', 'birth_absence_exactly_the_lateness', 'unknown_origin'],
  ...['birth_absence_one_ms_inside', 'birth_absence_one_ms_too_far', 'implausible_birth'],
  ...['birth_floor_across_hour', 'growth', 'no_growth', 'reset_start_is_predecessor', 'start_is_time'],
  ...['start_is_predecessor_without_start', 'smaller_under_unchanged_process', 'marker_in_counter', 'delta'],
  ...['delta_hole', 'growth_at_plausible_limit', 'held', 'hold_ended_by_marker', 'hold_ended_by_phase'],
  ...['hold_is_max_hold', 'split_over_hours', 'split_over_days', 'ends_on_hour', 'ends_on_owner_change'],
  ...['ends_on_hour_and_owner_change', 'starts_on_owner_change', 'label_conflict', 'platform'],
  ...['sighting_without_label', 'before_first_sighting', 'unattributed', 'host_network_by_pod'],
  ...['meter_network_transmit', 'meter_network_receive', 'meter_egress_internal', 'meter_storage'],
  ...['meter_storage_used', 'meter_cpu_request', 'meter_memory_request', 'failed_scrape'],
  ...['up_zero_and_one', 'record_without_up', 'late_by_an_hour', 'late_by_a_day', 'several_clusters'],
];

describe('300 worlds', () => {
  const worlds = SEEDS.map(buildWorld);
  const summaries = worlds.map(summary);
  const worldsWith = (feature: string): number => summaries.filter((each) => (each[feature] ?? 0) > 0).length;

  test.each([
    ...EVERY.map((name) => [name, ANY] as const),
    ...Object.entries(AT_LEAST).map(([name, count = ANY]) => [name, count] as const),
  ])('contain %s in at least %d of them', (feature, count) => {
    expect(worldsWith(feature)).toBeGreaterThanOrEqual(count);
  });

  test('are small, and nearly all of them have usage', () => {
    expect(worldsWith('rows')).toBeGreaterThan(290);
    expect(Math.max(...summaries.map(({ points }) => points ?? 0))).toBeLessThan(600);
  });

  test('give the same usage in any order and any repetition of their records', () => {
    for (const { seed, records, settings } of worlds) {
      const random = new Random(seed);
      const repeated = [...records, ...records.filter(() => random.chance(0.3))];
      const shuffled = repeated
        .map((record) => ({ record, place: random.next() }))
        .sort((a, b) => a.place - b.place)
        .map(({ record }) => record);
      expect(modelUsage(shuffled, settings), `seed ${String(seed)}`).toEqual(modelUsage(records, settings));
    }
  });

  test('are the same worlds whenever their seed is given', () => {
    expect(SEEDS.slice(0, 20).map(buildWorld)).toEqual(worlds.slice(0, 20));
  });
});

test('whoever owns it, the usage of an hour is the same to the digit', () => {
  fc.assert(
    fc.property(world(), ({ records, settings }) => {
      const usageOf = (platformNamespaces: readonly string[]): Map<string, bigint> => {
        const sums = new Map<string, bigint>();
        for (const row of modelUsage(records, { ...settings, platformNamespaces })) {
          const key = `${String(row.hour)} ${row.cluster} ${row.namespace} ${row.meter}`;
          sums.set(key, (sums.get(key) ?? 0n) + row.quantity + row.missingMs);
        }
        return sums;
      };
      expect(usageOf([])).toEqual(usageOf(['shop', 'blog', 'kube-system', 'ghost']));
    }),
    { numRuns: 60 },
  );
});

test('a failing world shrinks to the few records that make it fail', () => {
  const hasReset = (each: { records: Parameters<typeof modelUsage>[0] }): boolean =>
    summary({ ...start, ...each })['reset_by_process_start'] !== undefined;
  const start =
    SEEDS.map(buildWorld).find((each) => summary(each)['reset_by_process_start']) ?? buildWorld(0);
  let smallest = start;
  for (let next: typeof start | undefined = start; next !== undefined;) {
    smallest = next;
    next = [...smallerWorlds(smallest)].find(hasReset);
  }
  expect(hasReset(smallest)).toBe(true);
  expect(smallest.records.length).toBeLessThanOrEqual(3);
});
