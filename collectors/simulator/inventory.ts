/** What stands in the cluster before anything happens: namespaces, workloads and claims, as declarations. */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

export const PLATFORM_NAMESPACE = 'kube-system';
/** Carries no tenant label, so nobody owns it. */
export const UNOWNED_NAMESPACE = 'sandbox';
/** Moves from the first tenant to the second, and back. */
export const MOVING_NAMESPACE = 'shared-lab';

export interface NamespaceSpec {
  readonly name: string;
  /** The tenant label; null where there is none. */
  readonly tenant: string | null;
}

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  /** What it requests, and of its pod's CPU and memory the part it uses, in percent. */
  readonly requestMillicores: number;
  readonly requestBytes: number;
  readonly sharePercent: number;
}

/** Where a pod's bytes go. Of the destinations only the two `internet` ones leave the cluster. */
export type Destination = 'internet' | 'internet-v6' | 'pod' | 'service' | 'vpn';

export interface WorkloadSpec {
  readonly namespace: string;
  readonly name: string;
  readonly kind: 'Deployment' | 'StatefulSet' | 'DaemonSet' | 'Job';
  readonly replicas: number;
  readonly containers: readonly ContainerSpec[];
  /** At a load of 100 percent. */
  readonly millicores: number;
  readonly memoryBytes: number;
  readonly hostNetwork: boolean;
  readonly destinations: readonly Destination[];
  /** Requests it answers in a minute at a load of 100 percent; 0 = it speaks no HTTP. */
  readonly requestsPerMinute: number;
  /** Claims mounted by every pod; `%` stands for the pod's ordinal. */
  readonly claims: readonly string[];
  /** Jobs only: a run lasts this long, and its pod is cleaned up this long after. */
  readonly runMs: number;
  readonly keepMs: number;
}

export interface ClaimSpec {
  readonly namespace: string;
  readonly name: string;
  readonly storageClass: string;
  readonly bytes: number;
}

export interface Inventory {
  readonly namespaces: readonly NamespaceSpec[];
  readonly workloads: readonly WorkloadSpec[];
  readonly claims: readonly ClaimSpec[];
}

export function inventory(tenants: readonly string[], nodes: number): Inventory {
  const parts = [
    ...tenants.map((tenant, index) => tenantInventory(tenant, index, nodes)),
    laboratory(tenants[0] ?? null),
    platform(nodes),
  ];
  return {
    namespaces: parts.flatMap(({ namespaces }) => namespaces),
    workloads: parts.flatMap(({ workloads }) => workloads),
    claims: parts.flatMap(({ claims }) => claims),
  };
}

function tenantInventory(tenant: string, index: number, nodes: number): Inventory {
  const production = `${tenant}-prod`;
  const development = `${tenant}-dev`;
  return {
    namespaces: [
      { name: production, tenant },
      { name: development, tenant },
    ],
    workloads: [
      {
        ...deployment(production, 'web', nodes + 1),
        containers: [container('web', 250, 256 * MIB, 85), container('proxy', 100, 64 * MIB, 10)],
        destinations: ['internet', 'internet-v6', 'pod'],
        requestsPerMinute: 900 + 170 * index,
        claims: ['shared-files'],
      },
      {
        ...deployment(production, 'api', nodes),
        millicores: 400,
        memoryBytes: 420 * MIB,
        destinations: ['service', 'internet'],
        requestsPerMinute: 480,
      },
      {
        ...deployment(production, 'db', 2),
        kind: 'StatefulSet',
        millicores: 600,
        memoryBytes: 900 * MIB,
        destinations: ['pod', 'vpn'],
        claims: ['data-db-%'],
      },
      {
        ...deployment(production, 'report', 1),
        kind: 'Job',
        claims: ['scratch'],
        runMs: 45_000,
        keepMs: 50_000,
      },
      { ...deployment(development, 'app', 2), millicores: 80, requestsPerMinute: 35 },
    ],
    claims: [
      claim(production, 'data-db-0', 20 * GIB),
      claim(production, 'data-db-1', 20 * GIB),
      claim(production, 'scratch', 5 * GIB),
      { ...claim(production, 'shared-files', 50 * GIB), storageClass: 'nfs' },
      claim(development, 'archive', 10 * GIB),
    ],
  };
}

function laboratory(tenant: string | null): Inventory {
  return {
    namespaces: [
      { name: MOVING_NAMESPACE, tenant },
      { name: UNOWNED_NAMESPACE, tenant: null },
    ],
    workloads: [
      { ...deployment(MOVING_NAMESPACE, 'notebook', 2), millicores: 300, claims: ['notes'] },
      { ...deployment(UNOWNED_NAMESPACE, 'try', 1), millicores: 40 },
    ],
    claims: [{ ...claim(MOVING_NAMESPACE, 'notes', 8 * GIB), storageClass: 'nfs' }],
  };
}

function platform(nodes: number): Inventory {
  const agent = { kind: 'DaemonSet', hostNetwork: true, destinations: [], millicores: 30 } as const;
  return {
    namespaces: [{ name: PLATFORM_NAMESPACE, tenant: null }],
    workloads: [
      { ...deployment(PLATFORM_NAMESPACE, 'node-exporter', nodes), ...agent },
      { ...deployment(PLATFORM_NAMESPACE, 'beyla', nodes), ...agent, millicores: 90 },
      { ...deployment(PLATFORM_NAMESPACE, 'coredns', 2), millicores: 60, destinations: ['vpn'] },
    ],
    claims: [],
  };
}

/** A small Deployment; what differs is written over it. */
function deployment(namespace: string, name: string, replicas: number): WorkloadSpec {
  return {
    namespace,
    name,
    kind: 'Deployment',
    replicas,
    containers: [container(name, 100, 128 * MIB, 95)],
    millicores: 200,
    memoryBytes: 180 * MIB,
    hostNetwork: false,
    destinations: ['internet'],
    requestsPerMinute: 0,
    claims: [],
    runMs: 0,
    keepMs: 0,
  };
}

function container(name: string, millicores: number, bytes: number, sharePercent: number): ContainerSpec {
  const image = `registry.example/${name}:1.4.0`;
  return { name, image, requestMillicores: millicores, requestBytes: bytes, sharePercent };
}

function claim(namespace: string, name: string, bytes: number): ClaimSpec {
  return { namespace, name, storageClass: 'local-path', bytes };
}
