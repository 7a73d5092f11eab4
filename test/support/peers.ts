/** Records of pods that send to one another: flows with all that Beyla may say of both ends, and whose namespaces are. */
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { metricsData, type Row } from '../vectors/otlp-json.ts';
import { logRecord } from './pipeline.ts';

export interface Peer {
  readonly type?: string;
  readonly namespace?: string;
  readonly name?: string;
}

export interface Flow {
  readonly from: Required<Pick<Peer, 'namespace' | 'name'>>;
  readonly to: Peer;
  /** Of the receiver; of one outside the cluster all that there is. */
  readonly address?: string;
  /** Bytes so far. */
  readonly bytes: number;
}

export interface Sighting {
  readonly namespace: string;
  /** '' is a namespace without the label. */
  readonly tenant: string;
}

export interface PeersScrape {
  readonly cluster: string;
  readonly flows?: readonly Flow[];
  readonly owners?: readonly Sighting[];
  readonly others?: readonly Omit<Row, 'timeMs'>[];
}

export class Peers {
  readonly #offsets = new Map<string, bigint>();

  at(t: number, { cluster, flows = [], owners = [], others = [] }: PeersScrape): LogRecord {
    const rows = [
      { name: 'up', labels: {}, value: { asDouble: 1 } },
      ...owners.map(({ namespace, tenant }) => ({
        name: 'kube_namespace_labels',
        labels: { namespace, ...(tenant !== '' && { label_gh0stcloud_io_tenant: tenant }) },
        value: { asDouble: 1 },
      })),
      ...flows.map(flowRow),
      ...others,
    ];
    const topic = `usage.${cluster}`;
    const offset = this.#offsets.get(topic) ?? 0n;
    this.#offsets.set(topic, offset + 1n);
    const timed = rows.map((row) => ({ ...row, labels: { cluster, ...row.labels }, timeMs: t }));
    const data = metricsData({ job: 'beyla', instance: 'n1' }, timed);
    return logRecord({ topic, partition: 0, offset, timestampMs: t + 1_500, metricsData: data });
  }
}

function flowRow({ from, to, address = '', bytes }: Flow): Omit<Row, 'timeMs'> {
  const { type = '', namespace = '', name = '' } = to;
  const owner = name === '' ? '' : `owner-of-${name}`;
  const labels = {
    ...{ k8s_src_namespace: from.namespace, k8s_src_name: from.name, k8s_src_type: 'Pod' },
    ...{ k8s_src_owner_type: 'Pod', k8s_src_owner_name: from.name },
    ...{ k8s_dst_type: type, k8s_dst_namespace: namespace, k8s_dst_name: name, k8s_dst_owner_name: owner },
    ...{ dst_address: address, dst_name: name },
  };
  const named = Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ''));
  return { name: 'beyla_network_flow_bytes_total', labels: named, value: { asDouble: bytes } };
}
