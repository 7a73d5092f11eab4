/**
 * What kube-state-metrics says about namespaces and pods: whose they are, and who sits in the host's network.
 */
import type { Row } from '../../vectors/otlp-json.ts';
import { addTarget, sharedTime, UIDS, type Scene } from './scene.ts';

export const NAMESPACES = ['shop', 'shop', 'shop', 'blog', 'blog', 'kube-system', 'ghost'] as const;

const LABEL = 'label_gh0stcloud_io_tenant';
const TENANTS = ['acme', 'acme', 'globex', 'globex', 'initech', ''] as const;

/** Sightings of the tenant label at times that other things share; two at once, without a tenant, refused. */
export function addSightings(scene: Scene, cluster: string): void {
  const { random } = scene;
  const planned = ['shop', 'blog'].flatMap((namespace) =>
    Array.from({ length: random.pick([0, 1, 1, 2, 3, 4]) }, () => ({ namespace, timeMs: sharedTime(scene) })),
  );
  const times = [...new Set(planned.map(({ timeMs }) => timeMs))].sort((a, b) => a - b);
  const { scrapes } = addTarget(scene, { cluster, job: 'kube-state-metrics', times });
  for (const { namespace, timeMs } of planned) {
    const rows = scrapes.find((scrape) => scrape.timeMs === timeMs)?.rows ?? [];
    rows.push(sighting(namespace, timeMs, random.pick(TENANTS)));
    if (random.chance(0.15)) rows.push(sighting(namespace, timeMs, random.pick(TENANTS)));
    if (random.chance(0.05)) rows.push({ ...sighting(namespace, timeMs, 'zorg'), value: { flags: 1 } });
    if (random.chance(0.05))
      rows.push({ ...sighting(namespace, timeMs, 'zorg'), value: { asDouble: 'NaN' } });
  }
  if (scrapes.length > 0 && random.chance(0.35))
    addPodInfo(scene, scrapes[0]?.rows ?? [], scrapes[0]?.timeMs ?? 0);
}

function sighting(namespace: string, timeMs: number, tenant: string): Row {
  const labels = { namespace, label_kubernetes_io_metadata_name: namespace, [LABEL]: tenant };
  return { name: 'kube_namespace_labels', labels, timeMs, value: { asDouble: 1 } };
}

/** Names and uids that cgroup rows may carry, so that the one or the other judges them. */
function addPodInfo({ random }: Scene, rows: Row[], timeMs: number): void {
  for (const namespace of ['shop', 'blog']) {
    for (const pod of ['web-0', 'db-0']) {
      const uid = random.pick([...UIDS, '']);
      const labels = { namespace, pod, uid, host_network: random.chance(0.4) ? 'true' : 'false' };
      rows.push({ name: 'kube_pod_info', labels, timeMs, value: { asDouble: 1 } });
    }
  }
}
