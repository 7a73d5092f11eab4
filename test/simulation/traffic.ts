/**
 * What the clusters of a simulated world report: few scrapes, far apart, closer around the ends of months, so
 * that a world of two or three months is a few hundred records. Counters grow, begin again and are born;
 * claims are resized; a namespace moves to another tenant; two scrapers report the same; some records are
 * held back for hours, days or weeks before they reach the log.
 */
import type { ModelRecord } from '../model/record.ts';
import type { Random } from '../property/worlds/random.ts';
import { metricsData, type Row } from '../vectors/otlp-json.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export interface ClusterPlan {
  readonly cluster: string;
  readonly partitions: number;
  /** It is silent from then on; until then for good or for a while. */
  readonly silentFromMs: number;
  readonly silentUntilMs: number;
}

export interface TrafficPlan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly clusters: readonly ClusterPlan[];
  /** Starts of months, around which scrapes are dense. */
  readonly edges: readonly number[];
}

/** Who owns `shop`, and when it moves. */
const TENANTS = ['acme', 'globex', 'initech'] as const;

interface Sent {
  readonly topic: string;
  readonly partition: number;
  readonly timestampMs: number;
  readonly metricsData: ModelRecord['metricsData'];
}

/** As they stand in the log: by their log timestamps, with dense offsets in each partition. */
export function traffic(random: Random, plan: TrafficPlan): ModelRecord[] {
  const sent = plan.clusters.flatMap((cluster) => ofCluster(random, plan, cluster));
  const ends = new Map<string, bigint>();
  return sent
    .map((record, order) => ({ record, order }))
    .sort((a, b) => a.record.timestampMs - b.record.timestampMs || a.order - b.order)
    .map(({ record }) => {
      const name = `${record.topic}/${String(record.partition)}`;
      const offset = ends.get(name) ?? 0n;
      ends.set(name, offset + 1n);
      return { ...record, offset };
    });
}

function ofCluster(random: Random, plan: TrafficPlan, cluster: ClusterPlan): Sent[] {
  const reporters = [
    kubelet(random, cluster.cluster),
    stateMetrics(random, plan, cluster.cluster),
    beyla(random, cluster.cluster),
  ];
  const topic = `usage.${cluster.cluster}`;
  const somePartition = (): number => random.int(0, cluster.partitions - 1);
  const times = scrapeTimes(random, plan, cluster);
  return times.flatMap((t, i) => {
    const scrape = { t, sinceMs: t - (times[i - 1] ?? -Infinity), untilMs: (times[i + 1] ?? Infinity) - t };
    return reporters
      .filter(({ every }) => random.chance(every))
      .flatMap(({ job, rowsAt }) => {
        const rows = [upRow(cluster.cluster, t, random.chance(0.97) ? 1 : 0), ...rowsAt(scrape)];
        const timestampMs = t + delay(random);
        const data = metricsData({ job, instance: 'n1' }, rows);
        const record = { topic, partition: somePartition(), timestampMs, metricsData: data };
        if (!random.chance(0.12)) return [record];
        // The other one of two scrapers, which writes the same a little later.
        const later = timestampMs + random.int(0, HOUR);
        return [record, { ...record, partition: somePartition(), timestampMs: later }];
      });
  });
}

/** How long a record waits at its collector. */
function delay(random: Random): number {
  switch (random.weighted({ none: 86, hours: 5, day: 3, days: 2.5, weeks: 2.5, months: 1 })) {
    case 'none':
      return random.int(500, 3_000);
    case 'hours':
      return random.int(1, 10) * HOUR;
    case 'day':
      return DAY + random.int(0, 12) * HOUR;
    case 'days':
      return random.int(3, 8) * DAY;
    case 'weeks':
      return random.int(9, 25) * DAY;
    case 'months':
      return random.int(26, 50) * DAY;
  }
}

/** Close together around the edges and at a few other times, and days apart in between. */
function scrapeTimes(random: Random, plan: TrafficPlan, cluster: ClusterPlan): number[] {
  const times: number[] = [];
  let t = plan.fromMs + random.int(0, 59) * MINUTE;
  while (t < plan.toMs) {
    if (t < cluster.silentFromMs || t >= cluster.silentUntilMs) times.push(t);
    const isNearEdge = plan.edges.some((edge) => Math.abs(edge - t) < 4 * HOUR);
    const step = isNearEdge
      ? random.pick([20 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR])
      : random.pick([4 * HOUR, 5 * DAY, 8 * DAY, 12 * DAY]);
    const next = t + step;
    const edge = plan.edges.find((each) => each - 4 * HOUR > t && each - 4 * HOUR <= next);
    // Now and then exactly on the edge.
    t = edge !== undefined ? edge - random.int(0, 4) * HOUR : next;
    if (random.chance(0.1)) t += random.int(1, 59) * 1000;
  }
  return times;
}

interface Scrape {
  readonly t: number;
  /** How long ago the last one was, and when the next one will be. */
  readonly sinceMs: number;
  readonly untilMs: number;
}

interface Reporter {
  readonly job: string;
  /** The share of the scrapes in which it is reached. */
  readonly every: number;
  readonly rowsAt: (scrape: Scrape) => Row[];
}

/**
 * Few series live through the weeks between two edges: each hour of theirs would be settled for each late
 * record.
 */
const LONG_MS = DAY;

