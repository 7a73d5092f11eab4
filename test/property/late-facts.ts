/**
 * What comes late, one kind at a time: everything else was rolled up for good, and later hours exist, when a
 * single record arrives that changes an earlier one. Each says in its name what the late record is.
 */
import type { ModelRecord, ModelSettings } from '../model/record.ts';
import { metricsData, onLog, type Row, type ScrapeTarget } from '../vectors/otlp-json.ts';
import { VECTOR_SETTINGS } from '../vectors/vectors.ts';

const MINUTE = 60_000;
const DAY = Date.parse('2026-10-01T00:00:00Z');

export interface LateFact {
  readonly name: string;
  readonly settings: ModelSettings;
  readonly before: readonly ModelRecord[];
  readonly late: readonly ModelRecord[];
}

interface Scene {
  readonly name: string;
  /** 'hh:mm' or 'hh:mm:ss'; the record of that time, or of that time and target, is late. */
  readonly late: string;
  readonly settings?: Partial<ModelSettings>;
  readonly records: readonly Scraped[];
}

interface Scraped {
  readonly at: string;
  readonly target: ScrapeTarget;
  readonly rows: readonly Row[];
}

const CADVISOR = { job: 'kubelet-cadvisor', instance: 'n1' };
const BEYLA = { job: 'beyla-app', instance: 'n1' };
const STATE = { job: 'kube-state-metrics', instance: 'ksm' };
const UID = '04261a93-336a-4f8b-a8ed-d55c474ab25c';
const POD = { cluster: 'rt1', node: 'n1', namespace: 'shop', pod: 'web-0' };
const ID = `/kubepods/pod${UID}`;

function time(at: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = at.split(':').map(Number);
  return DAY + ((hours * 60 + minutes) * 60 + seconds) * 1000;
}

function scraped(at: string, target: ScrapeTarget, ...rows: readonly Omit<Row, 'timeMs'>[]): Scraped {
  return { at, target, rows: rows.map((row) => ({ ...row, timeMs: time(at) })) };
}

type TimelessRow = Omit<Row, 'timeMs'>;

const row = (name: string, labels: Row['labels'], value: number, startMs?: number): TimelessRow => ({
  name,
  labels,
  value: { asDouble: value },
  ...(startMs === undefined ? {} : { startMs }),
});
const up = (value = 1): TimelessRow => row('up', { cluster: 'rt1' }, value);
const cpu = (seconds: number, start?: string): TimelessRow =>
  row(
    'container_cpu_usage_seconds_total',
    { ...POD, id: ID },
    seconds,
    start === undefined ? undefined : time(start),
  );
const bytes = (value: number): TimelessRow =>
  row('container_network_transmit_bytes_total', { ...POD, id: ID, interface: 'eth0' }, value);
const requests = (value: number): TimelessRow =>
  row('http_server_request_duration_seconds_count', { cluster: 'rt1', k8s_namespace_name: 'shop' }, value);
const processStart = (at: string): TimelessRow =>
  row('process_start_time_seconds', { cluster: 'rt1' }, time(at) / 1000);
const containerStart = (at: string): TimelessRow =>
  row('container_start_time_seconds', { ...POD, id: ID }, time(at) / 1000);
const owner = (tenant: string): TimelessRow =>
  row('kube_namespace_labels', { cluster: 'rt1', namespace: 'shop', label_gh0stcloud_io_tenant: tenant }, 1);
const detail = (name: string, labels: Row['labels']): TimelessRow =>
  row(name, { cluster: 'rt1', namespace: 'shop', ...labels }, 1);
const controller = (kind: string, name: string): Row['labels'] => ({
  ...{ owner_kind: kind, owner_name: name, owner_is_controller: 'true' },
});
const podOf = (kind: string, name: string): TimelessRow =>
  detail('kube_pod_owner', { pod: 'web-0', ...controller(kind, name) });
