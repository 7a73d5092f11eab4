import { renderLabels } from '../labels.ts';
import { type Node } from '../node.ts';
import { type Pod } from '../pod.ts';
import { type Container, type PodCgroup } from '../pod-cgroup.ts';
import { type World } from '../world.ts';
import { decimal, Exposition } from './exposition.ts';

const PAUSE_IMAGE = 'registry.example/pause:3.10';
const BURSTABLE = '/kubepods.slice/kubepods-burstable.slice';

interface Interface {
  readonly name: string;
  readonly transmit: bigint;
  readonly receive: bigint;
}

/** One cgroup as cAdvisor shows it. */
interface CgroupRow {
  readonly labels: string;
  readonly t: number;
  readonly startedMs: number;
  /** Core-ns; cAdvisor shows none at 0. */
  readonly cpu: bigint;
  readonly memory: bigint;
  readonly interfaces: readonly Interface[];
  /** Bytes of the writable layer; null for cgroups that are no container. */
  readonly writtenBytes: bigint | null;
}

/**
 * `/metrics/cadvisor` of a kubelet: what its last housekeeping saw, with the time of that. One pod makes a
 * row of its own cgroup, one of its sandbox (the only one with a network) and one of each container.
 */
export function cadvisorPage(world: World, node: Node): string {
  const rows = [...nodeRows(node)];
  for (const pod of world.pods()) {
    if (pod.node === node && pod.cgroup !== null) rows.push(...podRows(pod, pod.cgroup));
  }
  const page = new Exposition();
  page.family('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed in seconds.');
  for (const { labels, cpu, t } of rows) if (cpu > 0n) page.row(`cpu="total",${labels}`, decimal(cpu, 9), t);
  page.family('container_fs_usage_bytes', 'gauge', 'Number of bytes that are consumed by the container.');
  for (const { labels, writtenBytes, t } of rows) {
    if (writtenBytes !== null) page.row(`device="/dev/vda1",${labels}`, writtenBytes, t);
  }
  page.family('container_memory_working_set_bytes', 'gauge', 'Current working set in bytes.');
  for (const { labels, memory, t } of rows) page.row(labels, memory, t);
  page.family('container_network_receive_bytes_total', 'counter', 'Cumulative count of bytes received.');
  for (const row of rows) for (const each of row.interfaces) page.row(named(row, each), each.receive, row.t);
  page.family('container_network_transmit_bytes_total', 'counter', 'Cumulative count of bytes transmitted.');
  for (const row of rows) for (const each of row.interfaces) page.row(named(row, each), each.transmit, row.t);
  page.family('container_start_time_seconds', 'gauge', 'Start time since the epoch in seconds.');
  // Whole seconds, and the one family without a time of its own.
  for (const { labels, startedMs } of rows) page.row(labels, Math.floor(startedMs / 1_000));
  return page.toString();
}

function named(row: CgroupRow, { name }: Interface): string {
  return `interface="${name}",${row.labels}`;
}

/** The root, the slices above the pods and the one beside them: no namespace, so nobody's usage. */
function* nodeRows(node: Node): Iterable<CgroupRow> {
  const { t, system, pods } = node.reading;
  const total = { cpu: system.cpu + pods.cpu, memory: system.memory + pods.memory };
  const cgroups = [
    { id: '/', use: total, interfaces: hostInterfaces(node) },
    { id: '/kubepods.slice', use: pods, interfaces: [] },
    { id: BURSTABLE, use: pods, interfaces: [] },
    { id: '/system.slice', use: system, interfaces: [] },
  ];
  for (const { id, use, interfaces } of cgroups) {
    const labels = cgroupLabels({ id });
    yield { labels, t, startedMs: node.bootMs, ...use, interfaces, writtenBytes: null };
  }
}

function* podRows(pod: Pod, cgroup: PodCgroup): Iterable<CgroupRow> {
  const { reading } = cgroup;
  // Started after the last housekeeping: not seen yet.
  if (reading === null) return;
  const { t, cpu, memory, transmit, receive } = reading;
  const { namespace, name: podName } = pod;
  const id = `${BURSTABLE}/kubepods-burstable-pod${pod.uid.replaceAll('-', '_')}.slice`;
  const scope = (container: string): string => `${id}/cri-containerd-${container}.scope`;
  const shared = { t, startedMs: cgroup.startedMs, interfaces: [], writtenBytes: null };
  yield { ...shared, labels: cgroupLabels({ id, namespace, pod: podName }), cpu, memory };
  const sandbox = { id: scope(cgroup.sandboxId), image: PAUSE_IMAGE, name: cgroup.sandboxId };
  yield {
    ...shared,
    labels: cgroupLabels({ ...sandbox, namespace, pod: podName }),
    cpu: cpu / 1_000n,
    memory: 524_288n,
    interfaces: cgroup.network === null ? hostInterfaces(pod.node) : [{ name: 'eth0', transmit, receive }],
  };
  for (const container of cgroup.containers.filter(({ startedMs }) => startedMs <= t)) {
    const { name, image } = container.spec;
    const own = { id: scope(container.id), container: name, image, name: container.id };
    const labels = cgroupLabels({ ...own, namespace, pod: podName });
    yield { ...shared, labels, ...containerUse(container, cpu, memory), startedMs: container.startedMs };
  }
}

/** A container uses its share of the pod's; its counter begins with it, not with the pod. */
function containerUse(
  { spec, podCpuBefore }: Container,
  podCpu: bigint,
  podMemory: bigint,
): Pick<CgroupRow, 'cpu' | 'memory' | 'writtenBytes'> {
  const share = BigInt(spec.sharePercent);
  return {
    cpu: ((podCpu - podCpuBefore) * share) / 100n,
    memory: (podMemory * share) / 100n,
    writtenBytes: 4_096n * (share + 7n),
  };
}

/** What a host-network pod shows too: every interface of the machine. */
function hostInterfaces(node: Node): Interface[] {
  const { transmit, receive } = node.reading.uplink;
  return [
    { name: 'cilium_host', transmit: transmit / 3n, receive: receive / 3n },
    { name: 'eth0', transmit, receive },
    { name: 'lxc0b1a7f33d9c2', transmit: transmit / 9n, receive: receive / 9n },
  ];
}

interface CgroupNames {
  readonly id: string;
  readonly container?: string;
  readonly image?: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly pod?: string;
}

/** cAdvisor shows all of its labels on every row, empty where they do not apply. */
function cgroupLabels(names: CgroupNames): string {
  const { id, container = '', image = '', name = '', namespace = '', pod = '' } = names;
  return renderLabels({ container, id, image, name, namespace, pod });
}
