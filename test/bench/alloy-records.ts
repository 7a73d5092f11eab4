/**
 * Log records as Alloy's OTLP exporter writes a node's scrape of cAdvisor: one resource per target, everything a gauge,
 * fields last to first, about 256 bytes a point. The same seed gives the same bytes.
 */
import type { LogAppend } from '../../core/eventlog/sample-log.ts';

export interface ScrapedCluster {
  readonly cluster: string;
  readonly seed: number;
  readonly nodes: number;
  readonly podsPerNode: number;
}

/** Metered rows of a pod: CPU, memory, bytes sent and received. */
const SERIES_PER_POD = 4;
const NAMESPACES = 200;
const TENANTS = 40;
const NAMESPACE_LABELS = 'kube_namespace_labels';

interface Row {
  readonly attributes: Buffer;
  /** Value at second s: first + rate x s, as a double. */
  readonly first: number;
  readonly rate: number;
}

interface Node {
  readonly resource: Buffer;
  readonly rows: ReadonlyMap<string, readonly Row[]>;
}

export class AlloyRecords {
  readonly seriesCount: number;
  readonly #cluster: ScrapedCluster;
  readonly #nodes: readonly Node[];
  readonly #state: Node;

  constructor(cluster: ScrapedCluster) {
    this.#cluster = cluster;
    this.seriesCount = cluster.nodes * cluster.podsPerNode * SERIES_PER_POD;
    const random = mulberry32(cluster.seed);
    this.#nodes = Array.from({ length: cluster.nodes }, (_, i) => nodeOf(cluster, i, random));
    this.#state = kubeState(cluster);
  }

  /** What one scrape of every node at `t` puts on the log, one record per node. */
  scrape(t: number): LogAppend[] {
    return this.#nodes.map((node) => this.#record(node, t));
  }

  /** What a scrape of kube-state-metrics says of namespaces. */
  namespaceLabels(t: number): LogAppend {
    return this.#record(this.#state, t);
  }

  #record({ resource, rows }: Node, t: number): LogAppend {
    const metrics = [...rows].map(([name, list]) => field(2, metric(name, list, t)));
    const scopeMetrics = field(2, [...metrics, field(1, SCOPE)].flat());
    const value = Buffer.concat(field(1, [...scopeMetrics, ...field(1, [resource])]));
    return {
      topic: `usage.${this.#cluster.cluster}`,
      timestampMs: t + 500,
      key: resource.subarray(-16),
      value,
    };
  }
}

const SCOPE = [text(2, 'v1.18.1'), text(1, 'otelcol/prometheusreceiver')];
const METADATA = Buffer.concat(field(12, keyValue('prometheus.type', 'unknown')));

function metric(name: string, rows: readonly Row[], t: number): Buffer[] {
  const points = rows.flatMap((row) => field(1, point(row, t)));
  return [METADATA, ...field(5, points), text(1, name)];
}

function point({ attributes, first, rate }: Row, t: number): Buffer[] {
  const head = Buffer.allocUnsafe(18);
  head.writeUInt8((4 << 3) | 1, 0);
  head.writeDoubleLE(first + rate * (t / 1000 - EPOCH_SECONDS), 1);
  head.writeUInt8((3 << 3) | 1, 9);
  head.writeBigUInt64LE(BigInt(t) * 1_000_000n, 10);
  return [head, attributes];
}

/** Counters are counted from here. */
const EPOCH_SECONDS = 1_790_000_000;

function nodeOf(cluster: ScrapedCluster, index: number, random: () => number): Node {
  const node = `${cluster.cluster}-worker-${index}`;
  const rows = new Map<string, Row[]>();
  const add = (name: string, labels: Readonly<Record<string, string>>, values: [number, number]): void => {
    const [first, rate] = values;
    const attributes = attributesOf({ cluster: cluster.cluster, node, ...labels });
    rows.set(name, [...(rows.get(name) ?? []), { attributes, first, rate }]);
  };
  for (let i = 0; i < cluster.podsPerNode; i++) {
    const number = index * cluster.podsPerNode + i;
    const uid = hex(random, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1_$2_$3_$4_$5');
    const slice = 'kubepods-burstable';
    const id = `/kubepods.slice/${slice}.slice/${slice}-pod${uid}.slice`;
    const pod = `workload-${number % 17}-${hex(random, 10)}-${hex(random, 5)}`;
    const labels = { id, namespace: `team-${number % NAMESPACES}`, pod };
    add('container_cpu_usage_seconds_total', { ...labels, cpu: 'total' }, [random() * 1e5, random()]);
    add('container_memory_working_set_bytes', labels, [Math.floor(random() * 2 ** 31), 4096]);
    const bytes = (): [number, number] => [Math.floor(random() * 2 ** 34), Math.floor(random() * 2 ** 16)];
    add('container_network_transmit_bytes_total', { ...labels, interface: 'eth0' }, bytes());
    add('container_network_receive_bytes_total', { ...labels, interface: 'eth0' }, bytes());
    add('container_start_time_seconds', labels, [EPOCH_SECONDS - Math.floor(random() * 1e6), 0]);
  }
  add('up', {}, [1, 0]);
  for (const name of ['scrape_duration_seconds', 'scrape_samples_scraped', 'scrape_series_added']) {
    add(name, {}, [1, 0]);
  }
  return { resource: resourceOf('kubelet-cadvisor', node), rows };
}

function kubeState(cluster: ScrapedCluster): Node {
  const rowOf = (labels: Readonly<Record<string, string>>): Row => ({
    attributes: attributesOf({ cluster: cluster.cluster, ...labels }),
    first: 1,
    rate: 0,
  });
  const labels = Array.from({ length: NAMESPACES }, (_, i) =>
    rowOf({ namespace: `team-${i}`, label_gh0stcloud_io_tenant: `tenant-${i % TENANTS}` }),
  );
  const rows = new Map([
    [NAMESPACE_LABELS, labels],
    ['up', [rowOf({})]],
  ]);
  return { resource: resourceOf('kube-state-metrics', 'kube-state-metrics'), rows };
}

function resourceOf(job: string, instance: string): Buffer {
  const attributes = { 'service.name': job, 'service.instance.id': instance, 'url.scheme': 'https' };
  const others = { 'server.address': instance, 'server.port': '10250' };
  return Buffer.concat(
    Object.entries({ ...attributes, ...others }).flatMap(([k, v]) => field(1, keyValue(k, v))),
  );
}

function attributesOf(labels: Readonly<Record<string, string>>): Buffer {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.concat(sorted.flatMap(([key, value]) => field(7, keyValue(key, value))));
}

/** KeyValue, its value before its key, as the Collector writes it. */
function keyValue(key: string, value: string): Buffer[] {
  return [...field(2, [text(1, value)]), text(1, key)];
}

function text(number: number, value: string): Buffer {
  return Buffer.concat(field(number, [Buffer.from(value)]));
}

function field(number: number, parts: readonly Buffer[]): Buffer[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return [varint((number << 3) | 2), varint(length), ...parts];
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

function hex(random: () => number, digits: number): string {
  return Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('');
}

/** A small generator with 32 bits of state: enough to spread values, and the same everywhere. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4_294_967_296;
  };
}
