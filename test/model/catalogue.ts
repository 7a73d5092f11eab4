/**
 * METERING.md 3: which rows count for which meter, and what identifies their series.
 */
import type { Labels, Point } from './reading.ts';
import type { ModelSettings } from './record.ts';

export type Bound = 'cores' | 'link' | 'none';

export interface Meter {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly metrics: readonly string[];
  readonly counts: (labels: Labels, settings: ModelSettings) => boolean;
  /** The labels of the series beside its cluster: these, or all but these. */
  readonly identity: { readonly only: readonly string[] } | { readonly allBut: readonly string[] };
  readonly namespaceLabel: string;
  /** Section 4: a value is round(value x scale). */
  readonly scale: bigint;
  /** Section 4: a gauge's integral is value x ms x perMs. */
  readonly perMs: bigint;
  /** Section 6.6. */
  readonly bound: Bound;
  /** Section 6: where the counter lives, and so what may tell its start. */
  readonly memory: 'kernel' | 'exporter' | 'none';
}

const is = (labels: Labels, name: string): boolean => labels.has(name);
const get = (labels: Labels, name: string): string => labels.get(name) ?? '';

const GAUGE = { kind: 'gauge', scale: 1n, perMs: 1n, bound: 'none', memory: 'none' } as const;
const IN_NAMESPACE = { namespaceLabel: 'namespace' } as const;
const POD_CGROUP = { only: ['node', 'namespace', 'pod', 'id'] };
const REPORTER = ['cluster', 'node', 'beyla_ip', 'instance', 'job'];
const DEFAULT_ROUTES = ['', '0.0.0.0/0', '::/0'];
const FLOWS = ['beyla_network_flow_bytes_total', 'obi_network_flow_bytes_total'];

/** Section 3 and choice 10: `/metrics/resource` repeats the names without an id. */
function isPodCgroup(labels: Labels): boolean {
  const whole =
    !is(labels, 'container') && !is(labels, 'image') && ['', 'total'].includes(get(labels, 'cpu'));
  return is(labels, 'namespace') && is(labels, 'pod') && is(labels, 'id') && whole;
}

function isPodNetwork(labels: Labels, settings: ModelSettings): boolean {
  const ofPod = is(labels, 'namespace') && is(labels, 'pod');
  return ofPod && get(labels, 'interface') === settings.networkInterface;
}

/** One reporter per flow: the one on the source's node, where both nodes are told. */
function isFlowOfPod(labels: Labels): boolean {
  const bothNodes = is(labels, 'k8s_src_node_name') && is(labels, 'node');
  const onSource = !bothNodes || get(labels, 'k8s_src_node_name') === get(labels, 'node');
  return is(labels, 'k8s_src_namespace') && get(labels, 'k8s_src_type') === 'Pod' && onSource;
}

function leavesCluster(labels: Labels): boolean {
  const named = is(labels, 'k8s_dst_namespace') || is(labels, 'k8s_dst_type');
  return !named && DEFAULT_ROUTES.includes(get(labels, 'dst_cidr'));
}

function network(name: string, metric: string): Meter {
  return {
    name,
    kind: 'counter',
    metrics: [metric],
    counts: isPodNetwork,
    ...IN_NAMESPACE,
    identity: { only: ['node', 'namespace', 'pod', 'id', 'interface'] },
    scale: 1n,
    perMs: 0n,
    bound: 'link',
    memory: 'kernel',
  };
}

function flow(name: string, counts: (labels: Labels) => boolean): Meter {
  return {
    name,
    kind: 'counter',
    metrics: FLOWS,
    counts,
    identity: { allBut: REPORTER },
    namespaceLabel: 'k8s_src_namespace',
    scale: 1n,
    perMs: 0n,
    bound: 'link',
    memory: 'exporter',
  };
}

function request(name: string, resource: string, scale: bigint, perMs: bigint): Meter {
  return {
    ...GAUGE,
    ...IN_NAMESPACE,
    name,
    metrics: ['kube_pod_container_resource_requests'],
    scale,
    perMs,
    counts: (labels) => get(labels, 'resource') === resource,
    identity: { only: ['namespace', 'pod', 'uid', 'container'] },
  };
}

function claim(name: string, metric: string): Meter {
  const identity = { only: ['namespace', 'persistentvolumeclaim'] };
  return { ...GAUGE, name, metrics: [metric], counts: () => true, identity, ...IN_NAMESPACE };
}

export const METERS: readonly Meter[] = [
  {
    name: 'cpu',
    kind: 'counter',
    metrics: ['container_cpu_usage_seconds_total'],
    counts: isPodCgroup,
    identity: POD_CGROUP,
    ...IN_NAMESPACE,
    scale: 1_000_000_000n,
    perMs: 0n,
    bound: 'cores',
    memory: 'kernel',
  },
  {
    ...GAUGE,
    name: 'memory',
    metrics: ['container_memory_working_set_bytes'],
    counts: isPodCgroup,
    identity: POD_CGROUP,
    ...IN_NAMESPACE,
  },
  network('network_transmit', 'container_network_transmit_bytes_total'),
  network('network_receive', 'container_network_receive_bytes_total'),
  flow('egress', (labels) => isFlowOfPod(labels) && leavesCluster(labels)),
  flow('egress_internal', (labels) => isFlowOfPod(labels) && !leavesCluster(labels)),
  claim('storage', 'kube_persistentvolumeclaim_resource_requests_storage_bytes'),
  claim('storage_used', 'kubelet_volume_stats_used_bytes'),
  request('cpu_request', 'cpu', 1000n, 1000n),
  request('memory_request', 'memory', 1n, 1n),
  {
    name: 'http_requests',
    kind: 'counter',
    metrics: ['http_server_request_duration_seconds_count'],
    counts: (labels) => is(labels, 'k8s_namespace_name'),
    identity: { allBut: REPORTER },
    namespaceLabel: 'k8s_namespace_name',
    scale: 1n,
    perMs: 0n,
    bound: 'none',
    memory: 'exporter',
  },
];

export function meterOf(point: Point, settings: ModelSettings): Meter | undefined {
  return METERS.find((meter) => meter.metrics.includes(point.name) && meter.counts(point.labels, settings));
}

/** Section 2 and choice 9: cluster, meter, metric name, delta or not, identity labels. */
export function seriesKey(meter: Meter, point: Point): string {
  const rule = meter.identity;
  const belongs = (name: string): boolean =>
    'only' in rule ? rule.only.includes(name) : !rule.allBut.includes(name);
  const identity = [...point.labels].filter(([name]) => belongs(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([point.cluster, meter.name, point.name, isDelta(meter, point), identity]);
}

/** Choice 6: for gauges the temporality is ignored. */
export function isDelta(meter: Meter, point: Point): boolean {
  return meter.kind === 'counter' && point.delta;
}
