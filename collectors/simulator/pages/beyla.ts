import { type Exporter, type ExporterSeries } from '../exporter.ts';
import { renderLabels } from '../labels.ts';
import { decimal, Exposition } from './exposition.ts';

/** Upper bounds of the request durations, in seconds, and how many of 100 requests stay below. */
const BUCKETS = [
  { le: '0.005', percent: 18n },
  { le: '0.01', percent: 41n },
  { le: '0.05', percent: 83n },
  { le: '0.25', percent: 97n },
  { le: '1', percent: 99n },
  { le: '+Inf', percent: 100n },
] as const;
const MEAN_MS = 31n;

/** The page of one node's Beyla at `t`, or null while it restarts. */
export function beylaPage(exporter: Exporter, t: number): string | null {
  if (exporter.down) return null;
  const page = new Exposition();
  page.family('beyla_network_flow_bytes_total', 'counter', 'bytes submitted from a source to a destination');
  for (const { labels, count } of counted(exporter, 'flow', t)) page.row(labels, count);
  page.row(translatedLabels(exporter), exporter.node.reading.uplink.transmit);
  page.family('http_server_request_duration_seconds', 'histogram', 'duration of HTTP service calls');
  for (const { labels, count } of counted(exporter, 'requests', t)) showHistogram(page, labels, count);
  page.family(
    'process_start_time_seconds',
    'gauge',
    'Start time of the process since unix epoch in seconds.',
  );
  page.row('', decimal(BigInt(exporter.startedMs), 3));
  return page.toString();
}

interface Counted {
  readonly labels: string;
  readonly count: bigint;
}

/** A series is there from its first byte or request on. */
function counted(exporter: Exporter, kind: ExporterSeries['kind'], t: number): Counted[] {
  return [...exporter.series()]
    .filter((series) => series.kind === kind)
    .map((series) => ({ labels: series.labels, count: series.count(t) }))
    .filter(({ count }) => count > 0n);
}

function showHistogram(page: Exposition, labels: string, count: bigint): void {
  for (const { le, percent } of BUCKETS) {
    page.row(`${labels},le="${le}"`, (count * percent) / 100n, undefined, '_bucket');
  }
  page.row(labels, decimal(count * MEAN_MS, 3), undefined, '_sum');
  page.row(labels, count, undefined, '_count');
}

/** What left the node once more, after address translation: from the node, so from nobody's namespace. */
function translatedLabels({ node }: Exporter): string {
  return renderLabels({
    beyla_ip: node.ip,
    direction: 'request',
    dst_cidr: '0.0.0.0/0',
    k8s_dst_namespace: '',
    k8s_dst_type: '',
    k8s_src_name: node.name,
    k8s_src_namespace: '',
    k8s_src_node_name: node.name,
    k8s_src_type: 'Node',
  });
}
