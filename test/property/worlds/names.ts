/**
 * Names that keep worlds apart. Worlds share clusters, so that one unit of roll-up serves many of them, but
 * no namespace, node, target or pod; or they have clusters of their own, so that no world's records make
 * another's hours be rolled up again.
 */
import type { ModelRecord, OtlpAttribute, OtlpMetric, OtlpPoints } from '../../model/record.ts';
import { UIDS } from './scene.ts';

export function prefixOf(seed: number): string {
  return `w${String(seed)}-`;
}

const NAMES: ReadonlySet<string> = new Set([
  ...['namespace', 'k8s_src_namespace', 'k8s_namespace_name'],
  ...['node', 'k8s_src_node_name', 'service.instance.id'],
]);
const CLUSTERS: ReadonlySet<string> = new Set(['cluster', 'k8s.cluster.name']);

/** The records with the names of this world. */
export function ofWorld(seed: number, records: readonly ModelRecord[]): ModelRecord[] {
  const own = seed.toString(16).padStart(8, '0');
  const uids = UIDS.flatMap((uid) => [uid, uid.replaceAll('-', '_')]);
  const withOwnUid = (text: string): string =>
    uids.reduce((named, uid) => named.replace(uid, `${own}${uid.slice(8)}`), text);
  return renamed(records, (key, value) =>
    NAMES.has(key) && value !== '' ? `${prefixOf(seed)}${value}` : withOwnUid(value),
  );
}

/** The same records from clusters that no other world has. */
export function inOwnClusters(seed: number, records: readonly ModelRecord[]): ModelRecord[] {
  return renamed(records, (key, value) => (CLUSTERS.has(key) ? `${prefixOf(seed)}${value}` : value));
}

type Rename = (key: string, value: string) => string;

function renamed(records: readonly ModelRecord[], rename: Rename): ModelRecord[] {
  const attributes = (all: readonly OtlpAttribute[]): OtlpAttribute[] =>
    all.map(({ key, value }) =>
      value.stringValue === undefined
        ? { key, value }
        : { key, value: { stringValue: rename(key, value.stringValue) } },
    );
  const points = (data: OtlpPoints): OtlpPoints => ({
    ...data,
    dataPoints: data.dataPoints.map((point) => ({
      ...point,
      attributes: attributes(point.attributes ?? []),
    })),
  });
  const metric = (each: OtlpMetric): OtlpMetric => ({
    ...each,
    ...(each.gauge && { gauge: points(each.gauge) }),
    ...(each.sum && { sum: points(each.sum) }),
    ...(each.histogram && { histogram: points(each.histogram) }),
    ...(each.summary && { summary: points(each.summary) }),
  });
  return records.map((record) => ({
    ...record,
    metricsData: record.metricsData && {
      resourceMetrics: record.metricsData.resourceMetrics.map(({ resource, scopeMetrics }) => ({
        resource: { attributes: attributes(resource.attributes) },
        scopeMetrics: scopeMetrics.map((scope) => ({ ...scope, metrics: scope.metrics.map(metric) })),
      })),
    },
  }));
}
