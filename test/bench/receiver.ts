/** What the receiver does to a body, between the wire and the log; beside it the same by libraries. */
import { createRequire } from 'node:module';
import { receiverConfig } from '../../collectors/receiver/config.ts';
import { Refusals } from '../../collectors/receiver/refusals.ts';
import { admitWrite } from '../../collectors/receiver/remote-write.ts';
import { Traffic } from '../chaos/traffic.ts';
import { publishedMetricsData } from '../support/published-otlp.ts';
import { decodeWrite2 } from '../support/remote-write.ts';
import { best, type Figure } from './measure.ts';

const { uncompress } = createRequire(import.meta.url)('snappyjs') as {
  readonly uncompress: (bytes: Uint8Array) => Uint8Array;
};
const CLUSTER = 'bench';
const NODES = 200;
const PODS_PER_NODE = 125;
const STEP_MS = 30_000;
const FLOOR = 100_000;

export async function* receiverFigures(hour: number): AsyncGenerator<Figure> {
  const plan = { cluster: CLUSTER, seed: 1, nodes: NODES, podsPerNode: PODS_PER_NODE };
  const traffic = new Traffic({ ...plan, stepMs: STEP_MS, startMs: hour });
  const requests = traffic.nodes.map((node) => node.next());
  const count = requests.reduce((sum, { samples }) => sum + samples, 0);
  const [cluster] = receiverConfig({ clusters: { [CLUSTER]: { tokens: ['token-of-the-bench'] } } }).clusters;
  if (cluster === undefined) throw new Error('the bench has a cluster');
  const admit = (body: Uint8Array): void => {
    const admission = admitWrite(body, '2.0', { cluster, nowMs: hour + STEP_MS, refusals: new Refusals() });
    if (!admission.ok) throw new Error(admission.detail);
  };
  const everyOne = (work: (body: Uint8Array) => void) => (): Promise<void> => {
    for (const { body } of requests) work(body);
    return Promise.resolve();
  };
  await everyOne(admit)();
  const ours = await best(3, everyOne(admit));
  yield { name: 'remote write 2.0 -> records', count, of: 'samples', measured: ours, floor: FLOOR };
  const theirs = await best(3, everyOne(byLibraries));
  yield { name: '  beside it: by snappyjs and protobufjs', count, of: 'samples', measured: theirs };
}

/** Nothing is checked, grouped or keyed: only decoded and encoded. */
function byLibraries(body: Uint8Array): void {
  const { symbols, timeseries } = decodeWrite2(uncompress(body));
  const metrics = timeseries.map(({ labels_refs: refs, samples }) => {
    const attributes = refs.flatMap((ref, i) =>
      i % 2 === 1 ? [] : [{ key: symbols[ref], value: { stringValue: symbols[refs[i + 1] ?? 0] } }],
    );
    const dataPoints = samples.map(({ timestamp, value }) => {
      return { timeUnixNano: Number(timestamp) * 1e6, asDouble: value, attributes };
    });
    return { name: 'metric', gauge: { dataPoints } };
  });
  const message = { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] };
  publishedMetricsData.encode(publishedMetricsData.fromObject(message)).finish();
}
