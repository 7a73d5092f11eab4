/**
 * The rules held against the aggregator: what it would read of a row must survive them, and nothing else
 * passes. Over every series of real captures, and over rows of any labels at all.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { meaningOf, type RowMeaning } from '../../../aggregator/ingest/admission.ts';
import { meteringSettingsSchema } from '../../../core/runtime/settings.ts';
import { ROOT } from '../../reference/reference.ts';
import { committedRules, isScraped } from '../../support/alloy/committed.ts';
import type { Labels } from '../../support/alloy/relabel.ts';
import { seriesIn } from '../../support/alloy/records.ts';
import { notation } from '../../support/alloy/series.ts';
import { captures, linesOf } from '../../vectors/captures/expect.ts';

const SHARED = join(ROOT, '../shared/captures');
const SETTINGS = meteringSettingsSchema.parse({});
const pass = committedRules();

function meaning(labels: Labels): RowMeaning {
  return meaningOf(labels.get('__name__') ?? '', labels, SETTINGS);
}

/**
 * Would the aggregator read this row? A start only if something metered began with it.
 */
function isNeeded(labels: Labels, containers: ReadonlySet<string>): boolean {
  const own = meaning(labels);
  if (own.kind === 'container_start') return containers.has(own.container);
  // Only Beyla keeps what it counts in its memory; when a kubelet began says nothing about a cgroup.
  if (own.kind === 'process_start') return labels.get('job') === 'beyla';
  return own.kind !== 'none';
}

function uniqueSeries(lines: readonly string[]): Labels[] {
  const rows = lines.flatMap((line) => {
    const { value } = JSON.parse(line) as { readonly value: string };
    return seriesIn(Buffer.from(value, 'base64')).map(({ labels }) => labels);
  });
  return [...new Map(rows.map((labels) => [keyOf(labels), labels])).values()];
}

function keyOf(labels: Labels): string {
  return JSON.stringify([...labels].sort());
}

/** The containers that a usage row belongs to. */
function containersIn(rows: readonly Labels[]): Set<string> {
  return new Set(
    rows.flatMap((labels) => {
      const own = meaning(labels);
      return own.kind === 'usage' && own.container !== '' ? [own.container] : [];
    }),
  );
}

function holds(lines: readonly string[]): void {
  const all = uniqueSeries(lines);
  const rows = all.filter((labels) => isScraped(labels.get('job') ?? ''));
  const containers = containersIn(rows);
  const passed = rows.flatMap((before) => {
    const after = pass(before);
    return after === undefined ? [] : [{ before, after }];
  });
  const needed = rows.filter((labels) => isNeeded(labels, containers));
  expect(needed.length).toBeGreaterThan(100);
  expect(passed.map(({ before }) => notation(before)).sort()).toEqual(needed.map(notation).sort());
  expect(passed.map(({ after }) => meaning(after))).toEqual(passed.map(({ before }) => meaning(before)));
  // Two that became one would be duplicates within a scrape.
  expect(new Set(passed.map(({ after }) => keyOf(after))).size).toBe(passed.length);
  const others = all.filter((labels) => !isScraped(labels.get('job') ?? ''));
  const kinds = new Set(others.map((labels) => meaning(labels).kind));
  expect([...kinds].filter((kind) => !['none', 'up', 'process_start'].includes(kind))).toEqual([]);
}

const PROMISE = 'just what the aggregator reads passes, meaning the same, as many series as before';

test.each(captures().map(({ file, lines }) => ({ name: file.split('/').at(-1), lines })))(
  `$name: ${PROMISE}`,
  ({ lines }) => {
    holds(lines);
  },
);

describe.skipIf(!existsSync(SHARED))(
  'the long captures (skipped where ../shared/captures is not there)',
  () => {
    const names = existsSync(SHARED) ? readdirSync(SHARED).filter((name) => name.endsWith('.jsonl.gz')) : [];
    test.each(names)(`%s: ${PROMISE}`, (name) => {
      holds(linesOf(join(SHARED, name)));
    });
  },
);

