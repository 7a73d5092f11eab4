/** Why a point or a record does not count. Counted, quarantined, never turned into 0. */
export type PointRejection =
  | 'bad_label'
  | 'no_time'
  | 'future'
  | 'too_old'
  | 'no_value'
  | 'nan'
  | 'infinite'
  | 'negative'
  | 'overflow'
  | 'delta_without_start'
  | 'wrong_cluster'
  | 'erased';

export type RecordRejection = 'undecodable';

/** Rejections by value: the series was there, so they are sightings of it. */
export const SIGHTING_REJECTIONS: readonly PointRejection[] = [
  'no_value',
  'nan',
  'infinite',
  'negative',
  'overflow',
];
