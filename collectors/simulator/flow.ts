import { type Destination } from './inventory.ts';
import { type Node } from './node.ts';
import { type Labels } from './labels.ts';
import { type PodIdentity } from './pod-identity.ts';
import { type Random } from './random.ts';
import { Source } from './source.ts';

/** Bytes that a pod sends to one kind of destination. */
export interface Flow {
  readonly source: Source;
  readonly labels: Labels;
  readonly destination: Destination;
  /** Where the receiving pod runs: that node's Beyla sees the flow too, and must not be believed. */
  readonly receiver: Node | null;
}

const CIDR: Readonly<Record<Destination, string>> = {
  internet: '0.0.0.0/0',
  'internet-v6': '::/0',
  pod: '10.42.0.0/16',
  service: '10.43.0.0/16',
  vpn: '100.64.0.0/10',
};

export function leavesCluster(destination: Destination): boolean {
  return destination === 'internet' || destination === 'internet-v6';
}

/** One flow for each destination that the pod's workload declares. */
export function podFlows(
  pod: PodIdentity,
  bornMs: number,
  random: Random,
  neighbours: readonly PodIdentity[],
): Flow[] {
  return pod.spec.destinations.map((destination) => {
    const peer = destination === 'pod' ? (random.pick(neighbours) ?? pod) : null;
    const source = new Source({
      meter: leavesCluster(destination) ? 'egress' : 'egress_internal',
      namespace: pod.namespace,
      node: pod.node.name,
      bornMs,
      level: BigInt(random.int(40, 900)),
    });
    return { source, destination, labels: flowLabels(pod, destination, peer), receiver: peer?.node ?? null };
  });
}

function flowLabels(pod: PodIdentity, destination: Destination, peer: PodIdentity | null): Labels {
  return {
    direction: 'request',
    dst_cidr: CIDR[destination],
    ...destinationLabels(pod, destination, peer),
    k8s_src_name: pod.name,
    k8s_src_namespace: pod.namespace,
    k8s_src_node_name: pod.node.name,
    k8s_src_owner_name: pod.spec.name,
    k8s_src_owner_type: pod.spec.kind,
    k8s_src_type: 'Pod',
  };
}

function destinationLabels(pod: PodIdentity, destination: Destination, peer: PodIdentity | null): Labels {
  if (peer !== null) {
    return { k8s_dst_name: peer.name, k8s_dst_namespace: peer.namespace, k8s_dst_type: 'Pod' };
  }
  if (destination === 'service') {
    return { k8s_dst_name: 'db', k8s_dst_namespace: pod.namespace, k8s_dst_type: 'Service' };
  }
  return { k8s_dst_name: '', k8s_dst_namespace: '', k8s_dst_type: '' };
}
