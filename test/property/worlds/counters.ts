/**
 * Counters of the kernel (cAdvisor) and counters in an exporter's memory (Beyla), with what tells their
 * starts.
 */
import type { OtlpValue } from '../../model/record.ts';
import type { Row, WireType } from '../../vectors/otlp-json.ts';
import { liveCounter, numberOf, type CounterPlan } from './counter-rows.ts';
import { flowDetails, requestDetails } from './details.ts';
import type { Random } from './random.ts';
import {
  aroundSample,
  addTarget,
  HOUR,
  MINUTE,
  schedule,
  SECOND,
  somePod,
  type Place,
  type Pod,
  type Scene,
  type Scrape,
} from './scene.ts';

type KernelMeter = 'cpu' | 'transmit' | 'receive';

const CPU_AMOUNTS = [0.5, 1, 7.25, 0.000_000_000_5, 30] as const;
const BYTE_AMOUNTS = [1, 7, 10, 600, 1_000_000] as const;

/** A kubelet's cAdvisor, often scraped by a second job as well; one or two cgroups. */
export function addKernelCounters(scene: Scene, { cluster, node, namespace }: Place): void {
  const { random } = scene;
  const times = schedule(scene, random.int(4, 11));
  const { scrapes } = addTarget(scene, { cluster, job: 'kubelet-cadvisor', node, times });
  const shown: Row[] = [];
  for (let count = random.int(1, 2); count > 0; count -= 1) {
    const pod = somePod(random);
    const meter = random.weighted<KernelMeter>({ cpu: 5, transmit: 3, receive: 2 });
    const labels = { namespace, pod: pod.name, ...kernelLabels(random, meter, pod) };
    const first = firstIndex(random, scrapes.length);
    shown.push(...liveCounter(scene, scrapes, kernelPlan(scene, meter, labels, first)));
    if (random.chance(0.5)) addContainerStarts(random, scrapes, { ...labels, id: pod.id }, first);
    if (random.chance(0.15)) addRowsThatDoNotCount(random, scrapes, labels, shown[0]?.name ?? '');
  }
  if (random.chance(0.3)) addSecondJob(scene, { cluster, node, namespace }, times, shown);
}

function kernelLabels(random: Random, meter: KernelMeter, pod: Pod): Record<string, string> {
  const empty: Record<string, string> = random.chance(0.2) ? { container: '', image: '' } : {};
  if (meter === 'cpu') return { id: pod.id, ...empty, ...(random.chance(0.6) ? { cpu: 'total' } : {}) };
  return { ...(random.chance(0.25) ? {} : { id: pod.id }), interface: 'eth0', ...empty };
}

function kernelPlan(
  scene: Scene,
  meter: KernelMeter,
  labels: Record<string, string>,
  first: number,
): CounterPlan {
  const { random, settings } = scene;
  const isCpu = meter === 'cpu';
  return {
    name: isCpu ? 'container_cpu_usage_seconds_total' : `container_network_${meter}_bytes_total`,
    labels,
    type: random.chance(0.25) ? 'sum' : 'gauge',
    amounts: isCpu ? CPU_AMOUNTS : BYTE_AMOUNTS,
    // The bound of METERING.md 6.6 in the metric's own unit: 1.1 x cores x s, 1.1 x bytes/s x s.
    allowed: (ms) => (isCpu ? settings.maxCores : settings.maxLinkBytesPerSecond) * (ms / SECOND) * 1.1,
    ownTimes: random.chance(0.7),
    starts: random.weighted({ none: 60, own: 30, mixed: 10 }),
    first,
  };
}

export function firstIndex(random: Random, scrapes: number): number {
  return Math.min(random.pick([0, 0, 1, 1, 2, 3]), scrapes - 2);
}

/**
 * `container_start_time_seconds` from long before metering to after the first sample, twice where it moves.
 */
function addContainerStarts(
  random: Random,
  scrapes: readonly Scrape[],
  { namespace, pod, id }: Record<string, string>,
  first: number,
): void {
  const begin = scrapes[0]?.timeMs ?? 0;
  const at = scrapes[first]?.timeMs ?? begin;
  const before = scrapes[first - 1]?.timeMs ?? begin - MINUTE;
  const startMs = random.pick([begin - HOUR, begin, aroundSample(random, before, at), before, at + MINUTE]);
  const labels = {
    namespace: namespace ?? '',
    pod: pod ?? '',
    ...(random.chance(0.08) ? {} : { id: id ?? '' }),
  };
  scrapes.slice(first + (random.chance(0.2) ? 1 : 0)).forEach(({ timeMs, rows }) => {
    const moved = random.chance(0.1) ? startMs + random.pick([-20, 30]) * SECOND : startMs;
    const value = random.chance(0.04)
      ? { asDouble: random.pick<number | string>([0, 'NaN']) }
      : { asDouble: moved / SECOND };
    if (random.chance(0.7)) rows.push({ name: 'container_start_time_seconds', labels, timeMs, value });
  });
}

