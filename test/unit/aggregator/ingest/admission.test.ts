import { describe, expect, test } from 'vitest';
import { isKnownMetric, meaningOf, type RowMeaning } from '../../../../aggregator/ingest/admission.ts';
import { VECTOR_SETTINGS } from '../../../vectors/vectors.ts';
import { fullSettings } from '../../../support/pipeline.ts';

const UID = '04261a93-336a-4f8b-a8ed-d55c474ab25c';
const CGROUP = {
  cluster: 'rt1',
  node: 'n1',
  namespace: 'shop',
  pod: 'web-0',
  id: `/kubepods.slice/kubepods-pod${UID.replaceAll('-', '_')}.slice`,
};
const FLOW = { cluster: 'rt1', node: 'n1', k8s_src_namespace: 'shop', k8s_src_type: 'Pod' };
const CPU = 'container_cpu_usage_seconds_total';
const TRANSMIT = 'container_network_transmit_bytes_total';
const FLOWS = 'beyla_network_flow_bytes_total';

type Labels = Readonly<Record<string, string>>;

/** As the record reader gives them: without empty ones. */
function meaning(metric: string, labels: Labels): RowMeaning {
  const set = Object.entries(labels).filter(([, value]) => value !== '');
  return meaningOf(metric, new Map(set), fullSettings(VECTOR_SETTINGS));
}

function meter(metric: string, labels: Labels): string {
  const row = meaning(metric, labels);
  return row.kind === 'usage' ? row.meter.name : row.kind;
}

describe('totals of nodes', () => {
  const MEMORY = 'container_memory_working_set_bytes';
  const ROOT = { cluster: 'rt1', node: 'n1', id: '/' };

  test.each<[meter: string, metric: string, labels: Labels]>([
    ['node_cpu', CPU, ROOT],
    ['node_cpu', CPU, { ...ROOT, cpu: 'total', container: '', image: '', namespace: '', pod: '' }],
    ['node_memory', MEMORY, ROOT],
    ['none', CPU, { ...ROOT, cpu: 'cpu00' }],
    ['none', CPU, { ...ROOT, id: '/kubepods.slice' }],
    ['none', CPU, { ...ROOT, id: '' }],
    // All nodes would be one series.
    ['none', CPU, { ...ROOT, node: '' }],
    ['none', CPU, { ...ROOT, container: 'app' }],
    ['none', CPU, { ...ROOT, image: 'pause' }],
    ['none', CPU, { ...ROOT, namespace: 'shop' }],
    ['none', CPU, { ...ROOT, pod: 'web-0' }],
    ['cpu', CPU, { ...ROOT, namespace: 'shop', pod: 'web-0' }],
    // Every interface of the host, the pods' once more among them.
    ['none', TRANSMIT, { ...ROOT, interface: 'eth0' }],
  ])('%s: %s %o', (expected, metric, labels) => {
    expect(meter(metric, labels)).toBe(expected);
  });

  test('are a series per node, born with it', () => {
    expect(meaning(CPU, { ...ROOT, machine_id: 'x', job: 'kubelet' })).toMatchObject({
      kind: 'usage',
      namespace: '',
      identity: [
        ['id', '/'],
        ['node', 'n1'],
      ],
      podKey: '',
      container: JSON.stringify(['n1', '/']),
    });
  });
});

