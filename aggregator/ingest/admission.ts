/**
 * What a source row means, from its metric name and labels alone: usage of a meter (or the total of a node
 * that usage is held against), a fact about other rows, or nothing. Decided once per distinct row; its points
 * then only carry times and values.
 */
import {
  DETAIL_FACTS,
  ENDED_PHASES,
  FACT_METRICS,
  MEASURED_METERS,
  type DetailFact,
  type FactMetric,
  type MeterDefinition,
} from '../../core/metering/catalogue.ts';
import {
  identityLabels,
  label,
  podKey,
  podUidOf,
  rowMatches,
  type Labels,
} from '../../core/metering/series.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';

export interface UsageRow {
  readonly kind: 'usage';
  readonly meter: MeterDefinition;
  readonly namespace: string;
  /** Identity labels, sorted. */
  readonly identity: readonly (readonly [string, string])[];
  /** How host network is judged, '' where the meter does not care. */
  readonly podKey: string;
  /** What a container start of this row is filed under, '' where the meter has no use for one. */
  readonly container: string;
}

/** What is said of an object in a namespace, `Kind/name`: its controller, or its class; '' for none. */
export interface DetailMeaning {
  readonly kind: 'detail';
  readonly namespace: string;
  readonly subject: string;
  readonly value: string;
}

export type RowMeaning =
  | UsageRow
  | { readonly kind: 'up' | 'process_start' }
  | { readonly kind: 'container_start'; readonly container: string }
  | { readonly kind: 'label'; readonly namespace: string; readonly tenant: string }
  | { readonly kind: 'host_network'; readonly podKeys: readonly string[] }
  | { readonly kind: 'pod_ended'; readonly podUid: string }
  | DetailMeaning
  | { readonly kind: 'none' };

const NONE: RowMeaning = { kind: 'none' };
const facts: ReadonlySet<string> = new Set(FACT_METRICS);
const metersByMetric = new Map<string, MeterDefinition[]>();
for (const meter of MEASURED_METERS) {
  for (const metric of meter.metrics) {
    metersByMetric.set(metric, [...(metersByMetric.get(metric) ?? []), meter]);
  }
}

/** False: no row of this metric means anything here. */
export function isKnownMetric(metric: string): boolean {
  return metersByMetric.has(metric) || facts.has(metric);
}

export function meaningOf(metric: string, labels: Labels, settings: MeteringSettings): RowMeaning {
  for (const meter of metersByMetric.get(metric) ?? []) {
    if (rowMatches(meter.rows, labels, settings)) return usageRow(meter, labels);
  }
  return facts.has(metric) ? factOf(metric as FactMetric, labels, settings) : NONE;
}

function usageRow(meter: MeterDefinition, labels: Labels): UsageRow {
  const namespace = label(labels, meter.namespaceLabel);
  return {
    kind: 'usage',
    meter,
    namespace,
    identity: identityLabels(meter, labels),
    podKey: meter.excludesHostNetwork
      ? podKey(podUidOf(label(labels, 'id')), namespace, label(labels, 'pod'))
      : '',
    container: meter.birth === 'container' ? containerOf(labels) : '',
  };
}

function factOf(metric: FactMetric, labels: Labels, settings: MeteringSettings): RowMeaning {
  switch (metric) {
    case 'up':
      return { kind: 'up' };
    case 'process_start_time_seconds':
      return { kind: 'process_start' };
    case 'container_start_time_seconds':
      return label(labels, 'id') === '' ? NONE : { kind: 'container_start', container: containerOf(labels) };
    case 'kube_namespace_labels':
      return {
        kind: 'label',
        namespace: label(labels, 'namespace'),
        tenant: label(labels, settings.tenantLabel),
      };
    case 'kube_pod_info':
      return label(labels, 'host_network') === 'true'
        ? { kind: 'host_network', podKeys: podKeysOf(labels) }
        : NONE;
    case 'kube_pod_status_phase':
      return ENDED_PHASES.includes(label(labels, 'phase')) && label(labels, 'uid') !== ''
        ? { kind: 'pod_ended', podUid: label(labels, 'uid') }
        : NONE;
    case 'kube_pod_owner':
    case 'kube_replicaset_owner':
    case 'kube_job_owner':
    case 'kube_persistentvolumeclaim_info':
      return detailOf(DETAIL_FACTS[metric], labels);
  }
}

/** Names of Kubernetes hold no slash, by which kinds and names are told apart. */
function detailOf({ kind, name, says }: DetailFact, labels: Labels): RowMeaning {
  const [namespace, own] = [label(labels, 'namespace'), label(labels, name)];
  if (namespace === '' || own === '' || namespace.includes('/') || own.includes('/')) return NONE;
  const value = says === 'controller' ? controllerOf(labels) : said(labels, says.label);
  return { kind: 'detail', namespace, subject: `${kind}/${own}`, value };
}

/** An owner that is no controller does not run the pod. */
function controllerOf(labels: Labels): string {
  const [kind, name] = [said(labels, 'owner_kind'), said(labels, 'owner_name')];
  const isController = label(labels, 'owner_is_controller') === 'true';
  return isController && kind !== '' && name !== '' ? `${kind}/${name}` : '';
}

/** Older kube-state-metrics write `<none>` where there is nothing. */
function said(labels: Labels, name: string): string {
  const value = label(labels, name);
  return value === '<none>' ? '' : value;
}

/** A container is known by (node, id) within its cluster. */
function containerOf(labels: Labels): string {
  return JSON.stringify([label(labels, 'node'), label(labels, 'id')]);
}

function podKeysOf(labels: Labels): string[] {
  const byName = podKey('', label(labels, 'namespace'), label(labels, 'pod'));
  const uid = label(labels, 'uid');
  return uid === '' ? [byName] : [podKey(uid, '', ''), byName];
}
