/**
 * The meter catalogue: what is metered, from which rows, as which series. Declarative: a meter is one entry
 * here, and admission, roll-up, API and the collectors' allow-lists follow from it.
 *
 * A label that is absent and one that is empty are the same. `cluster` is part of every identity and is not
 * listed. The kind comes from this catalogue by metric name, never from the wire type.
 */
export type MeterKind = 'counter' | 'gauge';

/** Base units: what the integers count. */
export type BaseUnit = 'core-ns' | 'byte-ms' | 'byte' | 'count';

/** How a source value becomes an integer: value x scale, rounded half to even. */
export type SourceUnit = 'seconds' | 'cores' | 'bytes' | 'count';

/** One condition on a row's labels. All conditions of a meter must hold. */
export type RowCondition =
  | { readonly label: string; readonly is: 'set' | 'empty' }
  | { readonly label: string; readonly oneOf: readonly string[] }
  /** Equal to the metering setting of that name. */
  | { readonly label: string; readonly setting: 'networkInterface' }
  /** Equal to another label, where both are set. */
  | { readonly label: string; readonly sameAs: string }
  | { readonly not: readonly RowCondition[] };

export interface MeterDefinition {
  readonly name: string;
  readonly description: string;
  readonly kind: MeterKind;
  readonly metrics: readonly string[];
  readonly rows: readonly RowCondition[];
  /** The label that names the namespace a row belongs to. */
  readonly namespaceLabel: string;
  /** The labels that make a series, or all but some. */
  readonly identity: { readonly labels: readonly string[] } | { readonly allBut: readonly string[] };
  readonly source: SourceUnit;
  readonly unit: BaseUnit;
  /** The unit people read, and how many base units make one of it. */
  readonly presented: { readonly unit: string; readonly baseUnits: bigint };
  /** Base units per (source integer x ms) of a gauge; 1 where the base unit is source x ms. */
  readonly unitsPerValueMs: bigint;
  /** Where a counter of unknown start may find one: its container, or the process that keeps it in memory. */
  readonly birth: 'container' | 'process' | 'none';
  /** The bound on growth that a sample must keep to be believed. */
  readonly plausibility: 'cores' | 'link' | 'none';
  /** Rows of host-network pods do not count. */
  readonly excludesHostNetwork: boolean;
  /** A row whose pod has ended at the same t acts as a staleness marker. */
  readonly endsWithPod: boolean;
  /** A total that usage is held against: measured by the same rules, but nobody's, and never billed. */
  readonly isReference: boolean;
  readonly breakdown: MeterBreakdown;
  /**
   * How labels begin that name the other side, which may be another tenant's: the receiver of what was sent,
   * or who asks. Whose it is is told by the destination of the breakdown; where there is none, nobody knows.
   */
  readonly otherSide: readonly string[];
}

/** What rows say of their usage that is finer than the ledger's key (METERING 12), by label. */
export interface MeterBreakdown {
  /** The pod, whose owners are the workload. */
  readonly pod?: string;
  /** The workload itself, where a row has both; it goes before the pod. */
  readonly workload?: { readonly kind: string; readonly name: string };
  /** Where bytes went: the parts of its name inside the cluster, or else the first that is set. */
  readonly destination?: { readonly inside: readonly string[]; readonly outside: readonly string[] };
  /** The claim, whose class is the storage class. */
  readonly claim?: string;
}

const GIB = 1n << 30n;
const HOUR_MS = 3_600_000n;
const CORE_HOUR = { unit: 'core-hour', baseUnits: 3_600n * 1_000_000_000n } as const;
const GIB_HOUR = { unit: 'GiB-hour', baseUnits: GIB * HOUR_MS } as const;
const GIB_TOTAL = { unit: 'GiB', baseUnits: GIB } as const;

/** The labels of whoever reports an application or flow metric; they are no part of what is measured. */
const REPORTER = ['node', 'beyla_ip', 'instance', 'job'] as const;

const podCgroupRows: readonly RowCondition[] = [
  { label: 'namespace', is: 'set' },
  { label: 'pod', is: 'set' },
  { label: 'id', is: 'set' },
  { label: 'container', is: 'empty' },
  { label: 'image', is: 'empty' },
  { label: 'cpu', oneOf: ['', 'total'] },
];

/**
 * The root cgroup of a node. Without `node` the rows of all nodes would be one series, so such a row is no
 * reference: better none than a wrong one.
 */
const nodeCgroupRows: readonly RowCondition[] = [
  { label: 'id', oneOf: ['/'] },
  { label: 'node', is: 'set' },
  { label: 'namespace', is: 'empty' },
  { label: 'pod', is: 'empty' },
  { label: 'container', is: 'empty' },
  { label: 'image', is: 'empty' },
  { label: 'cpu', oneOf: ['', 'total'] },
];

