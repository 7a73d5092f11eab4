/**
 * A cluster as its scrapers see it, from scrape to scrape: pods that use CPU, memory and network, claims,
 * flows, a node total, and the labels of namespaces. Pods are replaced now and then, counters begin again,
 * claims grow, namespaces move to other tenants. The seed decides all of it, so the same cluster can be
 * scraped again for a replay.
 */
import type { Random } from '../property/worlds/random.ts';
import { ScrapeTemplate, type ScrapedRow, type ScrapedTarget } from './scrape-template.ts';

export interface NamespacePlan {
  readonly name: string;
  /** Undefined: it has no label. */
  readonly tenant: string | undefined;
}

export interface ClusterPlan {
  readonly cluster: string;
  readonly partitions: number;
  /** Past a quarter of an hour, so that no scrape of the year lies on the boundary before it. */
  readonly scrapeOffsetMs: number;
  readonly namespaces: readonly NamespacePlan[];
  /** Its flow probe shows when its process began. */
  readonly showsProcessStart: boolean;
}

interface Meter {
  readonly row: ScrapedRow;
  /** What an average interval adds, or an average scrape shows. */
  readonly level: number;
  readonly kind: 'seconds' | 'bytes' | 'gauge' | 'constant';
}

interface Namespace {
  readonly name: string;
  tenant: string | undefined;
  pod: number;
  podMeters: readonly Meter[];
  readonly others: readonly Meter[];
}

/** How often, by namespace and day. */
const POD_REPLACED = 1 / 60;
const COUNTERS_RESET = 1 / 60;
const CLAIM_GROWS = 1 / 90;
const TENANT_MOVES = 1 / 2_000;
/** By cluster and day: the probe starts again, and all its counters with it. */
const PROBE_RESTARTS = 1 / 20;
const SCRAPE_SECONDS = 900;
const GIB = 2 ** 30;

export class Cluster {
  readonly plan: ClusterPlan;
  readonly #random: Random;
  readonly #tenants: readonly string[];
  readonly #namespaces: readonly Namespace[];
  readonly #node: { readonly cpu: ScrapedRow; readonly memory: ScrapedRow };
  readonly #probeStart: ScrapedRow;
  #template: ScrapeTemplate | undefined;

