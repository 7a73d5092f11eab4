/** Which series reach the log, and with which labels, by the rules as they are committed: row by row. */
import { describe, expect, test } from 'vitest';
import { clusterCollector, NODE, nodeCollector } from '../../support/alloy/committed.ts';
import { notation, series } from '../../support/alloy/series.ts';

const UID = '2f9c1a51_8a30_4d1e_9b1f_0c4d5e6f7a8b';
const SLICE = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID}.slice`;
const SANDBOX = `${SLICE}/cri-containerd-aa.scope`;
const CONTAINER = `${SLICE}/cri-containerd-bb.scope`;
const POD = 'namespace="acme-prod",pod="web-0"';
const PAUSE = 'image="registry.example/pause:3.10",name="aa"';
const IDENTITY = `id="${SLICE}",namespace="acme-prod",node="${NODE}",pod="web-0"`;
const OF_SANDBOX = `id="${SANDBOX}",interface="eth0",namespace="acme-prod",node="${NODE}",pod="web-0"`;

const CADVISOR: readonly (readonly [why: string, row: string, result: string])[] = [
  [
    'CPU of a pod cgroup: without the labels that its conditions want empty',
    `container_cpu_usage_seconds_total{container="",cpu="total",id="${SLICE}",image="",name="",${POD}}`,
    `container_cpu_usage_seconds_total{${IDENTITY}}`,
  ],
  [
    'CPU of a container: inside its pod, never on top of it',
    `container_cpu_usage_seconds_total{container="web",cpu="total",id="${CONTAINER}",image="i",name="bb",${POD}}`,
    'dropped',
  ],
  [
    'CPU of a sandbox',
    `container_cpu_usage_seconds_total{container="",cpu="total",id="${SANDBOX}",${PAUSE},${POD}}`,
    'dropped',
  ],
  [
    'CPU of one core of several',
    `container_cpu_usage_seconds_total{container="",cpu="cpu03",id="${SLICE}",image="",name="",${POD}}`,
    'dropped',
  ],
  [
    'CPU without an id, as /metrics/resource repeats it',
    `container_cpu_usage_seconds_total{${POD}}`,
    'dropped',
  ],
  [
    'memory of a pod cgroup',
    `container_memory_working_set_bytes{container="",id="${SLICE}",image="",name="",${POD}}`,
    `container_memory_working_set_bytes{${IDENTITY}}`,
  ],
  [
    'CPU of the node: what pods are held against',
    'container_cpu_usage_seconds_total{container="",cpu="total",id="/",image="",name="",namespace="",pod=""}',
    `container_cpu_usage_seconds_total{id="/",node="${NODE}"}`,
  ],
  [
    'memory of the node',
    'container_memory_working_set_bytes{container="",id="/",image="",name="",namespace="",pod=""}',
    `container_memory_working_set_bytes{id="/",node="${NODE}"}`,
  ],
  [
    'a slice of the system: part of the node',
    'container_cpu_usage_seconds_total{container="",cpu="total",id="/system.slice",image="",name="",namespace="",pod=""}',
    'dropped',
  ],
  [
    'bytes of a pod: on its sandbox',
    `container_network_transmit_bytes_total{container="",id="${SANDBOX}",interface="eth0",${PAUSE},${POD}}`,
    `container_network_transmit_bytes_total{${OF_SANDBOX}}`,
  ],
  [
    'bytes of another interface of a pod',
    `container_network_receive_bytes_total{container="",id="${SANDBOX}",interface="net1",${PAUSE},${POD}}`,
    'dropped',
  ],
  [
    'bytes of the host',
    'container_network_receive_bytes_total{container="",id="/",image="",interface="eth0",name="",namespace="",pod=""}',
    'dropped',
  ],
  [
    'start of a pod cgroup: when its counters began',
    `container_start_time_seconds{container="",id="${SLICE}",image="",name="",${POD}}`,
    `container_start_time_seconds{${IDENTITY}}`,
  ],
  [
    'start of a sandbox: when the counters of its network began',
    `container_start_time_seconds{container="",id="${SANDBOX}",${PAUSE},${POD}}`,
    `container_start_time_seconds{id="${SANDBOX}",namespace="acme-prod",node="${NODE}",pod="web-0"}`,
  ],
  [
    'start of a container: nothing metered is its',
    `container_start_time_seconds{container="web",id="${CONTAINER}",image="i",name="bb",${POD}}`,
    'dropped',
  ],
  [
    'start of the node',
    'container_start_time_seconds{container="",id="/",image="",name="",namespace="",pod=""}',
    `container_start_time_seconds{id="/",node="${NODE}"}`,
  ],
  [
    'writable layer',
    `container_fs_usage_bytes{container="web",device="/dev/vda1",id="${CONTAINER}",${POD}}`,
    'dropped',
  ],
  ['whether the scrape succeeded', 'up', `up{node="${NODE}"}`],
  ['what else Alloy says of a scrape', 'scrape_samples_scraped', 'dropped'],
  [
    'a cluster that a target claims to be',
    `container_memory_working_set_bytes{cluster="other",id="${SLICE}",${POD}}`,
    `container_memory_working_set_bytes{${IDENTITY}}`,
  ],
];

const SENDER = 'k8s_src_name="web-0",k8s_src_namespace="acme-prod",k8s_src_type="Pod"';
const HERE = `k8s_src_node_name="${NODE}"`;
const BEYLA: typeof CADVISOR = [
  [
    'a flow to the internet, told by the node of its sender',
    `beyla_network_flow_bytes_total{beyla_ip="10.0.0.11",dst_cidr="0.0.0.0/0",${HERE},${SENDER}}`,
    `beyla_network_flow_bytes_total{dst_cidr="0.0.0.0/0",k8s_src_name="web-0",k8s_src_namespace="acme-prod",` +
      `${HERE},k8s_src_type="Pod",node="${NODE}"}`,
  ],
  [
    'the same flow, told by the node of its receiver',
    `beyla_network_flow_bytes_total{beyla_ip="10.0.0.11",k8s_src_node_name="worker-2",${SENDER}}`,
    'dropped',
  ],
  [
    'a flow whose sender is on no known node: it cannot be told twice from here',
    `obi_network_flow_bytes_total{${SENDER}}`,
    `obi_network_flow_bytes_total{k8s_src_name="web-0",k8s_src_namespace="acme-prod",k8s_src_type="Pod",node="${NODE}"}`,
  ],
  [
    'a flow within the cluster',
    `beyla_network_flow_bytes_total{k8s_dst_namespace="globex",k8s_dst_type="Pod",${HERE},${SENDER}}`,
    `beyla_network_flow_bytes_total{k8s_dst_namespace="globex",k8s_dst_type="Pod",k8s_src_name="web-0",` +
      `k8s_src_namespace="acme-prod",${HERE},k8s_src_type="Pod",node="${NODE}"}`,
  ],
  [
    'the same bytes after address translation: from the node',
    `beyla_network_flow_bytes_total{${HERE},k8s_src_name="${NODE}",k8s_src_type="Node"}`,
    'dropped',
  ],
  [
    'the same bytes once more, for the service in front of the pod',
    `beyla_network_flow_bytes_total{${HERE},k8s_src_namespace="acme-prod",k8s_src_type="Service"}`,
    'dropped',
  ],
  ['another metric of flows', `beyla_network_inter_zone_bytes_total{${HERE},${SENDER}}`, 'dropped'],
  [
    'requests of a namespace',
    'http_server_request_duration_seconds_count{http_response_status_code="200",k8s_namespace_name="acme-prod"}',
    `http_server_request_duration_seconds_count{http_response_status_code="200",k8s_namespace_name="acme-prod",` +
      `node="${NODE}"}`,
  ],
  ['requests of nobody', 'http_server_request_duration_seconds_count{k8s_namespace_name=""}', 'dropped'],
  [
    'their durations',
    'http_server_request_duration_seconds_bucket{k8s_namespace_name="acme-prod",le="1"}',
    'dropped',
  ],
  ['when Beyla began', 'process_start_time_seconds', `process_start_time_seconds{node="${NODE}"}`],
  ['whether the scrape succeeded', 'up', `up{node="${NODE}"}`],
  ['its own memory', 'process_resident_memory_bytes', 'dropped'],
  ['what would become a resource of its own', 'target_info{k8s_namespace_name="acme-prod"}', 'dropped'],
];

const CLAIM = 'namespace="acme-prod",persistentvolumeclaim="data-db-0"';
const VOLUMES: typeof CADVISOR = [
  [
    'use of a claim',
    `kubelet_volume_stats_used_bytes{${CLAIM}}`,
    `kubelet_volume_stats_used_bytes{${CLAIM}}`,
  ],
  ['its size', `kubelet_volume_stats_capacity_bytes{${CLAIM}}`, 'dropped'],
  ['the control plane of K3s', 'apiserver_request_total{code="200",verb="GET"}', 'dropped'],
  ['when the kubelet began', 'process_start_time_seconds', 'dropped'],
  ['whether the scrape succeeded', 'up', 'up{}'],
];

const OF_POD = 'namespace="acme-prod",pod="web-0",uid="u-1"';
const STATE: typeof CADVISOR = [
  [
    'whose a namespace is, and no more than its labels',
    'kube_namespace_labels{label_gh0stcloud_io_tenant="acme",namespace="acme-prod",uid=""}',
    'kube_namespace_labels{label_gh0stcloud_io_tenant="acme",namespace="acme-prod"}',
  ],
  [
    'a namespace without a tenant: that it has none is news too',
    'kube_namespace_labels{namespace="lost"}',
    'kube_namespace_labels{namespace="lost"}',
  ],
  [
    'a pod on the network of its host',
    `kube_pod_info{created_by_kind="DaemonSet",host_ip="10.0.0.11",host_network="true",node="n",pod_ip="10.0.0.11",${OF_POD}}`,
    `kube_pod_info{host_network="true",${OF_POD}}`,
  ],
  ['a pod on its own network', `kube_pod_info{host_network="false",${OF_POD}}`, 'dropped'],
  [
    'that a pod has ended',
    `kube_pod_status_phase{phase="Failed",${OF_POD}}`,
    'kube_pod_status_phase{namespace="acme-prod",phase="Failed",pod="web-0",uid="u-1"}',
  ],
  ['that a pod runs', `kube_pod_status_phase{phase="Running",${OF_POD}}`, 'dropped'],
  [
    'a request for CPU',
    `kube_pod_container_resource_requests{container="web",node="n",resource="cpu",unit="core",${OF_POD}}`,
    'kube_pod_container_resource_requests{container="web",namespace="acme-prod",pod="web-0",resource="cpu",uid="u-1"}',
  ],
  [
    'a request for disk: no meter',
    `kube_pod_container_resource_requests{container="web",resource="ephemeral_storage",${OF_POD}}`,
    'dropped',
  ],
  ['a limit', `kube_pod_container_resource_limits{container="web",resource="cpu",${OF_POD}}`, 'dropped'],
  [
    'size of a claim',
    `kube_persistentvolumeclaim_resource_requests_storage_bytes{${CLAIM}}`,
    `kube_persistentvolumeclaim_resource_requests_storage_bytes{${CLAIM}}`,
  ],
  [
    'class of a claim',
    `kube_persistentvolumeclaim_info{${CLAIM},storageclass="fast",volumemode="Filesystem",volumename="pv-1"}`,
    `kube_persistentvolumeclaim_info{${CLAIM},storageclass="fast"}`,
  ],
  [
    'owner of a pod',
    `kube_pod_owner{owner_is_controller="true",owner_kind="ReplicaSet",owner_name="web-1",${OF_POD}}`,
    'kube_pod_owner{namespace="acme-prod",owner_is_controller="true",owner_kind="ReplicaSet",owner_name="web-1",' +
      'pod="web-0",uid="u-1"}',
  ],
  [
    'owner of a replica set',
    'kube_replicaset_owner{namespace="acme-prod",owner_kind="Deployment",owner_name="web",replicaset="web-1"}',
    'kube_replicaset_owner{namespace="acme-prod",owner_kind="Deployment",owner_name="web",replicaset="web-1"}',
  ],
  ['whether the scrape succeeded', 'up', 'up{}'],
];

describe('a series of', () => {
  const node = nodeCollector();
  const cluster = clusterCollector();
  const target = { job: 'j', instance: 'i' };
  const onNode = { ...target, node: NODE };

  test.each(CADVISOR)('cAdvisor: %s', (_, row, expected) => {
    expect(notation(node.pass('cadvisor', series(row, onNode)))).toBe(expected);
  });
  test.each(BEYLA)('Beyla: %s', (_, row, expected) => {
    expect(notation(node.pass('beyla', series(row, onNode)))).toBe(expected);
  });
  test.each(VOLUMES)('the kubelet: %s', (_, row, expected) => {
    expect(notation(node.pass('kubelet', series(row, onNode)))).toBe(expected);
  });
  test.each(STATE)('kube-state-metrics: %s', (_, row, expected) => {
    expect(notation(cluster.pass('kube_state', series(row, target)))).toBe(expected);
  });

  test('any target keeps its job and instance', () => {
    expect(node.pass('cadvisor', series('up', onNode))).toEqual(
      new Map(Object.entries({ __name__: 'up', ...onNode })),
    );
    expect(cluster.pass('kube_state', series('up', target))?.get('job')).toBe('j');
  });
});
