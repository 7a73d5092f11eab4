import { type Labels } from './labels.ts';
import { type PodIdentity } from './pod-identity.ts';
import { Source } from './source.ts';

/** Requests of one method, route and status that a pod answers. */
export interface Route {
  readonly source: Source;
  readonly labels: Labels;
  /** At a load of 100 percent. */
  readonly perMinute: bigint;
}

/** How a pod's requests are divided, in percent. The last one is rare enough to be born late. */
const ANSWERS = [
  { method: 'GET', route: '/', status: '200', percent: 70n },
  { method: 'POST', route: '/orders/{id}', status: '201', percent: 26n },
  { method: 'GET', route: '/orders/{id}', status: '404', percent: 3n },
  { method: 'POST', route: '/orders/{id}', status: '500', percent: 1n },
] as const;

export function podRoutes(pod: PodIdentity, bornMs: number, loadPercent: bigint): Route[] {
  const requestsPerMinute = BigInt(pod.spec.requestsPerMinute);
  if (requestsPerMinute === 0n) return [];
  return ANSWERS.map(({ method, route, status, percent }) => {
    const perMinute = (requestsPerMinute * percent + 99n) / 100n;
    const source = new Source({
      meter: 'http_requests',
      namespace: pod.namespace,
      node: pod.node.name,
      bornMs,
      level: (perMinute * loadPercent) / 100n,
    });
    const labels: Labels = {
      http_request_method: method,
      http_response_status_code: status,
      http_route: route,
      k8s_namespace_name: pod.namespace,
      k8s_owner_name: pod.spec.name,
      k8s_pod_name: pod.name,
      k8s_pod_uid: pod.uid,
    };
    return { source, labels, perMinute };
  });
}
