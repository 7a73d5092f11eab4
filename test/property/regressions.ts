/**
 * Worlds in which the pipeline and the model once differed, shrunk to what made the difference. Each is delivered as it
 * stands: first what comes in time, then, after it was rolled up, what comes late.
 */
import type { ModelRecord, ModelSettings, OtlpAttribute } from '../model/record.ts';
import { metricsData, onLog, type Row, type ScrapeTarget } from '../vectors/otlp-json.ts';
import { VECTOR_SETTINGS } from '../vectors/vectors.ts';

export interface Regression {
  readonly name: string;
  readonly settings: ModelSettings;
  readonly inTime: readonly ModelRecord[];
  readonly late: readonly ModelRecord[];
}

const NINE = Date.parse('2026-10-01T09:00:00Z');
const MINUTE = 60_000;
const BEYLA: ScrapeTarget = { job: 'beyla-app', instance: 'n2' };
const CADVISOR: ScrapeTarget = { job: 'kubelet-cadvisor', instance: 'n1' };
const STATE: ScrapeTarget = { job: 'kube-state-metrics', instance: 'ksm' };
const POD = { cluster: 'rt1', node: 'n1', namespace: 'shop', pod: 'web-0' };
const UP: Omit<Row, 'timeMs'> = { name: 'up', labels: { cluster: 'rt1' }, value: { asDouble: 1 } };

function scrape(minute: number, target: ScrapeTarget, ...rows: readonly Omit<Row, 'timeMs'>[]): ModelRecord {
  const timeMs = NINE + minute * MINUTE;
  const data = metricsData(
    target,
    rows.map((row) => ({ ...row, timeMs })),
  );
  const [record] = onLog([{ timestampMs: timeMs + 1_500, metricsData: data }], 'usage', 1);
  if (record === undefined) throw new Error('one scrape is one record');
  return record;
}

const histogram = (count: string): Omit<Row, 'timeMs'> => ({
  name: 'http_server_request_duration_seconds',
  labels: { cluster: 'rt1', k8s_namespace_name: 'blog' },
  value: { count },
  type: 'histogram',
});
const transmitted = (value: number): Omit<Row, 'timeMs'> => ({
  name: 'container_network_transmit_bytes_total',
  labels: { ...POD, id: '/kubepods/pod1', interface: 'eth0' },
  value: { asDouble: value },
});

function withResource(record: ModelRecord, added: readonly OtlpAttribute[]): ModelRecord {
  const resourceMetrics = record.metricsData?.resourceMetrics ?? [];
  return {
    ...record,
    metricsData: {
      resourceMetrics: resourceMetrics.map(({ resource, scopeMetrics }) => ({
        resource: { attributes: [...added, ...resource.attributes] },
        scopeMetrics,
      })),
    },
  };
}

const LIST: OtlpAttribute = { key: 'process.command_args', value: { arrayValue: { values: [] } } };

export const REGRESSIONS: readonly Regression[] = [
  {
    name: 'a histogram that begins at 0, which protobuf does not write',
    settings: VECTOR_SETTINGS,
    inTime: [scrape(0, BEYLA, UP, histogram('0')), scrape(1, BEYLA, UP, histogram('24'))],
    late: [],
  },
  {
    name: 'a resource with attributes that could be no labels',
    settings: VECTOR_SETTINGS,
    inTime: [0, 1].map((minute) =>
      withResource(scrape(minute, CADVISOR, UP, transmitted(minute * 50)), [LIST, LIST]),
    ),
    late: [],
  },
  {
    name: 'a label that comes twice, once of them empty',
    settings: VECTOR_SETTINGS,
    inTime: [0, 1].map((minute) =>
      scrape(minute, CADVISOR, UP, {
        ...transmitted(minute * 50),
        again: [{ key: 'namespace', value: { stringValue: '' } }],
      }),
    ),
    late: [],
  },
  {
    name: 'a host-network pod that is told late, in another hour than the open one, which has its samples',
    settings: VECTOR_SETTINGS,
    inTime: [
      scrape(0, CADVISOR, UP, transmitted(0)),
      scrape(150, CADVISOR, UP, transmitted(50)),
      scrape(151, CADVISOR, UP, transmitted(90)),
    ],
    late: [
      scrape(10, STATE, {
        name: 'kube_pod_info',
        labels: { ...POD, uid: '', host_network: 'true' },
        value: { asDouble: 1 },
      }),
    ],
  },
];
