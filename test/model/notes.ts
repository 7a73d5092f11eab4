/**
 * What happened on the way to a usage figure: evidence, never part of it. Tests count notes to prove that
 * a generated world really contains what it claims to contain.
 */
export type Note =
  // Reading (METERING.md 4, 9)
  | 'undecodable_record'
  | 'bad_label'
  | 'no_time'
  | 'future'
  | 'future_by_exactly_the_tolerance'
  | 'too_old'
  | 'old_by_exactly_the_retention'
  | 'start_after_time'
  | 'no_value'
  | 'nan'
  | 'infinite'
  | 'negative'
  | 'overflow'
  | 'delta_without_start'
  // Duplicates and conflicts (5)
  | 'duplicate'
  | 'conflict'
  | 'equal_value_other_start'
  | 'marker_beaten_by_value'
  | 'several_reporters'
  // Catalogue (3)
  | 'host_network_by_uid'
  | 'host_network_by_pod'
  // Births (6.3, 6.4)
  | 'birth_never_scraped'
  | 'birth_start_is_time'
  | 'birth_by_start'
  | 'birth_by_container_start'
  | 'birth_older_than_metering'
  | 'birth_start_is_beginning_of_metering'
  | 'birth_by_process_start'
  | 'birth_by_scrape_after_process_start'
  | 'birth_process_older_than_metering'
  | 'birth_by_absence'
  | 'birth_after_rejected_sighting'
  | 'birth_absence_exactly_the_lateness'
  | 'birth_absence_one_ms_inside'
  | 'birth_absence_one_ms_too_far'
  | 'unknown_origin'
  | 'implausible_birth'
  | 'birth_floor_across_hour'
  // Counters (6)
  | 'growth'
  | 'no_growth'
  | 'reset_by_value'
  | 'reset_by_start'
  | 'reset_start_is_predecessor'
  | 'start_is_predecessor_without_start'
  | 'start_is_time'
  | 'reset_by_process_start'
  | 'smaller_under_unchanged_process'
  | 'non_monotonic'
  | 'quarantined'
  | 'marker_in_counter'
  | 'delta'
  | 'delta_hole'
  | 'growth_at_plausible_limit'
  // Gauges (7)
  | 'held'
  | 'hold_ended_by_marker'
  | 'hold_ended_by_phase'
  | 'missing'
  | 'hold_is_max_hold'
  // Splitting and attribution (8, 11)
  | 'split_over_hours'
  | 'split_over_days'
  | 'ends_on_hour'
  | 'ends_on_owner_change'
  | 'ends_on_hour_and_owner_change'
  | 'starts_on_owner_change'
  | 'owner_change_inside'
  | 'label_conflict'
  | 'sighting_without_label'
  | 'before_first_sighting'
  | 'platform'
  | 'unattributed';

export type Notes = Map<Note, number>;

export function note(notes: Notes, what: Note, when = true): void {
  if (when) notes.set(what, (notes.get(what) ?? 0) + 1);
}
