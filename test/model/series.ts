/**
 * METERING.md 2, 3 and 5, choices 9-12: points gathered into series, copies of one (series, t) into one
 * sample.
 */
import { isDelta, meterOf, seriesKey, type Meter } from './catalogue.ts';
import { roundHalfEven } from './exact.ts';
import type { Facts } from './facts.ts';
import { ascending, grouped, key, largest } from './grouping.ts';
import { note, type Notes } from './notes.ts';
import type { Labels, Point } from './reading.ts';
import type { ModelSettings } from './record.ts';

export interface Series {
  readonly meter: Meter;
  readonly cluster: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly delta: boolean;
  /** By t, one per t. */
  readonly samples: readonly Sample[];
  /** First t at which any target showed the series, with an accepted value or a rejected one. */
  readonly firstSighting: bigint;
}

export type Sample =
  | { readonly kind: 'marker'; readonly t: bigint }
  | {
      readonly kind: 'value';
      readonly t: bigint;
      readonly value: bigint;
      readonly start: bigint | undefined;
      readonly reporters: ReadonlySet<string>;
    };

export type Value = Extract<Sample, { kind: 'value' }>;

interface Judged {
  readonly t: bigint;
  readonly target: string;
  readonly start: bigint | undefined;
  /** What the point turned out to be: its integer, a marker, or nothing. */
  readonly outcome: bigint | 'marker' | 'rejected';
}

const LARGEST_VALUE = (1n << 63n) - 1n;

export function seriesOf(
  points: readonly Point[],
  facts: Facts,
  settings: ModelSettings,
  notes: Notes,
): readonly Series[] {
  const rows = points.flatMap((point) => {
    const meter = meterOf(point, settings);
    return meter === undefined || isHostNetwork(meter, point, facts, notes) ? [] : [{ meter, point }];
  });
  return [...grouped(rows, ({ meter, point }) => seriesKey(meter, point)).values()].flatMap((same) => {
    const [{ meter, point } = invalid()] = same;
    const judged = same.map((row) => judge(meter, row.point, facts, notes));
    return {
      ...{ meter, cluster: point.cluster, labels: point.labels, delta: isDelta(meter, point) },
      namespace: point.labels.get(meter.namespaceLabel) ?? '',
      samples: oneSamplePerTime(judged, notes),
      firstSighting: firstSighting(judged),
    };
  });
}

function invalid(): never {
  throw new Error('a group holds at least one row');
}

const UID_IN_ID = /pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})/i;

/** Section 3 and choice 11: by the uid where the id carries one, else by the pod's name. */
function isHostNetwork(meter: Meter, { cluster, labels }: Point, facts: Facts, notes: Notes): boolean {
  if (!meter.name.startsWith('network_')) return false;
  const uid = UID_IN_ID.exec(labels.get('id') ?? '')?.[1]
    ?.replaceAll('_', '-')
    .toLowerCase();
  const byName = key(cluster, labels.get('namespace') ?? '', labels.get('pod') ?? '');
  const hostNetwork = facts.hostNetwork.has(uid === undefined ? byName : key(cluster, uid));
  note(notes, uid === undefined ? 'host_network_by_pod' : 'host_network_by_uid', hostNetwork);
  return hostNetwork;
}

/** Section 4 and choices 4, 6, 22: what a point is worth, in the meter's integers. */
function judge(meter: Meter, point: Point, facts: Facts, notes: Notes): Judged {
  const { t, target, start, reading } = point;
  const rejected = (reason: Parameters<typeof note>[1]): Judged => {
    note(notes, reason);
    return { t, target, start, outcome: 'rejected' };
  };
  if (reading.kind === 'marker') return { t, target, start, outcome: 'marker' };
  if (reading.kind === 'rejected') return rejected(reading.reason);
  const value = roundHalfEven(reading.fraction, meter.scale);
  if (value > LARGEST_VALUE) return rejected('overflow');
  if (isDelta(meter, point) && (start === undefined || start >= t)) return rejected('delta_without_start');
  if (isOfFinishedPod(meter, point, facts)) {
    note(notes, 'hold_ended_by_phase');
    return { t, target, start, outcome: 'marker' };
  }
  return { t, target, start, outcome: value };
}

/** Section 3 and choice 22: a request of a pod that is over acts as a marker. */
function isOfFinishedPod(meter: Meter, { cluster, labels, t }: Point, facts: Facts): boolean {
  return meter.name.endsWith('_request') && facts.finished.has(key(cluster, labels.get('uid') ?? '', t));
}

/** Section 5 and choice 12: a value beats a marker, then the larger value, then the later start. */
function oneSamplePerTime(judged: readonly Judged[], notes: Notes): Sample[] {
  const accepted = judged.filter(({ outcome }) => outcome !== 'rejected');
  const byTime = [...grouped(accepted, ({ t }) => t)].sort(([a], [b]) => ascending(a, b));
  return byTime.map(([t, copies]): Sample => {
    const values = copies.flatMap(({ outcome, ...rest }) =>
      typeof outcome === 'bigint' ? [{ ...rest, value: outcome }] : [],
    );
    noteCopies(copies, values, notes);
    if (values.length === 0) return { kind: 'marker', t };
    const value = largest(values.map((copy) => copy.value));
    const starts = values.filter((copy) => copy.value === value).map((copy) => copy.start ?? 0n);
    const reporters = new Set(values.map(({ target }) => target));
    return { kind: 'value', t, value, start: largest(starts) || undefined, reporters };
  });
}

function noteCopies(
  copies: readonly Judged[],
  values: readonly { value: bigint; start: bigint | undefined; target: string }[],
  notes: Notes,
): void {
  const distinct = new Set(values.map(({ value }) => value)).size;
  const copyKinds = new Set(values.map(({ value, start }) => `${String(value)} ${String(start)}`)).size;
  note(notes, 'conflict', distinct > 1);
  note(notes, 'duplicate', copyKinds < values.length);
  note(notes, 'equal_value_other_start', copyKinds > distinct);
  note(notes, 'marker_beaten_by_value', values.length > 0 && values.length < copies.length);
  note(notes, 'several_reporters', new Set(values.map(({ target }) => target)).size > 1);
}

/** Choices 4 and 13: a rejected value is still a sighting; a marker is none. */
function firstSighting(judged: readonly Judged[]): bigint {
  const seen = judged.filter(({ outcome }) => outcome !== 'marker').map(({ t }) => t);
  return seen.sort(ascending)[0] ?? 0n;
}
