import { type ClusterSimulator } from '../../../../collectors/simulator/simulator.ts';
import { type PageRow, scrape } from './page-rows.ts';
import { type SimulatedClock } from './simulated-clock.ts';

/*
 * The metering rules once more, for just what the simulator's pages can hold and in the plainest way: all
 * samples in memory, one pass per series. It knows the pages and nothing of the world behind them.
 */

type Labels = PageRow['labels'];

interface Series {
  readonly meter: string;
  readonly namespace: string;
  readonly kind: 'kernel' | 'memory' | 'gauge';
  readonly node: string;
  readonly id: string;
  readonly target: string;
  readonly samples: Map<number, bigint | null>;
}

interface Interval {
  readonly from: number;
  readonly to: number;
  readonly amount: bigint;
}

interface Watch {
  readonly untilMs: number;
  readonly intervalMs: number;
  readonly latencyMs: number;
}

const HOUR = 3_600_000;
const MAX_HOLD = 300_000;

export class NaiveMetering {
  readonly #series = new Map<string, Series>();
  readonly #scrapes = new Map<string, number[]>();
  readonly #shown = new Map<string, Set<string>>();
  readonly #containerStarts = new Map<string, number>();
  readonly #processStarts = new Map<string, { readonly t: number; readonly start: number }[]>();
  readonly #owners = new Map<string, { readonly t: number; readonly tenant: string }[]>();
  readonly #hostNetwork = new Set<string>();
  readonly #platform: readonly string[];

  constructor(platform: readonly string[]) {
    this.#platform = platform;
  }

  /**
   * Scrapes every target, each at its own offset, from now on; a page comes up to `latencyMs` after its
   * stamp.
   */
  watch(simulator: ClusterSimulator, clock: SimulatedClock, { untilMs, intervalMs, latencyMs }: Watch): void {
    const paths = simulator.paths();
    const offsets = paths.map((_, index) => Math.floor((index * intervalMs) / paths.length));
    for (let begin = clock.now(); begin <= untilMs; begin += intervalMs) {
      paths.forEach((path, index) => {
        const t = begin + offsets[index]!;
        if (t > untilMs) return;
        clock.set(t + ((begin + 7 * index) % (latencyMs + 1)));
        const rows = scrape(simulator, path);
        if (rows !== null && !path.endsWith('/metrics/resource')) this.#take(path, t, rows);
      });
    }
  }

  /** Sums by `hour/tenant/namespace/meter`. */
  usage(): Map<string, bigint> {
    const sums = new Map<string, bigint>();
    for (const series of this.#series.values()) {
      if (series.meter.startsWith('network') && this.#hostNetwork.has(uidOf(series.id))) continue;
      for (const interval of series.kind === 'gauge' ? held(series) : this.#counted(series)) {
        this.#share(sums, series, interval);
      }
    }
    return sums;
  }

  #take(path: string, t: number, rows: readonly PageRow[]): void {
    this.#scrapes.set(path, [...(this.#scrapes.get(path) ?? []), t]);
    const node = /^\/nodes\/([^/]+)/.exec(path)?.[1] ?? '';
    const over = new Set(
      rows
        .filter((row) => row.name === 'kube_pod_status_phase' && row.value === 1)
        .filter((row) => /Succeeded|Failed|Unknown/.test(row.labels['phase'] ?? ''))
        .map((row) => row.labels['uid'] ?? ''),
    );
    const shown = new Set<string>();
    for (const row of rows) {
      this.#learn(path, node, t, row);
      const series = this.#seriesOf(path, node, row);
      if (series === null) continue;
      const off = row.name === 'kube_pod_container_resource_requests' && over.has(row.labels['uid'] ?? '');
      series.samples.set(row.t ?? t, off ? null : baseUnits(series.meter, row.value));
      shown.add(keyOf(series, row.labels));
    }
    for (const gone of this.#shown.get(path) ?? []) {
      const series = this.#series.get(gone)!;
      if (!shown.has(gone) && series.kind === 'gauge') series.samples.set(t, series.samples.get(t) ?? null);
    }
    this.#shown.set(path, shown);
  }