describe('rows of a meter', () => {
  test.each<[meter: string, metric: string, labels: Labels]>([
    ['cpu', CPU, CGROUP],
    ['cpu', CPU, { ...CGROUP, cpu: 'total', container: '', image: '' }],
    ['none', CPU, { ...CGROUP, cpu: 'cpu00' }],
    ['none', CPU, { ...CGROUP, container: 'app' }],
    ['none', CPU, { ...CGROUP, image: 'pause' }],
    ['none', CPU, { ...CGROUP, id: '' }],
    ['none', CPU, { ...CGROUP, pod: '' }],
    ['none', CPU, { ...CGROUP, namespace: '' }],
    ['memory', 'container_memory_working_set_bytes', CGROUP],
    ['none', 'container_memory_working_set_bytes', { ...CGROUP, container: 'app' }],
    ['network_transmit', TRANSMIT, { ...CGROUP, interface: 'eth0' }],
    ['network_transmit', TRANSMIT, { ...CGROUP, interface: 'eth0', id: '' }],
    ['none', TRANSMIT, { ...CGROUP, interface: 'eth1' }],
    ['network_receive', 'container_network_receive_bytes_total', { ...CGROUP, interface: 'eth0' }],
    ['egress', FLOWS, FLOW],
    ['egress', 'obi_network_flow_bytes_total', { ...FLOW, dst_cidr: '0.0.0.0/0' }],
    ['egress', FLOWS, { ...FLOW, dst_cidr: '::/0' }],
    ['egress', FLOWS, { ...FLOW, k8s_src_node_name: 'n1' }],
    ['none', FLOWS, { ...FLOW, k8s_src_node_name: 'n2' }],
    ['egress', FLOWS, { ...FLOW, k8s_src_node_name: 'n2', node: '' }],
    ['none', FLOWS, { ...FLOW, k8s_src_type: 'Node' }],
    ['none', FLOWS, { ...FLOW, k8s_src_namespace: '' }],
    ['egress_internal', FLOWS, { ...FLOW, dst_cidr: '10.42.0.0/16' }],
    ['egress_internal', FLOWS, { ...FLOW, k8s_dst_type: 'Node' }],
    ['egress_internal', FLOWS, { ...FLOW, k8s_dst_namespace: 'blog', dst_cidr: '0.0.0.0/0' }],
    ['none', FLOWS, { ...FLOW, dst_cidr: '10.42.0.0/16', k8s_src_node_name: 'n2' }],
    ['http_requests', 'http_server_request_duration_seconds_count', { k8s_namespace_name: 'shop' }],
    ['none', 'http_server_request_duration_seconds_count', {}],
    ['cpu_request', 'kube_pod_container_resource_requests', { resource: 'cpu', uid: UID }],
    ['memory_request', 'kube_pod_container_resource_requests', { resource: 'memory', uid: UID }],
    ['none', 'kube_pod_container_resource_requests', { resource: 'nvidia_com_gpu', uid: UID }],
    ['storage', 'kube_persistentvolumeclaim_resource_requests_storage_bytes', { namespace: 'shop' }],
    ['storage_used', 'kubelet_volume_stats_used_bytes', { namespace: 'shop', node: 'n1' }],
  ])('%s: %s %o', (expected, metric, labels) => {
    expect(meter(metric, labels)).toBe(expected);
  });

  test('are one series whoever reports them', () => {
    const identity = (labels: Labels): unknown => {
      const row = meaning(FLOWS, labels);
      return row.kind === 'usage' ? row.identity : row.kind;
    };
    const reporter = { beyla_ip: '10.0.0.9', instance: 'i', job: 'j', node: 'n2' };
    expect(identity({ ...FLOW, ...reporter })).toEqual(identity(FLOW));
    expect(identity({ ...FLOW, dst_address: '1.1.1.1' })).not.toEqual(identity(FLOW));
  });

  test('know how their pod and their container are judged', () => {
    expect(meaning(TRANSMIT, { ...CGROUP, interface: 'eth0' })).toMatchObject({
      podKey: `uid:${UID}`,
      container: JSON.stringify(['n1', CGROUP.id]),
    });
    expect(meaning(TRANSMIT, { ...CGROUP, interface: 'eth0', id: '/static' })).toMatchObject({
      podKey: 'pod:shop/web-0',
    });
    expect(meaning(CPU, CGROUP)).toMatchObject({ podKey: '' });
    expect(meaning(FLOWS, FLOW)).toMatchObject({ podKey: '', container: '', namespace: 'shop' });
  });
});