const podNetworkRows: readonly RowCondition[] = [
  { label: 'namespace', is: 'set' },
  { label: 'pod', is: 'set' },
  { label: 'interface', setting: 'networkInterface' },
];

const podFlows: readonly RowCondition[] = [
  { label: 'k8s_src_namespace', is: 'set' },
  { label: 'k8s_src_type', oneOf: ['Pod'] },
  { label: 'k8s_src_node_name', sameAs: 'node' },
];

const leavesTheCluster: readonly RowCondition[] = [
  { label: 'k8s_dst_namespace', is: 'empty' },
  { label: 'k8s_dst_type', is: 'empty' },
  { label: 'dst_cidr', oneOf: ['', '0.0.0.0/0', '::/0'] },
];

const counter = {
  kind: 'counter',
  namespaceLabel: 'namespace',
  unitsPerValueMs: 1n,
  birth: 'none',
  plausibility: 'none',
  excludesHostNetwork: false,
  endsWithPod: false,
  isReference: false,
  breakdown: {},
  otherSide: [],
} as const;

const gauge = { ...counter, kind: 'gauge', unit: 'byte-ms', source: 'bytes', presented: GIB_HOUR } as const;

const cpuTime = {
  ...counter,
  metrics: ['container_cpu_usage_seconds_total'],
  source: 'seconds',
  unit: 'core-ns',
  presented: CORE_HOUR,
  birth: 'container',
  plausibility: 'cores',
} as const;

const ofPod = { breakdown: { pod: 'pod' } } as const;
const ofClaim = { breakdown: { claim: 'persistentvolumeclaim' } } as const;

const workingSet = { ...gauge, metrics: ['container_memory_working_set_bytes'] } as const;

const podNetwork = {
  ...counter,
  ...ofPod,
  rows: podNetworkRows,
  identity: { labels: ['node', 'namespace', 'pod', 'id', 'interface'] },
  source: 'bytes',
  unit: 'byte',
  presented: GIB_TOTAL,
  birth: 'container',
  plausibility: 'link',
  excludesHostNetwork: true,
} as const;

const flow = {
  ...counter,
  metrics: ['beyla_network_flow_bytes_total', 'obi_network_flow_bytes_total'],
  namespaceLabel: 'k8s_src_namespace',
  identity: { allBut: REPORTER },
  source: 'bytes',
  unit: 'byte',
  presented: GIB_TOTAL,
  birth: 'process',
  plausibility: 'link',
  otherSide: ['k8s_dst_', 'dst_'],
  breakdown: {
    pod: 'k8s_src_name',
    workload: { kind: 'k8s_src_owner_type', name: 'k8s_src_owner_name' },
    destination: {
      inside: ['k8s_dst_type', 'k8s_dst_namespace', 'k8s_dst_name'],
      outside: ['dst_address', 'dst_cidr'],
    },
  },
} as const;

const request = {
  ...gauge,
  ...ofPod,
  metrics: ['kube_pod_container_resource_requests'],
  identity: { labels: ['namespace', 'pod', 'uid', 'container'] },
  endsWithPod: true,
} as const;

/** What is billed. Whoever shows, sums or limits usage goes by these. */
export const METERS: readonly MeterDefinition[] = [
  {
    ...cpuTime,
    ...ofPod,
    name: 'cpu',
    description: 'CPU time of pods, from pod cgroups',
    rows: podCgroupRows,
    identity: { labels: ['node', 'namespace', 'pod', 'id'] },
  },
  {
    ...workingSet,
    ...ofPod,
    name: 'memory',
    description: 'Working set of pods held over time, from pod cgroups',
    rows: podCgroupRows,
    identity: { labels: ['node', 'namespace', 'pod', 'id'] },
  },
  {
    ...podNetwork,
    name: 'network_transmit',
    description: 'Bytes sent by pods on their own interface, wherever they go',
    metrics: ['container_network_transmit_bytes_total'],
  },
  {
    ...podNetwork,
    name: 'network_receive',
    description: 'Bytes received by pods on their own interface',
    metrics: ['container_network_receive_bytes_total'],
  },
  {
    ...flow,
    name: 'egress',
    description: 'Bytes sent by pods to destinations outside the cluster',
    rows: [...podFlows, ...leavesTheCluster],
  },
  {
    ...flow,
    name: 'egress_internal',
    description: 'Bytes sent by pods to destinations inside the cluster or a known network',
    rows: [...podFlows, { not: leavesTheCluster }],
  },
  {
    ...gauge,
    ...ofClaim,
    name: 'storage',
    description: 'Provisioned size of volume claims held over time, mounted or not',
    metrics: ['kube_persistentvolumeclaim_resource_requests_storage_bytes'],
    rows: [],
    identity: { labels: ['namespace', 'persistentvolumeclaim'] },
  },
  {
    ...gauge,
    ...ofClaim,
    name: 'storage_used',
    description: 'Used bytes of mounted volume claims held over time',
    metrics: ['kubelet_volume_stats_used_bytes'],
    rows: [],
    identity: { labels: ['namespace', 'persistentvolumeclaim'] },
  },
  {
    ...request,
    name: 'cpu_request',
    description: 'CPU requested by the containers of live pods, held over time',
    rows: [{ label: 'resource', oneOf: ['cpu'] }],
    source: 'cores',
    unit: 'core-ns',
    presented: CORE_HOUR,
    // millicores x ms x 1000 = core-ns
    unitsPerValueMs: 1_000n,
  },
  {
    ...request,
    name: 'memory_request',
    description: 'Memory requested by the containers of live pods, held over time',
    rows: [{ label: 'resource', oneOf: ['memory'] }],
  },
  {
    ...counter,
    name: 'http_requests',
    description: 'HTTP requests served by the pods of a namespace',
    metrics: ['http_server_request_duration_seconds_count'],
    rows: [{ label: 'k8s_namespace_name', is: 'set' }],
    namespaceLabel: 'k8s_namespace_name',
    identity: { allBut: REPORTER },
    source: 'count',
    unit: 'count',
    presented: { unit: 'request', baseUnits: 1n },
    birth: 'process',
    otherSide: ['client', 'peer', 'network_peer', 'k8s_src_', 'src_', 'k8s_dst_', 'dst_'],
    breakdown: { pod: 'k8s_pod_name', workload: { kind: 'k8s_kind', name: 'k8s_owner_name' } },
  },
];