  #learn(path: string, node: string, t: number, { name, labels, value }: PageRow): void {
    if (name === 'container_start_time_seconds') {
      const id = `${node}${labels['id'] ?? ''}`;
      this.#containerStarts.set(id, Math.min(this.#containerStarts.get(id) ?? Infinity, value * 1_000));
    } else if (name === 'process_start_time_seconds') {
      const known = this.#processStarts.get(path) ?? [];
      this.#processStarts.set(path, [...known, { t, start: Math.round(value * 1_000) }]);
    } else if (name === 'kube_namespace_labels') {
      const namespace = labels['namespace'] ?? '';
      const tenant = labels['label_gh0stcloud_io_tenant'] ?? 'unattributed';
      this.#owners.set(namespace, [...(this.#owners.get(namespace) ?? []), { t, tenant }]);
    } else if (name === 'kube_pod_info' && labels['host_network'] === 'true') {
      this.#hostNetwork.add(labels['uid'] ?? '');
    }
  }

  #seriesOf(target: string, node: string, { name, labels }: PageRow): Series | null {
    const what = meterOf(name, labels, node);
    if (what === null) return null;
    const namespace =
      labels['namespace'] ?? labels['k8s_src_namespace'] ?? labels['k8s_namespace_name'] ?? '';
    const series: Series = { ...what, namespace, node, target, id: labels['id'] ?? '', samples: new Map() };
    const key = keyOf(series, labels);
    const known = this.#series.get(key);
    if (known === undefined) this.#series.set(key, series);
    return known ?? series;
  }

  *#counted(series: Series): Iterable<Interval> {
    const samples = [...series.samples].sort(([a], [b]) => a - b) as [number, bigint][];
    let before: readonly [number, bigint] | null = null;
    for (const [t, value] of samples) {
      const start = series.kind === 'memory' ? this.#processStart(series.target, t) : null;
      if (before === null) {
        const from = this.#birth(series, t, start);
        if (from !== null) yield { from, to: t, amount: value };
      } else if (start !== null && start > before[0]) yield { from: start, to: t, amount: value };
      else if (value < before[1]) yield { from: before[0], to: t, amount: value };
      else yield { from: before[0], to: t, amount: value - before[1] };
      before = [t, value];
    }
  }

  #birth(series: Series, t: number, processStart: number | null): number | null {
    const scrapes = this.#scrapes.get(series.target) ?? [];
    const firstMs = scrapes[0] ?? Infinity;
    const sighted = scrapes.find((at) => at >= t) ?? t;
    const without = scrapes.findLast((at) => at < sighted && at < t) ?? null;
    const start = this.#containerStarts.get(`${series.node}${series.id}`) ?? t;
    if (series.kind === 'kernel' && start < t) return start >= firstMs ? start : null;
    if (processStart !== null && processStart >= firstMs) return Math.max(processStart, without ?? 0);
    return without;
  }

  #processStart(target: string, t: number): number | null {
    const shown = this.#processStarts.get(target)?.find((each) => each.t >= t)?.start ?? t;
    return shown < t ? shown : null;
  }

  #share(sums: Map<string, bigint>, { namespace, meter }: Series, { from, to, amount }: Interval): void {
    const owners = this.#owners.get(namespace) ?? [];
    const cuts = [from, to, ...owners.map(({ t }) => t)];
    for (let hour = Math.ceil(from / HOUR) * HOUR; hour < to; hour += HOUR) cuts.push(hour);
    const inside = [...new Set(cuts)].filter((cut) => cut >= from && cut <= to).sort((a, b) => a - b);
    const until = (t: number): bigint => (amount * BigInt(t - from)) / BigInt(to - from);
    inside.slice(1).forEach((end, index) => {
      const begin = inside[index]!;
      const seen = owners.findLast(({ t }) => t <= begin) ?? owners[0];
      const tenant = this.#platform.includes(namespace) ? 'platform' : (seen?.tenant ?? 'unattributed');
      const key = `${Math.floor(begin / HOUR) * HOUR}/${tenant}/${namespace}/${meter}`;
      sums.set(key, (sums.get(key) ?? 0n) + until(end) - until(begin));
    });
  }
}

function* held(series: Series): Iterable<Interval> {
  const samples = [...series.samples].sort(([a], [b]) => a - b);
  for (const [index, [from, value]] of samples.entries()) {
    const to = Math.min(samples[index + 1]?.[0] ?? from, from + MAX_HOLD);
    if (value !== null && to > from) yield { from, to, amount: value * BigInt(to - from) };
  }
}

const NAMES: Readonly<Record<string, { readonly meter: string; readonly kind: Series['kind'] }>> = {
  container_cpu_usage_seconds_total: { meter: 'cpu', kind: 'kernel' },
  container_memory_working_set_bytes: { meter: 'memory', kind: 'gauge' },
  container_network_receive_bytes_total: { meter: 'network_receive', kind: 'kernel' },
  container_network_transmit_bytes_total: { meter: 'network_transmit', kind: 'kernel' },
  beyla_network_flow_bytes_total: { meter: 'egress', kind: 'memory' },
  http_server_request_duration_seconds_count: { meter: 'http_requests', kind: 'memory' },
  kube_persistentvolumeclaim_resource_requests_storage_bytes: { meter: 'storage', kind: 'gauge' },
  kubelet_volume_stats_used_bytes: { meter: 'storage_used', kind: 'gauge' },
  kube_pod_container_resource_requests: { meter: 'request', kind: 'gauge' },
};

function meterOf(name: string, labels: Labels, node: string): Pick<Series, 'meter' | 'kind'> | null {
  const known = NAMES[name] ?? null;
  if (known === null) return null;
  if (known.meter === 'request') return { ...known, meter: `${labels['resource'] ?? ''}_request` };
  if (known.meter === 'egress') {
    if (labels['k8s_src_type'] !== 'Pod' || labels['k8s_src_node_name'] !== node) return null;
    const outside = labels['dst_cidr'] === '0.0.0.0/0' || labels['dst_cidr'] === '::/0';
    return outside && !labels['k8s_dst_namespace'] ? known : { ...known, meter: 'egress_internal' };
  }
  if (!name.startsWith('container_')) return known;
  if (!labels['pod']) return null;
  if (known.meter.startsWith('network')) return labels['interface'] === 'eth0' ? known : null;
  return labels['container'] || labels['image'] ? null : known;
}

function keyOf({ meter, node }: Series, labels: Labels): string {
  const { beyla_ip: _, ...identity } = labels;
  const place = meter === 'storage_used' ? '' : node;
  return JSON.stringify([meter, place, identity]);
}

function baseUnits(meter: string, value: number): bigint {
  if (meter === 'cpu') return BigInt(Math.round(value * 1e9));
  if (meter === 'cpu_request') return BigInt(Math.round(value * 1_000)) * 1_000n;
  return BigInt(value);
}

function uidOf(id: string): string {
  return (/-pod([0-9a-f_]{36})\.slice/.exec(id)?.[1] ?? '').replaceAll('_', '-');
}
