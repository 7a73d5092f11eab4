/**
 * What kube-state-metrics says of pods, of what owns them and of claims: values that change, come back within
 * the hour, contradict each other or are refused. Delivered by itself and from random numbers of its own, so
 * the rest of a world is the same with and without it.
 */
import type { ModelRecord } from '../../model/record.ts';
import type { Row } from '../../vectors/otlp-json.ts';
import { deliver } from './delivery.ts';
import { NAMESPACES } from './dimensions.ts';
import type { Random } from './random.ts';
import { addTarget, HOUR, MINUTE, sharedTime, type Scene, type Target } from './scene.ts';

/** Partitions beside those of the world's other records. */
const FIRST_PARTITION = 3;
/** Of each topic, with these. */
export const WORLD_PARTITIONS = 2 * FIRST_PARTITION;

export function detailRecords(scene: Scene, clusters: readonly string[]): ModelRecord[] {
  const random = scene.details;
  const targets: Target[] = [];
  for (const cluster of clusters.filter(() => random.chance(0.85))) {
    const rows = Array.from({ length: random.int(2, 14) }, () => {
      const timeMs = sharedTime({ ...scene, random });
      const row = someRow(random, timeMs);
      const again = random.chance(0.25) ? [{ ...row, timeMs: timeMs + random.pick([MINUTE, HOUR]) }] : [];
      return [row, ...again];
    }).flat();
    const times = [...new Set(rows.map(({ timeMs }) => timeMs))].sort((a, b) => a - b);
    const own = { ...scene, random, targets };
    const { scrapes } = addTarget(own, { cluster, job: 'kube-state-metrics-b', times });
    for (const row of rows) scrapes.find(({ timeMs }) => timeMs === row.timeMs)?.rows.push(row);
  }
  return deliver({ ...scene, random, targets }).map((record) => ({
    ...record,
    partition: record.partition + FIRST_PARTITION,
  }));
}

type Labels = Readonly<Record<string, string>>;

interface Subject {
  readonly name: string;
  readonly labels: Labels;
}

const SUBJECTS: readonly [Subject, ...Subject[]] = [
  { name: 'kube_job_owner', labels: { job_name: 'j' } },
  ...['web-0', 'web-0', 'web-0', 'db-0'].map((pod) => ({ name: 'kube_pod_owner', labels: { pod } })),
  ...['a', 'a', 'b'].map((replicaset) => ({ name: 'kube_replicaset_owner', labels: { replicaset } })),
];

const OWNERS: readonly [Labels, ...Labels[]] = [
  owner('Job', 'j'),
  ...['a', 'a', 'b'].map((name) => owner('ReplicaSet', name)),
  ...['web', 'web', 'api'].map((name) => owner('Deployment', name)),
  owner('CronJob', 'nightly'),
  { ...owner('Node', 'n1'), owner_is_controller: 'false' },
  owner('<none>', '<none>'),
  {},
];

function owner(kind: string, name: string): Labels {
  return { owner_kind: kind, owner_name: name, owner_is_controller: 'true' };
}

function someRow(random: Random, timeMs: number): Row {
  const namespace = random.pick(NAMESPACES);
  const value = random.chance(0.95) ? { asDouble: 1 } : random.pick([{ flags: 1 }, { asDouble: 'NaN' }]);
  if (random.chance(0.2)) {
    const storageclass = random.pick(['fast', 'fast', 'slow', '', '<none>']);
    const labels = { namespace, persistentvolumeclaim: 'data-db-0', storageclass };
    return { name: 'kube_persistentvolumeclaim_info', labels, timeMs, value };
  }
  const { name, labels } = random.pick(SUBJECTS);
  return { name, labels: { namespace, ...labels, ...random.pick(OWNERS) }, timeMs, value };
}

/** Of a flow: who sends, as far as the reporter knows, and to whom. */
export function flowDetails(random: Random, meter: 'egress' | 'internal'): Labels {
  const pod = random.weighted({ pod: 70, owner: 15, none: 15 });
  const sender: Labels = pod === 'none' ? {} : { k8s_src_name: random.pick(['web-0', 'db-0']) };
  const known: Labels =
    pod === 'owner' ? { k8s_src_owner_name: 'web', k8s_src_owner_type: 'Deployment' } : {};
  const address = random.chance(0.4) ? { dst_address: random.pick(['203.0.113.7', '198.51.100.9']) } : {};
  const peer: Labels = meter === 'internal' && random.chance(0.3) ? { k8s_dst_name: 'db-0' } : {};
  return { ...sender, ...known, ...address, ...peer };
}

/** Of requests: the pod, or what owns it with or without its kind. */
export function requestDetails(random: Random): Labels {
  return random.pick<Labels>([
    {},
    { k8s_pod_name: 'web-0' },
    { k8s_pod_name: 'web-0', k8s_owner_name: 'web' },
    { k8s_pod_name: 'web-0', k8s_owner_name: 'web', k8s_kind: 'Deployment' },
  ]);
}