describe('rows that are facts', () => {
  test.each<[expected: object, metric: string, labels: Labels]>([
    [{ kind: 'up' }, 'up', {}],
    [{ kind: 'process_start' }, 'process_start_time_seconds', {}],
    [
      { kind: 'container_start', container: JSON.stringify(['n1', '/a']) },
      'container_start_time_seconds',
      { node: 'n1', id: '/a' },
    ],
    [{ kind: 'none' }, 'container_start_time_seconds', { node: 'n1' }],
    [
      { kind: 'label', namespace: 'shop', tenant: 'acme' },
      'kube_namespace_labels',
      { namespace: 'shop', label_gh0stcloud_io_tenant: 'acme' },
    ],
    [{ kind: 'label', namespace: 'shop', tenant: '' }, 'kube_namespace_labels', { namespace: 'shop' }],
    [
      { kind: 'host_network', podKeys: [`uid:${UID}`, 'pod:shop/web-0'] },
      'kube_pod_info',
      { namespace: 'shop', pod: 'web-0', uid: UID, host_network: 'true' },
    ],
    [
      { kind: 'host_network', podKeys: ['pod:shop/web-0'] },
      'kube_pod_info',
      { namespace: 'shop', pod: 'web-0', host_network: 'true' },
    ],
    [{ kind: 'none' }, 'kube_pod_info', { namespace: 'shop', pod: 'web-0', host_network: 'false' }],
    [{ kind: 'pod_ended', podUid: UID }, 'kube_pod_status_phase', { uid: UID, phase: 'Unknown' }],
    [{ kind: 'none' }, 'kube_pod_status_phase', { uid: UID, phase: 'Running' }],
    [{ kind: 'none' }, 'kube_pod_status_phase', { phase: 'Failed' }],
  ])('%o: %s %o', (expected, metric, labels) => {
    expect(meaning(metric, labels)).toEqual(expected);
  });
});

test('metrics that mean nothing here are known as such', () => {
  expect(isKnownMetric('container_fs_reads_total')).toBe(false);
  expect(isKnownMetric('up')).toBe(true);
  expect(isKnownMetric(CPU)).toBe(true);
  expect(meaning('container_fs_reads_total', CGROUP)).toEqual({ kind: 'none' });
});

describe('rows that say what usage is of', () => {
  const POD = { namespace: 'shop', pod: 'web-0' };
  const OWNED = { owner_kind: 'ReplicaSet', owner_name: 'web-5d9', owner_is_controller: 'true' };

  test.each<[metric: string, labels: Labels, subject: string, value: string]>([
    ['kube_pod_owner', { ...POD, ...OWNED }, 'Pod/web-0', 'ReplicaSet/web-5d9'],
    ['kube_pod_owner', { ...POD, ...OWNED, owner_is_controller: 'false' }, 'Pod/web-0', ''],
    ['kube_pod_owner', { ...POD, ...OWNED, owner_kind: '<none>', owner_name: '<none>' }, 'Pod/web-0', ''],
    ['kube_pod_owner', POD, 'Pod/web-0', ''],
    [
      'kube_replicaset_owner',
      { namespace: 'shop', replicaset: 'web-5d9', ...OWNED, owner_kind: 'Deployment', owner_name: 'web' },
      'ReplicaSet/web-5d9',
      'Deployment/web',
    ],
    [
      'kube_job_owner',
      { namespace: 'shop', job_name: 'j-1', ...OWNED, owner_kind: 'CronJob', owner_name: 'j' },
      'Job/j-1',
      'CronJob/j',
    ],
    [
      'kube_persistentvolumeclaim_info',
      { namespace: 'shop', persistentvolumeclaim: 'data', storageclass: 'fast' },
      'PersistentVolumeClaim/data',
      'fast',
    ],
  ])('%s %o', (metric, labels, subject, value) => {
    expect(meaning(metric, labels)).toEqual({ kind: 'detail', namespace: 'shop', subject, value });
  });

  test.each([
    ['no pod', { namespace: 'shop' }],
    ['no namespace', { pod: 'web-0' }],
    ['a name that no object can have', { namespace: 'shop', pod: 'a/b' }],
    ['a namespace that no cluster can have', { namespace: 'shop/Pod', pod: 'b' }],
  ])('say nothing of %s', (_, labels) => {
    expect(meaning('kube_pod_owner', { ...labels, ...OWNED })).toEqual({ kind: 'none' });
  });
});