const replicaSetOf = (deployment: string): TimelessRow =>
  detail('kube_replicaset_owner', { replicaset: 'web-5d9', ...controller('Deployment', deployment) });
const claim = (bytes: number): TimelessRow =>
  row(
    'kube_persistentvolumeclaim_resource_requests_storage_bytes',
    { cluster: 'rt1', namespace: 'shop', persistentvolumeclaim: 'data-db-0' },
    bytes,
  );
const classOf = (storageclass: string): TimelessRow =>
  detail('kube_persistentvolumeclaim_info', { persistentvolumeclaim: 'data-db-0', storageclass });
const hostNetwork = (uid: string): TimelessRow =>
  row('kube_pod_info', { ...POD, uid, host_network: 'true' }, 1);
const REQUEST = {
  cluster: 'rt1',
  namespace: 'shop',
  pod: 'web-0',
  uid: UID,
  container: 'app',
  resource: 'cpu',
};
const cores = (value: number): TimelessRow => row('kube_pod_container_resource_requests', REQUEST, value);
const failed = (): TimelessRow =>
  row('kube_pod_status_phase', { cluster: 'rt1', namespace: 'shop', uid: UID, phase: 'Failed' }, 1);

/** Ten minutes: births look back no further, and coverage no further ahead. */
const SHORT = { latenessMs: 10 * MINUTE };