/** Container rows, other interfaces, rows of /metrics/resource: detail that must never be added on top. */
function addRowsThatDoNotCount(
  random: Random,
  scrapes: readonly Scrape[],
  labels: Record<string, string>,
  name: string,
): void {
  const { id, interface: device, ...withoutId } = labels;
  const other = random.pick<Record<string, string>>([
    { ...labels, id: id ?? '', container: 'app', interface: 'lo' },
    { ...withoutId, interface: device === undefined ? '' : 'net1' },
  ]);
  scrapes.forEach(({ timeMs, rows }, index) => {
    rows.push({ name, labels: other, timeMs, value: { asDouble: 1000 + index * 7 } });
  });
}

/** The same rows scraped by another job, a little later: the same (series, t) from two targets. */
function addSecondJob(scene: Scene, place: Place, times: readonly number[], shown: readonly Row[]): void {
  const { random } = scene;
  const delay = random.pick([0, 0, 3 * SECOND, 10 * SECOND]);
  const kept = times.filter(() => random.chance(0.8)).map((time) => time + delay);
  if (kept.length === 0) return;
  const { cluster, node } = place;
  const { scrapes } = addTarget(scene, { cluster, job: 'kubelet-cadvisor-b', node, times: kept });
  for (const row of shown) {
    const scrape = scrapes.find(({ timeMs }) => timeMs >= row.timeMs);
    // A marker is what its own collector says, so another job has none of it to repeat.
    if (scrape !== undefined && !('flags' in row.value) && random.chance(0.85)) scrape.rows.push(row);
  }
}

type ExporterMeter = 'egress' | 'internal' | 'http';

/** Beyla: one or two series, its process start where it shows one, and sometimes a second reporter. */
export function addExporterCounters(scene: Scene, place: Place): void {
  const { random } = scene;
  const meter = random.weighted<ExporterMeter>({ egress: 4, internal: 2, http: 4 });
  const times = schedule(scene, random.int(4, 11));
  const job = meter === 'http' ? 'beyla-app' : 'beyla-network';
  const { cluster, node } = place;
  const { scrapes } = addTarget(scene, { cluster, job, node, times });
  const shown: Row[] = [];
  for (let count = random.int(1, 2); count > 0; count -= 1) {
    const plan = exporterPlan(scene, meter, place, firstIndex(random, scrapes.length));
    shown.push(...liveCounter(scene, scrapes, plan));
  }
  const restart = random.chance(0.65) ? addProcessStarts(random, scrapes) : undefined;
  if (random.chance(0.25)) addSecondReporter(scene, place, job, { times, shown, restart });
}

function exporterPlan(
  scene: Scene,
  meter: ExporterMeter,
  { node, namespace }: Place,
  first: number,
): CounterPlan {
  const { random, settings } = scene;
  const isHttp = meter === 'http';
  const asHistogram = isHttp && random.chance(0.35);
  const type = asHistogram ? random.pick<WireType>(['histogram', 'histogram', 'summary']) : 'gauge';
  const metric = asHistogram
    ? 'http_server_request_duration_seconds'
    : 'http_server_request_duration_seconds_count';
  const agent = random.pick(['beyla', 'beyla', 'obi']);
  return {
    name: isHttp ? metric : `${agent}_network_flow_bytes_total`,
    labels: isHttp
      ? { ...httpLabels(random, namespace), ...requestDetails(scene.details) }
      : { ...flowLabels(random, meter, namespace, node), ...flowDetails(scene.details, meter) },
    type,
    amounts: BYTE_AMOUNTS,
    allowed: isHttp ? undefined : (ms) => settings.maxLinkBytesPerSecond * (ms / SECOND) * 1.1,
    ownTimes: false,
    starts: random.weighted({ none: 80, own: 12, mixed: 8 }),
    first,
  };
}

function httpLabels(random: Random, namespace: string): Record<string, string | OtlpValue> {
  return {
    k8s_namespace_name: namespace,
    http_route: '/',
    // A number and its text are one label value, so these two are one series.
    http_response_status_code: random.chance(0.3) ? { intValue: '200' } : '200',
  };
}

