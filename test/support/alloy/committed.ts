/** The committed configurations, as their environments see them. */
import { join } from 'node:path';
import { AlloyCollector } from './collector.ts';
import { Configuration } from './configuration.ts';
import type { Environment } from './evaluate.ts';
import type { Labels } from './relabel.ts';

export const ALLOY = join(import.meta.dirname, '../../../alloy');
export const DIRECTORIES = ['node', 'cluster', 'demo'] as const;

export const NODE = 'worker-1';
export const ENV: Environment = {
  METERING_CLUSTER: 'rt1',
  NODE_NAME: NODE,
  KAFKA_BROKERS: 'kafka-0:9093,kafka-1:9093',
  KUBE_STATE_METRICS_ADDRESS: 'kube-state-metrics.monitoring:8080',
};

export function committed(directory: (typeof DIRECTORIES)[number]): Configuration {
  return Configuration.load(join(ALLOY, directory));
}

/** As Kubernetes shows them to the Alloy of `NODE`. */
const DISCOVERED: Readonly<Record<string, readonly Labels[]>> = {
  'discovery.kubernetes.node': [
    new Map([
      ['__address__', '10.0.0.11:10250'],
      ['__meta_kubernetes_node_name', NODE],
      ['instance', NODE],
    ]),
  ],
  'discovery.kubernetes.beyla': ['metrics', 'pprof'].map(
    (port, index) =>
      new Map([
        ['__address__', `10.0.0.11:${9400 + index}`],
        ['__meta_kubernetes_pod_container_port_name', port],
        ['__meta_kubernetes_pod_node_name', NODE],
      ]),
  ),
};

export function nodeCollector(): AlloyCollector {
  return new AlloyCollector(committed('node'), { env: ENV, discovered: DISCOVERED });
}

export function clusterCollector(): AlloyCollector {
  return new AlloyCollector(committed('cluster'), { env: ENV });
}

/** Which scrape of which configuration shows the series of a captured job. */
const JOBS: Readonly<Record<string, readonly ['node' | 'cluster', string]>> = {
  'kubelet-cadvisor': ['node', 'cadvisor'],
  // The same page once more, with staleness tracked.
  'kubelet-cadvisor-track': ['node', 'cadvisor'],
  kubelet: ['node', 'kubelet'],
  beyla: ['node', 'beyla'],
  'beyla-network': ['node', 'beyla'],
  'kube-state-metrics': ['cluster', 'kube_state'],
};

/** Does some configuration scrape what was captured under this job? */
export function isScraped(job: string): boolean {
  return job in JOBS;
}

/**
 * Rows to what reaches the sink, by the job that they were captured under; a job of no configuration is not
 * scraped.
 */
export function committedRules(): (row: Labels) => Labels | undefined {
  const collectors = { node: nodeCollector(), cluster: clusterCollector() };
  return (row) => {
    const [directory, scrape] = JOBS[row.get('job') ?? ''] ?? [];
    return directory === undefined || scrape === undefined
      ? undefined
      : collectors[directory].pass(scrape, row);
  };
}