const SCENES: readonly Scene[] = [
  {
    name: 'the first sample of a meter, whose target had been scraped for hours',
    late: '12:30',
    records: [
      scraped('09:30', CADVISOR, up()),
      scraped('10:30', CADVISOR, up()),
      scraped('12:30', CADVISOR, bytes(90)),
      scraped('12:31', CADVISOR, up()),
      scraped('14:30', CADVISOR, up()),
    ],
  },
  {
    name: 'the scrape before a birth that no scrape has followed yet',
    late: '11:58',
    records: [
      scraped('09:00', CADVISOR, up()),
      scraped('11:58', CADVISOR, up()),
      scraped('12:05', CADVISOR, cpu(7)),
      scraped('13:30', CADVISOR, cpu(9)),
      scraped('15:30', CADVISOR, cpu(9)),
    ],
  },
  {
    name: 'a scrape that joins the last one of its hour to the first of the next',
    late: '10:58',
    records: [
      scraped('09:30', CADVISOR, up(), bytes(0)),
      scraped('10:58', CADVISOR, up()),
      scraped('11:01', CADVISOR, up(), bytes(90)),
      scraped('12:30', CADVISOR, up(), bytes(190)),
      scraped('13:30', CADVISOR, up(), bytes(290)),
    ],
  },
  {
    name: 'the first scrape of all, hours before a birth whose start lies behind it',
    late: '09:00',
    settings: SHORT,
    records: [
      scraped('09:00', CADVISOR, up()),
      scraped('12:00', CADVISOR, up()),
      scraped('12:30', CADVISOR, up(), cpu(7, '09:30')),
      scraped('13:30', CADVISOR, up(), cpu(9, '09:30')),
      scraped('15:30', CADVISOR, up(), cpu(9, '09:30')),
    ],
  },
  {
    name: 'the only scrape that proves a birth',
    late: '12:25',
    settings: SHORT,
    records: [
      scraped('09:00', CADVISOR, up()),
      scraped('12:25', CADVISOR, up()),
      scraped('12:30', CADVISOR, up(), cpu(7)),
      scraped('13:30', CADVISOR, up(), cpu(9)),
      scraped('15:30', CADVISOR, up(), cpu(9)),
    ],
  },
  {
    name: 'a scrape exactly the lateness before a birth in another hour',
    late: '11:55',
    settings: SHORT,
    records: [
      scraped('09:00', CADVISOR, up()),
      scraped('11:55', CADVISOR, up()),
      scraped('12:05', CADVISOR, up(), cpu(7)),
      scraped('13:30', CADVISOR, up(), cpu(9)),
      scraped('15:30', CADVISOR, up(), cpu(9)),
    ],
  },
  {
    name: 'a container start, said by a scrape hours after the birth',
    late: '14:00',
    records: [
      scraped('09:00', CADVISOR, up()),
      scraped('11:30', CADVISOR, up(), cpu(7)),
      scraped('12:30', CADVISOR, up(), cpu(9)),
      scraped('14:00', CADVISOR, containerStart('11:10')),
      scraped('15:30', CADVISOR, up(), cpu(9)),
    ],
  },
  {
    name: 'a container start at the very time of the first sample, which proves nothing',
    late: '14:00',
    records: [
      scraped('09:00', CADVISOR, up()),
      scraped('11:30', CADVISOR, up(), cpu(7)),
      scraped('12:30', CADVISOR, up(), cpu(9)),
      scraped('14:00', CADVISOR, containerStart('11:30')),
      scraped('15:30', CADVISOR, up(), cpu(9)),
    ],
  },
  {
    name: 'a process start that moved, hours after the sample it resets',
    late: '14:00',
    records: [
      scraped('09:00', BEYLA, up(), requests(100), processStart('08:00')),
      scraped('10:10', BEYLA, up(), requests(110)),
      scraped('11:10', BEYLA, up(), requests(150)),
      scraped('14:00', BEYLA, processStart('10:40')),
      scraped('15:30', BEYLA, up(), requests(160)),
      scraped('16:30', BEYLA, up(), requests(160)),
    ],
  },
  {
    name: 'an older process start, shown between a sample and the newer one',
    late: '12:20',
    records: [
      scraped('09:00', BEYLA, up(), requests(100), processStart('08:00')),
      scraped('10:10', BEYLA, up(), requests(110), processStart('08:00')),
      scraped('11:10', BEYLA, up(), requests(150)),
      scraped('12:20', BEYLA, processStart('08:00')),
      scraped('14:00', BEYLA, processStart('10:40')),
      scraped('16:30', BEYLA, up(), requests(160), processStart('10:40')),
    ],
  },
  {
    name: 'a change of owner, hours back',
    late: '10:20',
    records: [
      scraped('09:00', STATE, owner('acme')),
      scraped('09:30', CADVISOR, up(), bytes(0)),
      scraped('10:20', STATE, owner('globex')),
      scraped('10:30', CADVISOR, up(), bytes(90)),
      scraped('11:30', CADVISOR, up(), bytes(190)),
      scraped('12:30', CADVISOR, up(), bytes(290)),
      scraped('13:30', CADVISOR, up(), bytes(390)),
      scraped('14:00', STATE, owner('initech')),
      scraped('14:30', CADVISOR, up(), bytes(490)),
      scraped('17:30', CADVISOR, up(), bytes(500)),
      scraped('18:30', CADVISOR, up(), bytes(500)),
    ],
  },
  {
    name: 'the first sighting of all, which also holds before it',
    late: '10:20',
    records: [
      scraped('07:30', CADVISOR, up(), bytes(0)),
      scraped('09:30', CADVISOR, up(), bytes(90)),
      scraped('10:20', STATE, owner('globex')),
      scraped('11:30', CADVISOR, up(), bytes(190)),
      scraped('12:00', STATE, owner('acme')),
      scraped('14:30', CADVISOR, up(), bytes(490)),
      scraped('15:30', CADVISOR, up(), bytes(490)),
    ],
  },
  {
    name: 'a sighting at the time of another, with a greater name',
    late: '10:20:00',
    records: [
      scraped('08:00', STATE, owner('acme')),
      scraped('09:30', CADVISOR, up(), bytes(0)),
      scraped('10:20', STATE, owner('acme')),
      scraped('10:20:00', STATE, owner('zorg')),
      scraped('11:30', CADVISOR, up(), bytes(90)),
      scraped('14:30', CADVISOR, up(), bytes(490)),
      scraped('15:30', CADVISOR, up(), bytes(490)),
    ],
  },
  {
    name: 'a sighting with a name at the time of one without, so that nothing changes there any more',
    late: '10:20:00',
    records: [
      scraped('08:00', STATE, owner('acme')),
      scraped('09:30', CADVISOR, up(), bytes(0)),
      scraped('10:20', STATE, owner('')),
      scraped('10:20:00', STATE, owner('acme')),
      scraped('11:30', CADVISOR, up(), bytes(90)),
      scraped('12:30', CADVISOR, up(), bytes(190)),
      scraped('14:30', CADVISOR, up(), bytes(490)),
    ],
  },
  {
    name: 'a change of owner before a long gap, which the unit behind the next sighting fills',
    late: '10:20',
    records: [
      scraped('09:00', STATE, owner('acme')),
      scraped('09:30', CADVISOR, up(), bytes(0)),
      scraped('10:20', STATE, owner('globex')),
      scraped('11:00', STATE, owner('initech')),
      scraped('17:30', CADVISOR, up(), bytes(500)),
      scraped('19:30', CADVISOR, up(), bytes(500)),
    ],
  },
  ...[
    { uid: UID, told: 'by its uid' },
    { uid: '', told: 'by its name, which does not judge it' },
  ].map(({ uid, told }) => ({
    name: `that the pod is on the host’s network, ${told}`,
    late: '08:00',
    records: [
      scraped('08:00', STATE, hostNetwork(uid)),
      scraped('09:30', CADVISOR, up(), bytes(0)),
      scraped('10:30', CADVISOR, up(), bytes(90)),
      scraped('12:30', CADVISOR, up(), bytes(190)),
      scraped('13:30', CADVISOR, up(), bytes(290)),
    ],
  })),
  {
    name: 'that the pod had ended at one of its samples',
    late: '10:00:30',
    settings: { maxHoldMs: 3 * 60 * MINUTE },
    records: [
      scraped('09:30', STATE, up(), cores(1)),
      scraped('10:00:30', STATE, failed()),
      { ...scraped('10:00:30', STATE, cores(2)), at: '10:00:31' },
      scraped('12:30', STATE, up(), cores(1)),
      scraped('13:30', STATE, up(), cores(1)),
    ],
  },
  {
    name: 'a rejected value, which is an earlier sighting of a series than its first',
    late: '12:20',
    records: [
      scraped('09:00', CADVISOR, up()),
      scraped('11:50', CADVISOR, up()),
      scraped('12:20', CADVISOR, cpu(-1)),
      scraped('12:25', CADVISOR, up()),
      scraped('13:30', CADVISOR, up(), cpu(9)),
      scraped('14:30', CADVISOR, up(), cpu(9)),
      scraped('15:30', CADVISOR, up(), cpu(9)),
    ],
  },
  {
    name: 'a high-water mark that every later hour goes on from',
    late: '09:45',
    records: [
      scraped('09:30', CADVISOR, up(), cpu(10, '08:00')),
      scraped('09:45', CADVISOR, cpu(900, '08:00')),
      ...[10, 11, 12, 13, 14, 15].map((hour) =>
        scraped(`${String(hour)}:30`, CADVISOR, up(), cpu(hour * 60 + 100, '08:00')),
      ),
    ],
  },
  {
    name: 'a sample whose start was known, before a reset that begins at it',
    late: '10:00',
    records: [
      scraped('09:30', CADVISOR, up(), cpu(10)),
      scraped('10:00', CADVISOR, cpu(20, '08:00')),
      scraped('12:00', CADVISOR, up(), cpu(30, '10:00')),
      scraped('13:30', CADVISOR, up(), cpu(40, '10:00')),
      scraped('14:30', CADVISOR, up(), cpu(40, '10:00')),
    ],
  },
  {
    name: 'that a pod belonged to another workload, hours back',
    late: '10:20',
    records: [
      scraped('09:30', CADVISOR, up(), cpu(10)),
      scraped('09:31', STATE, podOf('StatefulSet', 'db')),
      scraped('10:20', STATE, podOf('StatefulSet', 'web')),
      scraped('10:30', CADVISOR, up(), cpu(70)),
      scraped('12:30', CADVISOR, up(), cpu(190)),
      scraped('13:31', STATE, podOf('StatefulSet', 'db')),
      scraped('14:30', CADVISOR, up(), cpu(310)),
      scraped('15:30', CADVISOR, up(), cpu(370)),
    ],
  },
  {
    name: 'the first sighting of a pod’s owner, which also holds before it',
    late: '13:40',
    records: [
      scraped('09:30', CADVISOR, up(), cpu(10)),
      scraped('10:30', CADVISOR, up(), cpu(70)),
      scraped('13:30', CADVISOR, up(), cpu(190)),
      scraped('13:40', STATE, podOf('StatefulSet', 'db')),
      scraped('15:30', CADVISOR, up(), cpu(370)),
    ],
  },
  {
    name: 'whose a replica set is, after its pods have run for hours',
    late: '13:40',
    records: [
      scraped('09:20', STATE, podOf('ReplicaSet', 'web-5d9')),
      scraped('09:30', CADVISOR, up(), cpu(10)),
      scraped('10:30', CADVISOR, up(), cpu(70)),
      scraped('13:30', CADVISOR, up(), cpu(190)),
      scraped('13:40', STATE, replicaSetOf('web')),
      scraped('15:30', CADVISOR, up(), cpu(370)),
    ],
  },
  {
    name: 'the class of a claim, after hours of it',
    late: '11:40',
    records: [
      scraped('09:30', STATE, up(), claim(1000)),
      scraped('09:33', STATE, up(), claim(1000)),
      scraped('10:30', STATE, up(), claim(2000)),
      scraped('10:33', STATE, up(), claim(2000)),
      scraped('11:40', STATE, classOf('fast')),
      scraped('12:30', STATE, up(), claim(2000)),
    ],
  },
  {
    name: 'an earlier sighting of an owner that another one followed within the hour',
    late: '10:05',
    records: [
      scraped('09:30', CADVISOR, up(), cpu(10)),
      scraped('09:31', STATE, podOf('StatefulSet', 'web')),
      scraped('10:05', STATE, podOf('StatefulSet', 'web')),
      scraped('10:20', STATE, podOf('StatefulSet', 'db')),
      scraped('10:40', STATE, podOf('StatefulSet', 'web')),
      scraped('10:50', CADVISOR, up(), cpu(90)),
      scraped('11:50', CADVISOR, up(), cpu(150)),
      scraped('13:50', CADVISOR, up(), cpu(270)),
      scraped('15:30', CADVISOR, up(), cpu(370)),
    ],
  },
  {
    name: 'a sample after which what was plausible is quarantined, hour after hour',
    late: '09:45',
    settings: { maxCores: 1 },
    records: [
      scraped('08:30', CADVISOR, up(), cpu(0)),
      scraped('09:45', CADVISOR, cpu(4000)),
      scraped('10:15', CADVISOR, up(), cpu(3000)),
      scraped('11:15', CADVISOR, up(), cpu(9000)),
      scraped('12:15', CADVISOR, up(), cpu(12_000)),
      scraped('13:15', CADVISOR, up(), cpu(12_100)),
      scraped('14:15', CADVISOR, up(), cpu(12_100)),
    ],
  },
];

export function lateFacts(): LateFact[] {
  return SCENES.map(({ name, late, settings, records }) => {
    const sent = records.map(({ at, target, rows }) => ({
      at,
      timestampMs: time(at) + 1_500,
      metricsData: metricsData(target, rows),
    }));
    const onTheLog = onLog(sent, 'usage', 1);
    return {
      name,
      settings: { ...VECTOR_SETTINGS, ...settings },
      before: onTheLog.filter((_, index) => sent[index]?.at !== late),
      late: onTheLog.filter((_, index) => sent[index]?.at === late),
    };
  });
}