function flowLabels(
  random: Random,
  meter: ExporterMeter,
  namespace: string,
  node: string,
): Record<string, string> {
  return {
    k8s_src_namespace: namespace,
    k8s_src_type: random.chance(0.95) ? 'Pod' : 'Node',
    ...(random.chance(0.4) ? { k8s_src_node_name: random.chance(0.9) ? node : 'elsewhere' } : {}),
    ...(random.chance(0.5) ? { beyla_ip: '10.9.0.11' } : {}),
    ...(meter === 'internal'
      ? random.pick<Record<string, string>>([
          { k8s_dst_namespace: 'shop' },
          { dst_cidr: '10.42.0.0/16' },
          { k8s_dst_type: 'Node' },
        ])
      : random.pick<Record<string, string>>([{ dst_cidr: '0.0.0.0/0' }, { dst_cidr: '::/0' }, {}])),
  };
}

/** Rows of `process_start_time_seconds`, now and then missing, doubled, or moved by a restart. */
function addProcessStarts(random: Random, scrapes: readonly Scrape[]): readonly Row[] {
  const begin = scrapes[0]?.timeMs ?? 0;
  const early = scrapes[1]?.timeMs ?? begin + MINUTE;
  let startMs = random.pick([
    begin - HOUR,
    begin - 10 * SECOND,
    begin,
    begin,
    aroundSample(random, begin, early),
  ]);
  const all: Row[] = [];
  scrapes.forEach(({ timeMs, rows }, index) => {
    const before = scrapes[index - 1]?.timeMs;
    if (before !== undefined && random.chance(0.15)) startMs = aroundSample(random, before, timeMs);
    if (random.chance(0.2)) return;
    const row = {
      name: 'process_start_time_seconds',
      labels: {},
      timeMs,
      value: { asDouble: startMs / SECOND },
    };
    rows.push(row);
    all.push(row);
    if (random.chance(0.04)) rows.push({ ...row, value: { asDouble: (startMs - 5 * SECOND) / SECOND } });
  });
  return all;
}

/** The same series from another instance: where no node is told, both count as one. */
function addSecondReporter(
  scene: Scene,
  { cluster }: Place,
  job: string,
  of: { times: readonly number[]; shown: readonly Row[]; restart: readonly Row[] | undefined },
): void {
  const { random } = scene;
  const shift = random.pick([0, 0, 7 * SECOND, MINUTE]);
  const times = of.times.map((time) => time + shift);
  const from = random.pick([0, 0, 1]);
  const { scrapes } = addTarget(scene, { cluster, job, node: 'n2', times: times.slice(from) });
  for (const row of [...of.shown, ...(of.restart ?? [])]) {
    const scrape = scrapes.find(({ timeMs }) => timeMs === row.timeMs + shift);
    if (scrape === undefined || 'flags' in row.value || random.chance(0.2)) continue;
    scrape.rows.push({ ...row, timeMs: row.timeMs + shift });
  }
}

/**
 * Delta points: each its own interval, with holes, repeats, other starts at the same t, and no start at all.
 */
export function addDeltaCounters(scene: Scene, { cluster, node, namespace }: Place): void {
  const { random } = scene;
  const times = schedule(scene, random.int(4, 9));
  const { scrapes } = addTarget(scene, { cluster, job: 'otel-app', node, times });
  const type = random.pick<WireType>(['delta', 'delta_histogram']);
  const name =
    type === 'delta' ? 'http_server_request_duration_seconds_count' : 'http_server_request_duration_seconds';
  const labels = httpLabels(random, namespace);
  scrapes.forEach(({ timeMs, rows }, index) => {
    const before = scrapes[index - 1]?.timeMs ?? timeMs - MINUTE;
    const startMs = random.chance(0.2) ? aroundSample(random, before, timeMs) : before;
    const value = numberOf(random, random.pick(BYTE_AMOUNTS), type);
    const row: Row = { name, labels, timeMs, value, type };
    if (random.chance(0.85)) rows.push(random.chance(0.95) ? { ...row, startMs } : row);
    if (random.chance(0.12)) rows.push({ ...row, startMs });
    if (random.chance(0.1)) rows.push({ ...row, startMs: aroundSample(random, before, timeMs) });
    // The same labels, cumulative: another series.
    if (random.chance(0.15))
      rows.push({
        ...row,
        value: { asDouble: 10 * index },
        name: `${name.replace(/_count$/, '')}_count`,
        type: 'sum',
      });
  });
}
