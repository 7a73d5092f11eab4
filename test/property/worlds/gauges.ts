/** Gauges: memory, claims and requests, with markers, holes, conflicting copies and pods that are over. */
import type { Row, RowValue } from '../../vectors/otlp-json.ts';
import { ownTime, rejectedValue } from './counter-rows.ts';
import {
  addTarget,
  MINUTE,
  schedule,
  SECOND,
  somePod,
  type Place,
  type Scene,
  type Scrape,
} from './scene.ts';

const VALUES = [0, 1, 10, 1000, 0.5, 1.5, 2.5, 536_870_912, 9_007_199_254_740_992] as const;
const CORES = [0.25, 0.062, 0.0625, 0.0635, 4, 0.0005] as const;

interface GaugePlan {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly values: readonly [number, ...number[]];
  readonly ownTimes: boolean;
}

function liveGauge(scene: Scene, scrapes: readonly Scrape[], plan: GaugePlan): void {
  const { random } = scene;
  let value = random.pick(plan.values);
  scrapes.forEach((scrape, index) => {
    const timeMs = plan.ownTimes ? ownTime(random, scrapes, index) : scrape.timeMs;
    const type = random.weighted({ gauge: 94, sum: 4, delta: 2 });
    const show = (shown: RowValue): void => {
      scrape.rows.push({ name: plan.name, labels: plan.labels, timeMs, value: shown, type });
    };
    if (random.chance(0.3)) value = random.pick(plan.values);
    switch (random.weighted({ value: 74, skip: 8, marker: 8, reject: 4, conflict: 3, both: 3 })) {
      case 'value':
        show({ asDouble: value });
        break;
      case 'marker':
        show(random.chance(0.2) ? { flags: 1, asDouble: 3 } : { flags: 1 });
        break;
      case 'reject':
        show(rejectedValue(random, type));
        break;
      case 'conflict':
        show({ asDouble: value });
        show({ asDouble: value + random.pick([0, 1, 2]) });
        break;
      case 'both':
        show({ flags: 1 });
        show({ asDouble: value });
        break;
      case 'skip':
        break;
    }
  });
}

export function addMemory(scene: Scene, { cluster, node, namespace }: Place): void {
  const { random } = scene;
  const pod = somePod(random);
  const { scrapes } = addTarget(scene, {
    cluster,
    job: 'kubelet-cadvisor',
    node,
    times: schedule(scene, random.int(3, 9)),
  });
  const labels = { namespace, pod: pod.name, id: pod.id };
  liveGauge(scene, scrapes, {
    ...{ name: 'container_memory_working_set_bytes', labels, values: VALUES, ownTimes: random.chance(0.7) },
  });
}

/** A claim as it is provisioned, and as one or two nodes that mount it report its use. */
export function addClaims(scene: Scene, { cluster, namespace }: Place): void {
  const { random } = scene;
  const labels = { namespace, persistentvolumeclaim: 'data-db-0' };
  const times = schedule(scene, random.int(3, 8));
  if (random.chance(0.6)) {
    const { scrapes } = addTarget(scene, { cluster, job: 'kube-state-metrics', times });
    const name = 'kube_persistentvolumeclaim_resource_requests_storage_bytes';
    liveGauge(scene, scrapes, { name, labels, values: VALUES, ownTimes: false });
  }
  for (const node of random.pick([['n1'], ['n1', 'n2'], []])) {
    const shifted = times.map((time) => time + random.pick([0, 0, 30 * SECOND]));
    const { scrapes } = addTarget(scene, { cluster, job: 'kubelet', node, times: shifted });
    liveGauge(scene, scrapes, {
      name: 'kubelet_volume_stats_used_bytes',
      labels,
      values: VALUES,
      ownTimes: false,
    });
  }
}

/**
 * Requests of a pod, and the phase that switches them off: in the same scrape, beside it, or not for that
 * uid.
 */
export function addRequests(scene: Scene, { cluster, namespace }: Place): void {
  const { random } = scene;
  const pod = somePod(random);
  const { scrapes } = addTarget(scene, {
    cluster,
    job: 'kube-state-metrics',
    times: schedule(scene, random.int(3, 9)),
  });
  const labels = { namespace, pod: pod.name, uid: pod.uid, container: 'app' };
  const name = 'kube_pod_container_resource_requests';
  if (random.chance(0.8)) {
    liveGauge(scene, scrapes, {
      name,
      labels: { ...labels, resource: 'cpu' },
      values: CORES,
      ownTimes: false,
    });
  }
  if (random.chance(0.6)) {
    liveGauge(scene, scrapes, {
      name,
      labels: { ...labels, resource: 'memory' },
      values: VALUES,
      ownTimes: false,
    });
  }
  let over = random.chance(0.2);
  for (const { timeMs, rows } of scrapes) {
    if (random.chance(0.2)) over = !over;
    const phase = over
      ? random.pick(['Succeeded', 'Failed', 'Unknown'])
      : random.pick(['Running', 'Pending']);
    const told = { namespace, pod: pod.name, ...(random.chance(0.95) ? { uid: pod.uid } : {}), phase };
    const at = random.chance(0.06) ? timeMs + random.pick([1, -1, MINUTE]) : timeMs;
    const value = { asDouble: random.chance(0.93) ? 1 : random.pick([0, 2]) };
    const row: Row = { name: 'kube_pod_status_phase', labels: told, timeMs: at, value };
    if (random.chance(0.9)) rows.push(row);
    if (random.chance(0.1))
      rows.push({ ...row, labels: { ...told, phase: 'Failed' }, value: { asDouble: 0 } });
  }
}
