/**
 * What makes a series: (cluster, meter, metric name, delta or not, identity labels without empty ones). Delta
 * and cumulative points of one name are different series, so neither is ever judged by the other's values.
 */
import type { MeterDefinition, RowCondition } from './catalogue.ts';
import type { MeteringSettings } from './settings.ts';

export type Labels = ReadonlyMap<string, string>;

export function label(labels: Labels, name: string): string {
  return labels.get(name) ?? '';
}

/** Does a row with these labels count for a meter with these conditions? */
export function rowMatches(
  conditions: readonly RowCondition[],
  labels: Labels,
  settings: Pick<MeteringSettings, 'networkInterface'>,
): boolean {
  return conditions.every((condition) => conditionHolds(condition, labels, settings));
}

function conditionHolds(
  condition: RowCondition,
  labels: Labels,
  settings: Pick<MeteringSettings, 'networkInterface'>,
): boolean {
  if ('not' in condition) return !rowMatches(condition.not, labels, settings);
  const value = label(labels, condition.label);
  if ('is' in condition) return (value === '') === (condition.is === 'empty');
  if ('oneOf' in condition) return condition.oneOf.includes(value);
  if ('setting' in condition) return value === settings[condition.setting];
  const other = label(labels, condition.sameAs);
  return value === '' || other === '' || value === other;
}

/**
 * The identity labels of a row, sorted by name, without `cluster` (it is named apart) and without empty ones.
 */
export function identityLabels(meter: MeterDefinition, labels: Labels): [string, string][] {
  const identity = meter.identity;
  const isIdentity = (name: string): boolean =>
    'labels' in identity ? identity.labels.includes(name) : !identity.allBut.includes(name);
  return [...labels]
    .filter(([name, value]) => value !== '' && name !== 'cluster' && isIdentity(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The text whose hash is the series id; equal texts are equal series. */
export function seriesIdentity(options: {
  readonly cluster: string;
  readonly meter: string;
  readonly metric: string;
  readonly delta: boolean;
  readonly labels: readonly (readonly [string, string])[];
}): string {
  const { cluster, meter, metric, delta, labels } = options;
  return JSON.stringify([cluster, meter, metric, delta, labels]);
}

const POD_UID = /pod([0-9a-f]{8})[-_]([0-9a-f]{4})[-_]([0-9a-f]{4})[-_]([0-9a-f]{4})[-_]([0-9a-f]{12})/;

/**
 * The pod uid in a cgroup path (systemd writes `_` for `-`), or '' where it carries none, as for static pods.
 */
export function podUidOf(id: string): string {
  const match = POD_UID.exec(id);
  return match === null ? '' : match.slice(1).join('-');
}

/** How host network is judged: by uid where the row carries one, else by namespace and pod. */
export function podKey(uid: string, namespace: string, pod: string): string {
  return uid === '' ? `pod:${namespace}/${pod}` : `uid:${uid}`;
}