const POOLS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'kubelet-cadvisor': {
    __name__: [
      ...[
        'container_cpu_usage_seconds_total',
        'container_memory_working_set_bytes',
        'up',
        'container_last_seen',
      ],
      ...['container_network_transmit_bytes_total', 'container_network_receive_bytes_total'],
    ],
    id: ['', '/', '/kubepods/pod1'],
    namespace: ['', 'acme-prod'],
    pod: ['', 'web-0'],
    container: ['', 'web', 'POD'],
    image: ['', 'registry.example/web:1'],
    cpu: ['', 'total', 'cpu00'],
    interface: ['', 'eth0', 'eth00', 'net1'],
    node: ['', 'worker-1'],
  },
  beyla: {
    __name__: [
      'beyla_network_flow_bytes_total',
      'obi_network_flow_bytes_total',
      'process_start_time_seconds',
    ],
    k8s_src_namespace: ['', 'acme-prod'],
    k8s_src_type: ['', 'Pod', 'Node', 'Podium'],
    k8s_src_node_name: ['', 'worker-1', 'worker-2'],
    k8s_dst_namespace: ['', 'globex'],
    dst_cidr: ['', '0.0.0.0/0', '10.42.0.0/16'],
    beyla_ip: ['10.0.0.11'],
    node: ['', 'worker-1'],
  },
  kubelet: {
    __name__: ['kubelet_volume_stats_used_bytes', 'kubelet_volume_stats_capacity_bytes', 'up'],
    namespace: ['acme-prod'],
    persistentvolumeclaim: ['', 'data-db-0'],
  },
  'kube-state-metrics': {
    __name__: [
      ...['kube_pod_info', 'kube_pod_status_phase', 'kube_pod_container_resource_requests'],
      ...['kube_namespace_labels', 'kube_pod_owner', 'kube_pod_labels'],
    ],
    host_network: ['', 'true', 'false'],
    phase: ['', 'Running', 'Failed', 'Unknown', 'Succeeded'],
    resource: ['', 'cpu', 'memory', 'nvidia_com_gpu'],
    uid: ['', 'u-1'],
    namespace: ['acme-prod'],
    label_gh0stcloud_io_tenant: ['', 'acme'],
  },
};

test.each(Object.keys(POOLS))(
  'of %s, whatever labels a row has: it passes if and only if it is read',
  (job) => {
    const pool = POOLS[job] ?? {};
    const rows = fc.record(
      Object.fromEntries(Object.entries(pool).map(([label, values]) => [label, fc.constantFrom(...values)])),
    );
    fc.assert(
      fc.property(rows, (labels) => {
        const row: Labels = new Map([...Object.entries(labels), ['job', job], ['instance', 'i']]);
        const after = pass(row);
        expect(after !== undefined, notation(row)).toBe(isNeeded(row, new Set()));
        if (after !== undefined) expect(meaning(after)).toEqual(meaning(row));
      }),
      { numRuns: 1_000 },
    );
  },
);

test('a start passes wherever something metered may have begun with it', () => {
  const { __name__: _, ...pool } = POOLS['kubelet-cadvisor'] ?? {};
  const rows = fc.record(
    Object.fromEntries(Object.entries(pool).map(([label, values]) => [label, fc.constantFrom(...values)])),
  );
  const usage = fc.constantFrom(...(POOLS['kubelet-cadvisor']?.['__name__'] ?? []));
  fc.assert(
    fc.property(rows, usage, (labels, name) => {
      // cAdvisor shows the network on sandboxes, and a sandbox is no container of a pod.
      fc.pre(labels['container'] !== 'web' && labels['id'] !== '');
      const { cpu: _cpu, interface: _interface, ...own } = labels;
      const of = (metric: string, more: object): Labels =>
        new Map(
          Object.entries({ ...own, ...more, __name__: metric, job: 'kubelet-cadvisor', instance: 'i' }),
        );
      const counted = meaning(of(name, labels));
      if (counted.kind !== 'usage' || counted.container === '') return;
      const start = pass(of('container_start_time_seconds', {}));
      expect(start === undefined ? start : meaning(start)).toEqual({
        kind: 'container_start',
        container: counted.container,
      });
    }),
    { numRuns: 2_000 },
  );
});