/**
 * Totals of nodes. The network of a node is none of them: its root cgroup lists every interface of the host,
 * the pods' own once more and the uplink with what tunnels and other processes send, so no sum of them is
 * what the pods sent.
 */
export const REFERENCE_METERS: readonly MeterDefinition[] = [
  {
    ...cpuTime,
    name: 'node_cpu',
    description: 'CPU time of nodes, from their root cgroups',
    rows: nodeCgroupRows,
    identity: { labels: ['node', 'id'] },
    isReference: true,
  },
  {
    ...workingSet,
    name: 'node_memory',
    description: 'Working set of nodes held over time, from their root cgroups',
    rows: nodeCgroupRows,
    identity: { labels: ['node', 'id'] },
    isReference: true,
  },
];

/** All that samples are kept of. */
export const MEASURED_METERS: readonly MeterDefinition[] = [...METERS, ...REFERENCE_METERS];

const byName: ReadonlyMap<string, MeterDefinition> = new Map(
  MEASURED_METERS.map((meter) => [meter.name, meter]),
);

/** A meter as the store knows it, references too. */
export function meterNamed(name: string): MeterDefinition | undefined {
  return byName.get(name);
}

/** A meter that somebody may ask for: references are none. */
export function billableMeter(name: string): MeterDefinition | undefined {
  const meter = meterNamed(name);
  return meter?.isReference === true ? undefined : meter;
}

/** Rows that are not usage but say what usage rows mean. */
export type FactMetric =
  | 'up'
  | 'process_start_time_seconds'
  | 'container_start_time_seconds'
  | 'kube_namespace_labels'
  | 'kube_pod_info'
  | 'kube_pod_status_phase'
  | DetailMetric;

/** Rows that say what finer usage is of. */
export type DetailMetric =
  'kube_pod_owner' | 'kube_replicaset_owner' | 'kube_job_owner' | 'kube_persistentvolumeclaim_info';

/**
 * Of what kind of object in a namespace a row speaks, the label with its name, and what it says of it: its
 * controller, or what a label holds.
 */
export interface DetailFact {
  readonly kind: string;
  readonly name: string;
  readonly says: 'controller' | { readonly label: string };
}

export const DETAIL_FACTS: Readonly<Record<DetailMetric, DetailFact>> = {
  kube_pod_owner: { kind: 'Pod', name: 'pod', says: 'controller' },
  kube_replicaset_owner: { kind: 'ReplicaSet', name: 'replicaset', says: 'controller' },
  kube_job_owner: { kind: 'Job', name: 'job_name', says: 'controller' },
  kube_persistentvolumeclaim_info: {
    kind: 'PersistentVolumeClaim',
    name: 'persistentvolumeclaim',
    says: { label: 'storageclass' },
  },
};

export const FACT_METRICS: readonly FactMetric[] = [
  'up',
  'process_start_time_seconds',
  'container_start_time_seconds',
  'kube_namespace_labels',
  'kube_pod_info',
  'kube_pod_status_phase',
  'kube_pod_owner',
  'kube_replicaset_owner',
  'kube_job_owner',
  'kube_persistentvolumeclaim_info',
];

/** Phases in which a pod holds no requests any more. */
export const ENDED_PHASES: readonly string[] = ['Succeeded', 'Failed', 'Unknown'];