  constructor(plan: ClusterPlan, tenants: readonly string[], random: Random) {
    this.plan = plan;
    this.#random = random;
    this.#tenants = tenants;
    this.#namespaces = plan.namespaces.map((namespace) => this.#namespace(namespace));
    const root = { cluster: plan.cluster, node: 'node-1', id: '/' };
    this.#node = {
      cpu: { metric: 'container_cpu_usage_seconds_total', labels: root, value: 1e6 },
      memory: { metric: 'container_memory_working_set_bytes', labels: root, value: 0 },
    };
    const labels = { cluster: plan.cluster };
    this.#probeStart = { metric: 'process_start_time_seconds', labels, value: 1_700_000_000 };
  }

  get seriesCount(): number {
    return this.#namespaces.reduce((sum, { podMeters, others }) => sum + podMeters.length + others.length, 2);
  }

  /** What happens on a day besides usage, at the time of its first scrape. */
  beginDay(t: number): void {
    const random = this.#random;
    for (const namespace of this.#namespaces) {
      if (random.chance(POD_REPLACED)) this.#replacePod(namespace);
      if (random.chance(COUNTERS_RESET)) restart(namespace.podMeters);
      if (random.chance(CLAIM_GROWS)) grow(namespace.others);
      if (namespace.tenant !== undefined && random.chance(TENANT_MOVES)) this.#move(namespace);
    }
    if (!random.chance(PROBE_RESTARTS)) return;
    this.#probeStart.value = Math.floor(t / 1000) - random.int(1, SCRAPE_SECONDS - 1);
    for (const { others } of this.#namespaces) restart(others);
  }

  /** A quarter of an hour passes. */
  step(): void {
    let [seconds, bytes] = [0, 0];
    for (const { podMeters, others } of this.#namespaces) {
      for (const meter of podMeters) {
        const used = this.#use(meter);
        if (meter.kind === 'seconds') seconds += used;
        if (meter.kind === 'gauge') bytes += used;
      }
      for (const meter of others) this.#use(meter);
    }
    this.#node.cpu.value += seconds * 1.1 + 30;
    this.#node.memory.value = bytes + 2 * GIB;
  }

  /** The record of a scrape at t. */
  record(t: number): Uint8Array {
    this.#template ??= new ScrapeTemplate(this.#targets());
    return this.#template.at(t);
  }

  #use({ row, level, kind }: Meter): number {
    if (kind === 'constant') return row.value;
    const amount = level * (0.5 + this.#random.next());
    if (kind === 'gauge') return (row.value = Math.floor(amount));
    const used = kind === 'bytes' ? Math.floor(amount) : amount;
    row.value += used;
    return used;
  }

  #namespace({ name, tenant }: NamespacePlan): Namespace {
    const { cluster } = this.plan;
    const claim = { cluster, namespace: name, persistentvolumeclaim: 'data' };
    const flow = {
      ...{
        cluster,
        node: 'node-1',
        k8s_src_namespace: name,
        k8s_src_type: 'Pod',
        k8s_src_node_name: 'node-1',
      },
      ...{ k8s_src_owner_name: 'app', dst_cidr: '0.0.0.0/0' },
    };
    const others: readonly Meter[] = [
      {
        row: {
          metric: 'kube_persistentvolumeclaim_resource_requests_storage_bytes',
          labels: claim,
          value: this.#random.int(1, 100) * GIB,
        },
        ...{ level: 0, kind: 'constant' },
      },
      {
        row: { metric: 'beyla_network_flow_bytes_total', labels: flow, value: 0 },
        ...{ level: this.#random.int(1e6, 1e9), kind: 'bytes' },
      },
    ];
    const pod = 1;
    return { name, tenant, pod, podMeters: this.#podMeters(name, pod), others };
  }

  #podMeters(namespace: string, number: number): readonly Meter[] {
    const { cluster } = this.plan;
    const pod = `app-${number}`;
    const id = `/kubepods.slice/kubepods-pod${cluster}_${namespace}_${number}.slice`;
    const labels = { cluster, node: 'node-1', namespace, pod, id };
    const meter = (metric: string, kind: Meter['kind'], level: number): Meter => ({
      row: { metric, labels, value: 0 },
      ...{ level, kind },
    });
    const random = this.#random;
    return [
      meter('container_cpu_usage_seconds_total', 'seconds', SCRAPE_SECONDS * 2 * random.next()),
      meter('container_memory_working_set_bytes', 'gauge', random.int(1, 4_096) * 2 ** 20),
      {
        ...meter('container_network_transmit_bytes_total', 'bytes', random.int(1e6, 2e9)),
        row: {
          metric: 'container_network_transmit_bytes_total',
          labels: { ...labels, interface: 'eth0' },
          value: 0,
        },
      },
    ];
  }

  #replacePod(namespace: Namespace): void {
    namespace.pod++;
    namespace.podMeters = this.#podMeters(namespace.name, namespace.pod);
    this.#template = undefined;
  }

  #move(namespace: Namespace): void {
    namespace.tenant = this.#tenants[this.#random.int(0, this.#tenants.length - 1)];
    this.#template = undefined;
  }

  #targets(): ScrapedTarget[] {
    const { cluster, showsProcessStart } = this.plan;
    const up: ScrapedRow = { metric: 'up', labels: { cluster }, value: 1 };
    const rowsOf = (meters: readonly Meter[], isFlow: boolean): ScrapedRow[] =>
      meters.filter(({ row }) => row.metric.includes('flow') === isFlow).map(({ row }) => row);
    const labels = this.#namespaces.map(({ name: namespace, tenant }) => ({
      metric: 'kube_namespace_labels',
      labels: { cluster, namespace, ...(tenant === undefined ? {} : { label_gh0stcloud_io_tenant: tenant }) },
      value: 1,
    }));
    const claims = this.#namespaces.flatMap(({ others }) => rowsOf(others, false));
    const flows = this.#namespaces.flatMap(({ others }) => rowsOf(others, true));
    const pods = this.#namespaces.flatMap(({ podMeters }) => podMeters.map(({ row }) => row));
    return [
      { job: 'kubelet', instance: 'node-1', rows: [up, this.#node.cpu, this.#node.memory, ...pods] },
      { job: 'kube-state-metrics', instance: cluster, rows: [up, ...labels, ...claims] },
      {
        job: 'beyla',
        instance: 'node-1',
        rows: [up, ...(showsProcessStart ? [this.#probeStart] : []), ...flows],
      },
    ];
  }
}

function restart(meters: readonly Meter[]): void {
  for (const { row, kind } of meters) if (kind === 'seconds' || kind === 'bytes') row.value = 0;
}

function grow(meters: readonly Meter[]): void {
  for (const { row, kind } of meters) if (kind === 'constant') row.value += 10 * GIB;
}
