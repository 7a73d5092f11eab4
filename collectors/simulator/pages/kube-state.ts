import { renderLabels } from '../labels.ts';
import { type Pod } from '../pod.ts';
import { type World } from '../world.ts';
import { decimal, Exposition } from './exposition.ts';

const PHASES = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const;

/** The page of kube-state-metrics: what the API server knows, now, without times. */
export function kubeStatePage(world: World): string {
  const page = new Exposition();
  showNamespaces(page, world);
  showPods(page, [...world.pods()]);
  showReplicaSets(page, world);
  showClaims(page, world);
  return page.toString();
}

function showNamespaces(page: Exposition, { namespaces }: World): void {
  page.family('kube_namespace_labels', 'gauge', 'Kubernetes labels converted to Prometheus labels.');
  for (const [namespace, tenant] of namespaces) {
    const owner = tenant === null ? {} : { label_gh0stcloud_io_tenant: tenant };
    page.row(renderLabels({ namespace, label_kubernetes_io_metadata_name: namespace, ...owner }), 1);
  }
  page.family('kube_namespace_status_phase', 'gauge', 'kubernetes namespace status phase.');
  for (const namespace of namespaces.keys()) {
    page.row(renderLabels({ namespace, phase: 'Active' }), 1);
    page.row(renderLabels({ namespace, phase: 'Terminating' }), 0);
  }
}

function showPods(page: Exposition, pods: readonly Pod[]): void {
  const rows = pods.map((pod) => ({
    pod,
    labels: renderLabels({ namespace: pod.namespace, pod: pod.name, uid: pod.uid }),
  }));
  page.family('kube_pod_container_resource_requests', 'gauge', 'The number of requested request resource.');
  for (const { pod, labels } of rows) showRequests(page, pod, labels);
  page.family('kube_pod_container_status_restarts_total', 'counter', 'The number of container restarts.');
  for (const { pod, labels } of rows) {
    const [first] = pod.spec.containers;
    if (first !== undefined) page.row(`container="${first.name}",${labels}`, pod.restarts);
  }
  page.family('kube_pod_info', 'gauge', 'Information about pod.');
  for (const { pod, labels } of rows) page.row(`${labels},${podInfo(pod)}`, 1);
  page.family('kube_pod_owner', 'gauge', "Information about the Pod's owner.");
  for (const { pod, labels } of rows) {
    const { kind, name } = pod.owner;
    page.row(`${labels},owner_kind="${kind}",owner_name="${name}",owner_is_controller="true"`, 1);
  }
  page.family('kube_pod_start_time', 'gauge', 'Start time in unix timestamp for a pod.');
  for (const { pod, labels } of rows) page.row(labels, Math.floor(pod.createdMs / 1_000));
  page.family('kube_pod_status_phase', 'gauge', 'The pods current phase.');
  for (const { pod, labels } of rows) {
    for (const phase of PHASES) page.row(`${labels},phase="${phase}"`, pod.phase === phase ? 1 : 0);
  }
}

/** Still shown for a pod that has completed: what it requests is over all the same. */
function showRequests(page: Exposition, pod: Pod, labels: string): void {
  for (const { container } of pod.requests) {
    const shared = `${labels},container="${container.name}",node="${pod.node.name}"`;
    const cores = decimal(BigInt(container.requestMillicores), 3);
    page.row(`${shared},resource="cpu",unit="core"`, cores);
    page.row(`${shared},resource="memory",unit="byte"`, container.requestBytes);
  }
}

function podInfo(pod: Pod): string {
  const { kind, name } = pod.owner;
  return renderLabels({
    host_ip: pod.node.ip,
    pod_ip: pod.ip,
    node: pod.node.name,
    created_by_kind: kind,
    created_by_name: name,
    priority_class: '',
    host_network: String(pod.spec.hostNetwork),
  });
}

function showReplicaSets(page: Exposition, world: World): void {
  page.family('kube_replicaset_owner', 'gauge', "Information about the ReplicaSet's owner.");
  for (const { spec, pods } of world.workloads) {
    if (spec.kind !== 'Deployment') continue;
    for (const replicaset of new Set([...pods].map((pod) => pod.owner.name))) {
      const owner = { owner_kind: 'Deployment', owner_name: spec.name, owner_is_controller: 'true' };
      page.row(renderLabels({ namespace: spec.namespace, replicaset, ...owner }), 1);
    }
  }
}

function showClaims(page: Exposition, { claims }: World): void {
  const rows = claims.map((claim) => ({
    claim,
    labels: renderLabels({ namespace: claim.spec.namespace, persistentvolumeclaim: claim.spec.name }),
  }));
  page.family('kube_persistentvolumeclaim_info', 'gauge', 'Information about persistent volume claim.');
  for (const { claim, labels } of rows) {
    const { storageClass: storageclass } = claim.spec;
    const volume = { storageclass, volumename: claim.volume, volumemode: 'Filesystem' };
    page.row(`${labels},${renderLabels(volume)}`, 1);
  }
  page.family(
    'kube_persistentvolumeclaim_resource_requests_storage_bytes',
    'gauge',
    'The capacity of storage requested by the persistent volume claim.',
  );
  for (const { claim, labels } of rows) page.row(labels, claim.size.level);
  page.family('kube_persistentvolumeclaim_status_phase', 'gauge', 'The phase the claim is currently in.');
  for (const { labels } of rows) {
    for (const phase of ['Bound', 'Lost', 'Pending']) {
      page.row(`${labels},phase="${phase}"`, phase === 'Bound' ? 1 : 0);
    }
  }
}
