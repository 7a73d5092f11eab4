/**
 * METERING.md 3, 6 and 11: what rows that are no usage themselves say about the rows that are.
 */
import { roundHalfEven } from './exact.ts';
import { ascending, grouped, key, largest } from './grouping.ts';
import { saidOf, type Said } from './said.ts';
import type { Point } from './reading.ts';

export interface Sighting {
  readonly t: bigint;
  /** '' where the namespace was seen without the label. */
  readonly tenant: string;
}

export interface Facts {
  /** Times of the successful scrapes of a target, ascending. */
  readonly scrapes: ReadonlyMap<string, readonly bigint[]>;
  /** What `process_start_time_seconds` of a target said when, ascending by when. */
  readonly processStarts: ReadonlyMap<string, readonly { readonly t: bigint; readonly start: bigint }[]>;
  /** Smallest start of a (cluster, node, id). */
  readonly containerStarts: ReadonlyMap<string, bigint>;
  /** (cluster, uid) and (cluster, namespace, pod) of the pods in the host's network. */
  readonly hostNetwork: ReadonlySet<string>;
  /** (cluster, uid, t) at which a pod was Succeeded, Failed or Unknown. */
  readonly finished: ReadonlySet<string>;
  /** Sightings of a (cluster, namespace). */
  readonly sightings: ReadonlyMap<string, readonly Sighting[]>;
  /** What was said of a (cluster, kind, namespace, name): its controller, or its class. */
  readonly said: ReadonlyMap<string, readonly Said[]>;
}

export function factsOf(points: readonly Point[], tenantLabel: string): Facts {
  const accepted = points.filter(({ reading }) => reading.kind === 'value');
  const named = (name: string): readonly Point[] => accepted.filter((point) => point.name === name);
  return {
    scrapes: successfulScrapes(named('up')),
    processStarts: processStarts(named('process_start_time_seconds')),
    containerStarts: containerStarts(named('container_start_time_seconds')),
    hostNetwork: hostNetwork(named('kube_pod_info')),
    finished: finishedPods(named('kube_pod_status_phase')),
    sightings: tenantSightings(named('kube_namespace_labels'), tenantLabel),
    said: saidOf(accepted),
  };
}

/** Section 6: the value of `up` is exactly 1. */
function successfulScrapes(rows: readonly Point[]): Map<string, bigint[]> {
  const times = grouped(rows.filter(isOne), (row) => row.target);
  return mapValues(times, (same) => [...new Set(same.map((row) => row.t))].sort(ascending));
}

/** Section 6, choices 8 and 18: seconds are rounded to ms; at equal t the larger. */
function processStarts(rows: readonly Point[]): Map<string, { t: bigint; start: bigint }[]> {
  const positive = rows
    .filter(isPositive)
    .map((row) => ({ target: row.target, t: row.t, start: seconds(row) }));
  const byTarget = grouped(positive, (row) => row.target);
  return mapValues(byTarget, (same) =>
    [...grouped(same, (row) => row.t)]
      .map(([t, shown]) => ({ t, start: largest(shown.map((row) => row.start)) }))
      .sort((a, b) => ascending(a.t, b.t)),
  );
}

/** Section 6: the smallest seen of the same (cluster, node, id), whatever its own t. */
function containerStarts(rows: readonly Point[]): Map<string, bigint> {
  const ofContainers = rows.filter((row) => isPositive(row) && row.labels.has('id'));
  const same = grouped(ofContainers, containerKey);
  return mapValues(same, (starts) => starts.map(seconds).sort(ascending)[0] ?? 0n);
}

export function containerKey({ cluster, labels }: Pick<Point, 'cluster' | 'labels'>): string {
  return key(cluster, labels.get('node') ?? '', labels.get('id') ?? '');
}

/** Section 3: known by uid and by name. */
function hostNetwork(rows: readonly Point[]): Set<string> {
  const pods = new Set<string>();
  for (const { cluster, labels } of rows.filter(({ labels }) => labels.get('host_network') === 'true')) {
    pods.add(key(cluster, labels.get('namespace') ?? '', labels.get('pod') ?? ''));
    pods.add(key(cluster, (labels.get('uid') ?? '').toLowerCase()));
  }
  return pods;
}

const FINISHED = ['Succeeded', 'Failed', 'Unknown'];

/** Section 3 and choice 8. */
function finishedPods(rows: readonly Point[]): Set<string> {
  const ended = rows.filter((row) => isOne(row) && FINISHED.includes(row.labels.get('phase') ?? ''));
  const known = ended.filter((row) => row.labels.has('uid'));
  return new Set(known.map((row) => key(row.cluster, row.labels.get('uid') ?? '', row.t)));
}

/** Section 11: the label as the cluster itself shows it. */
function tenantSightings(rows: readonly Point[], tenantLabel: string): Map<string, Sighting[]> {
  const namespaces = grouped(rows, (row) => key(row.cluster, row.labels.get('namespace') ?? ''));
  return mapValues(namespaces, (same) =>
    same.map(({ t, labels }) => ({ t, tenant: labels.get(tenantLabel) ?? '' })),
  );
}

function isOne({ reading }: Point): boolean {
  return reading.kind === 'value' && reading.fraction.numerator === 1n << reading.fraction.shift;
}

function isPositive({ reading }: Point): boolean {
  return reading.kind === 'value' && reading.fraction.numerator > 0n;
}

/** Section 4: seconds are rounded half to even to whole ms. */
function seconds({ reading }: Point): bigint {
  return reading.kind === 'value' ? roundHalfEven(reading.fraction, 1000n) : 0n;
}

function mapValues<K, V, W>(map: ReadonlyMap<K, V>, change: (value: V) => W): Map<K, W> {
  return new Map([...map].map(([name, value]) => [name, change(value)]));
}