function upRow(cluster: string, timeMs: number, value: number): Row {
  return { name: 'up', labels: { cluster }, timeMs, value: { asDouble: value } };
}

/** CPU of pods that come and go, and begin again at 0 when their node does. */
function kubelet(random: Random, cluster: string): Reporter {
  const pods = new Map<string, number>();
  const staysLong = random.chance(0.07);
  let born = 0;
  const bear = (namespace: string): void => {
    pods.set(`${namespace}/pod-${String(born++)}`, random.int(0, 500));
  };
  const scraped = (name: string, value: number, t: number): Row[] => {
    const [namespace = '', pod = ''] = name.split('/');
    const next = random.chance(0.04) ? random.int(0, 50) : value + random.int(0, 4000);
    pods.set(name, next);
    if (random.chance(0.03)) return [];
    const labels = { cluster, node: 'n1', namespace, pod, id: `/kubepods/${pod}` };
    const named = { name: 'container_cpu_usage_seconds_total', labels, timeMs: t };
    const row = { ...named, value: { asDouble: next } };
    const conflict = random.chance(0.03) ? [{ ...row, value: { asDouble: next + 1 } }] : [];
    const start = { ...named, name: 'container_start_time_seconds', value: { asDouble: t / 1000 - 60 } };
    return [row, ...conflict, ...(random.chance(0.05) ? [start] : [])];
  };
  return {
    job: 'kubelet',
    every: 0.9,
    rowsAt: ({ t, sinceMs }) => {
      if (sinceMs >= LONG_MS) {
        if (!staysLong) pods.clear();
        for (const namespace of ['shop', 'blog', 'kube-system', 'stray']) bear(namespace);
      }
      if (random.chance(0.1)) bear(random.pick(['shop', 'blog', 'stray']));
      if (random.chance(0.05)) pods.delete([...pods.keys()][random.int(0, pods.size - 1)] ?? '');
      return [...pods].flatMap(([name, value]) => scraped(name, value, t));
    },
  };
}

/** Labels of namespaces and claims of storage. */
function stateMetrics(random: Random, { fromMs, toMs, edges }: TrafficPlan, cluster: string): Reporter {
  const before = random.pick(TENANTS);
  const after = random.pick(TENANTS);
  const moves = random.chance(0.5)
    ? fromMs + random.int(0, toMs - fromMs)
    : random.pick([fromMs, ...edges]) + random.int(-2, 2) * HOUR;
  let claimed = 10 * 2 ** 30;
  return {
    job: 'kube-state-metrics',
    every: 0.6,
    rowsAt: ({ t, untilMs }) => {
      const label = (namespace: string, tenant: string): Row => {
        const labels = { cluster, namespace, label_gh0stcloud_io_tenant: tenant };
        return { name: 'kube_namespace_labels', labels, timeMs: t, value: { asDouble: 1 } };
      };
      if (random.chance(0.1)) claimed += 2 ** 30;
      return [
        label('shop', t < moves ? before : after),
        label('blog', 'initech'),
        label('stray', random.chance(0.02) ? 'globex' : ''),
        {
          name: 'kube_persistentvolumeclaim_resource_requests_storage_bytes',
          labels: { cluster, namespace: 'blog', persistentvolumeclaim: 'data-0' },
          timeMs: t,
          // A claim that is taken back ends what it held.
          value: untilMs >= LONG_MS ? { flags: 1 } : { asDouble: claimed },
        },
      ];
    },
  };
}

/** Requests of `shop`, counted in the memory of an exporter that is restarted now and then. */
function beyla(random: Random, cluster: string): Reporter {
  let [requests, startedMs] = [0, 1];
  return {
    job: 'beyla',
    every: 0.4,
    rowsAt: ({ t, sinceMs }) => {
      if (sinceMs >= LONG_MS || random.chance(0.05))
        [requests, startedMs] = [0, t - random.int(1, 50) * MINUTE];
      requests += random.int(0, 500);
      const labels = { cluster, k8s_namespace_name: 'shop', path: '/' };
      const started = { name: 'process_start_time_seconds', labels: { cluster }, timeMs: t };
      return [
        ...(random.chance(0.8) ? [{ ...started, value: { asDouble: startedMs / 1000 } }] : []),
        {
          name: 'http_server_request_duration_seconds',
          labels,
          timeMs: t,
          value: { count: String(requests) },
          type: 'histogram' as const,
        },
      ];
    },
  };
}

/**
 * 60 core-seconds of a pod of `blog` that nobody had met before, in the quarter of an hour up to this time.
 */
export function freshRecord(
  cluster: string,
  { offset, toMs }: { readonly offset: bigint; readonly toMs: number },
): ModelRecord {
  const labels = { cluster, node: 'n1', namespace: 'blog', pod: 'fresh', id: '/kubepods/fresh' };
  const rows = [0, 60].flatMap((seconds): Row[] => {
    const t = toMs - (seconds === 0 ? 15 * MINUTE : 0);
    const name = 'container_cpu_usage_seconds_total';
    return [upRow(cluster, t, 1), { name, labels, timeMs: t, value: { asDouble: seconds } }];
  });
  const data = metricsData({ job: 'kubelet', instance: 'n1' }, rows);
  return { topic: `usage.${cluster}`, partition: 0, offset, timestampMs: toMs, metricsData: data };
}
