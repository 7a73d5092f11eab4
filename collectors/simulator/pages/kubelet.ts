import { type Claim } from '../claim.ts';
import { renderLabels } from '../labels.ts';
import { type Node } from '../node.ts';
import { type World } from '../world.ts';
import { decimal, Exposition } from './exposition.ts';

/** `/metrics` of a kubelet: the claims that are mounted on it. One on three nodes is shown by all three. */
export function volumesPage(world: World, node: Node): string {
  const mounted = world.claims
    .filter((claim) => claim.isMountedOn(node))
    .map((claim) => ({ claim, labels: claimLabels(claim) }));
  const page = new Exposition();
  page.family('kubelet_volume_stats_available_bytes', 'gauge', 'Number of available bytes in the volume');
  for (const { claim, labels } of mounted) page.row(labels, claim.size.level - claim.usedBytes);
  page.family('kubelet_volume_stats_capacity_bytes', 'gauge', 'Capacity in bytes of the volume');
  for (const { claim, labels } of mounted) page.row(labels, claim.size.level);
  page.family('kubelet_volume_stats_used_bytes', 'gauge', 'Number of used bytes in the volume');
  for (const { claim, labels } of mounted) page.row(labels, claim.usedBytes);
  return page.toString();
}

/** `/metrics/resource` of a kubelet: the same names once more, by container and without an id. */
export function resourcePage(world: World, node: Node): string {
  const { t, system, pods } = node.reading;
  const rows = [...world.pods()].flatMap(({ node: own, namespace, name: pod, cgroup }) => {
    if (own !== node || !cgroup?.reading) return [];
    const { reading, containers } = cgroup;
    return { labels: renderLabels({ namespace, pod }), namespace, pod, reading, containers };
  });
  const parts = rows.flatMap(({ namespace, pod, reading, containers }) =>
    containers
      .filter(({ startedMs }) => startedMs <= reading.t)
      .map(({ spec, startedMs, podCpuBefore }) => ({
        labels: renderLabels({ container: spec.name, namespace, pod }),
        startedMs,
        cpu: ((reading.cpu - podCpuBefore) * BigInt(spec.sharePercent)) / 100n,
        memory: (reading.memory * BigInt(spec.sharePercent)) / 100n,
        t: reading.t,
      })),
  );
  const page = new Exposition();
  page.family(
    'container_cpu_usage_seconds_total',
    'counter',
    'Cumulative cpu time of the container in core-seconds',
  );
  for (const part of parts) page.row(part.labels, decimal(part.cpu, 9), part.t);
  page.family('container_memory_working_set_bytes', 'gauge', 'Current working set of the container in bytes');
  for (const part of parts) page.row(part.labels, part.memory, part.t);
  page.family(
    'container_start_time_seconds',
    'gauge',
    'Start time of the container since unix epoch in seconds',
  );
  for (const part of parts) page.row(part.labels, decimal(BigInt(part.startedMs), 3));
  page.family('node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time of the node in core-seconds');
  page.row('', decimal(system.cpu + pods.cpu, 9), t);
  page.family('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes');
  page.row('', system.memory + pods.memory, t);
  page.family('pod_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time of the pod in core-seconds');
  for (const { labels, reading } of rows) page.row(labels, decimal(reading.cpu, 9), reading.t);
  page.family('pod_memory_working_set_bytes', 'gauge', 'Current working set of the pod in bytes');
  for (const { labels, reading } of rows) page.row(labels, reading.memory, reading.t);
  page.family('resource_scrape_error', 'gauge', '1 if there was an error while getting container metrics');
  page.row('', 0);
  return page.toString();
}

function claimLabels({ spec }: Claim): string {
  return renderLabels({ namespace: spec.namespace, persistentvolumeclaim: spec.name });
}
