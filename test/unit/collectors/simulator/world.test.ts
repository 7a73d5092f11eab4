import { describe, expect, test } from 'vitest';
import { type PageRow, scrape } from './page-rows.ts';
import { newSimulator, START_MS } from './simulated-clock.ts';

const MINUTE = 60_000;
const NODES = ['demo-node-0', 'demo-node-1', 'demo-node-2'];

type Options = NonNullable<Parameters<typeof newSimulator>[0]>;

/** Every row of every page in the first minutes, by scrape; `t` is when. */
function history(minutes: number, stepMs = 10_000, options: Options = {}) {
  const { clock, simulator } = newSimulator(options);
  const scrapes: { readonly t: number; readonly pages: ReadonlyMap<string, PageRow[] | null> }[] = [];
  for (let t = START_MS; t <= START_MS + minutes * MINUTE; t += stepMs) {
    clock.set(t);
    scrapes.push({ t, pages: new Map(simulator.paths().map((path) => [path, scrape(simulator, path)])) });
  }
  return scrapes;
}

const TEN_MINUTES = history(10);
const STATE = TEN_MINUTES.map(({ pages }) => pages.get('/kube-state-metrics') ?? []);

function named(rows: readonly PageRow[], name: string): PageRow[] {
  return rows.filter((row) => row.name === name);
}

function podSets(workload: string): Set<string>[] {
  return STATE.map((rows) => {
    const own = named(rows, 'kube_pod_owner').filter(({ labels }) =>
      labels['owner_name']?.startsWith(workload),
    );
    return new Set(own.map(({ labels }) => labels['uid'] ?? ''));
  });
}

describe('the world is a function of seed and time', () => {
  const texts = (stepMs: number, options: Options = {}): unknown[] => {
    const { clock, simulator } = newSimulator(options);
    const { startMs } = simulator;
    for (let t = startMs; t <= startMs + 10 * MINUTE; t += stepMs) {
      clock.set(t);
      simulator.page('/kube-state-metrics');
    }
    return simulator.paths().map((path) => simulator.page(path));
  };

  test('the same seed and first moment give the same bytes, however often anyone looked', () => {
    expect(texts(10 * MINUTE)).toEqual(texts(4_000));
  });

  test('another seed gives another cluster', () => {
    expect(texts(MINUTE)).not.toEqual(texts(MINUTE, { seed: 'seed-2' }));
  });

  test('a cluster that begins at another moment shares no pod with this one', () => {
    const uids = (startMs: number): Set<string> => {
      const rows = scrape(newSimulator({ startMs }).simulator, '/kube-state-metrics') ?? [];
      return new Set(named(rows, 'kube_pod_info').map(({ labels }) => labels['uid'] ?? ''));
    };
    const [one, other] = [uids(START_MS), uids(START_MS + 1)];
    expect(one.size).toBeGreaterThan(30);
    expect([...one].filter((uid) => other.has(uid))).toEqual([]);
  });

  test('a clock that goes back changes nothing', () => {
    const { clock, simulator } = newSimulator();
    clock.set(START_MS + MINUTE);
    const page = simulator.page('/kube-state-metrics');
    clock.set(START_MS);
    expect(simulator.page('/kube-state-metrics')).toEqual(page);
  });
});

describe('pages keep the form of what they stand for', () => {
  test('no page shows a series twice, and the rows of a family stand together', () => {
    for (const { pages } of TEN_MINUTES) {
      for (const rows of pages.values()) {
        if (rows === null) continue;
        expect(new Set(rows.map(({ series }) => series)).size).toBe(rows.length);
        const families = rows.map(({ name }) => name.replace(/_(bucket|sum|count)$/, ''));
        const runs = families.filter((name, index) => name !== families[index - 1]);
        expect(new Set(runs).size).toBe(runs.length);
      }
    }
  });

  test('a counter only goes back where its exporter restarted', () => {
    const before = new Map<string, { readonly value: number; readonly processStart: number }>();
    let resets = 0;
    for (const { pages } of TEN_MINUTES) {
      for (const [path, rows] of pages) {
        const processStart = named(rows ?? [], 'process_start_time_seconds')[0]?.value ?? 0;
        for (const { name, series, value } of rows ?? []) {
          // The resource page has no ids: a new container, or pod of the same name, goes on in the old row.
          if (!/_(total|count|bucket)$/.test(name) || path.endsWith('/resource')) continue;
          const last = before.get(path + series);
          if (last !== undefined && value < last.value) {
            expect(processStart).toBeGreaterThan(last.processStart);
            resets += 1;
          }
          before.set(path + series, { value, processStart });
        }
      }
    }
    expect(resets).toBeGreaterThan(10);
  });

  test('cAdvisor rows are at most one housekeeping older than the scrape, and starts have no time', () => {
    const ages = TEN_MINUTES.flatMap(({ t, pages }) =>
      NODES.flatMap((node) => pages.get(`/nodes/${node}/metrics/cadvisor`) ?? [])
        .filter(({ name }) => name !== 'container_start_time_seconds')
        .map((row) => t - (row.t ?? NaN)),
    );
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...ages)).toBeLessThan(10_000);
    expect(Math.max(...ages)).toBeGreaterThan(0);
    for (const rows of TEN_MINUTES[0]!.pages.values()) {
      expect(named(rows ?? [], 'container_start_time_seconds').every(({ t }) => t === null)).toBe(true);
    }
  });

  test('the root cgroup never shows less CPU than its pods together', () => {
    for (const { pages } of TEN_MINUTES) {
      for (const node of NODES) {
        const cpu = named(pages.get(`/nodes/${node}/metrics/cadvisor`)!, 'container_cpu_usage_seconds_total');
        const root = cpu.find(({ labels }) => labels['id'] === '/')!;
        const pods = cpu.filter(({ labels }) => labels['pod'] && !labels['image']);
        expect(pods.length).toBeGreaterThan(3);
        expect(root.value).toBeGreaterThan(pods.reduce((sum, { value }) => sum + value, 0));
      }
    }
  });

  test('names are repeated without an id on the resource page', () => {
    const rows = TEN_MINUTES[3]!.pages.get('/nodes/demo-node-1/metrics/resource')!;
    const repeated = named(rows, 'container_cpu_usage_seconds_total');
    expect(repeated.length).toBeGreaterThan(3);
    expect(repeated.filter(({ labels }) => 'id' in labels)).toEqual([]);
  });
});

describe('within ten minutes there is all that metering has to stand', () => {
  test('pods of a Deployment come and go', () => {
    const seen = new Set(podSets('web-').flatMap((pods) => [...pods]));
    const least = Math.min(...podSets('web-').map((pods) => pods.size));
    expect(seen.size).toBeGreaterThan(podSets('web-')[0]!.size);
    expect(least).toBeGreaterThan(0);
  });

  test('a pod of a StatefulSet comes back under its name with another uid', () => {
    const uids = new Map<string, Set<string>>();
    for (const row of history(40, 30_000).flatMap(({ pages }) => pages.get('/kube-state-metrics')!)) {
      if (row.name !== 'kube_pod_info' || row.labels['created_by_kind'] !== 'StatefulSet') continue;
      const name = `${row.labels['namespace'] ?? ''}/${row.labels['pod'] ?? ''}`;
      uids.set(name, (uids.get(name) ?? new Set()).add(row.labels['uid'] ?? ''));
    }
    expect(Math.max(...[...uids.values()].map((each) => each.size))).toBeGreaterThan(1);
  });

  test('a rollout replaces one ReplicaSet by another, and a Deployment is scaled', () => {
    const replicaSets = STATE.map(
      (rows) => new Set(named(rows, 'kube_replicaset_owner').map((row) => row.series)),
    );
    expect(replicaSets.some((sets) => [...replicaSets[0]!].some((series) => !sets.has(series)))).toBe(true);
    const counts = STATE.map((rows) => named(rows, 'kube_pod_info').length);
    expect(Math.max(...counts)).toBeGreaterThan(counts[0]! + 2);
  });

  test('a Job completes, and its requests stay on the page', () => {
    const over = STATE.flatMap((rows) => {
      const phases = named(rows, 'kube_pod_status_phase');
      const done = phases.filter(({ labels, value }) => labels['phase'] === 'Succeeded' && value === 1);
      const uids = new Set(done.map(({ labels }) => labels['uid']));
      return named(rows, 'kube_pod_container_resource_requests').filter(({ labels }) =>
        uids.has(labels['uid']),
      );
    });
    expect(over.length).toBeGreaterThan(0);
    expect(over.every(({ value }) => value > 0)).toBe(true);
  });

  test('every pod has exactly one of five phases, and some are pending', () => {
    const phases = history(4, 1_000).flatMap(({ pages }) =>
      named(pages.get('/kube-state-metrics')!, 'kube_pod_status_phase'),
    );
    expect(new Set(phases.map(({ labels }) => labels['phase'])).size).toBe(5);
    expect(phases.some(({ labels, value }) => labels['phase'] === 'Pending' && value === 1)).toBe(true);
    expect(phases.filter(({ value }) => value === 1).length * 5).toBe(phases.length);
  });

  test('a container restarts: its row begins again, the row of its pod goes on', () => {
    const restarted = STATE.map((rows) =>
      named(rows, 'kube_pod_container_status_restarts_total').reduce((sum, { value }) => sum + value, 0),
    );
    expect(Math.max(...restarted)).toBeGreaterThan(3);
    const containers = new Map<string, Set<string>>();
    const pods = new Map<string, Set<string>>();
    for (const { pages } of TEN_MINUTES) {
      for (const rows of NODES.map((node) => pages.get(`/nodes/${node}/metrics/cadvisor`)!)) {
        for (const { labels } of named(rows, 'container_memory_working_set_bytes')) {
          const uid = /pod([0-9a-f_]{36})/.exec(labels['id'] ?? '')?.[1] ?? '';
          if (uid === '') continue;
          const [ids, key] = labels['container']
            ? [containers, `${uid}/${labels['container']}`]
            : [pods, uid];
          if (!labels['container'] && labels['image']) continue;
          ids.set(key, (ids.get(key) ?? new Set()).add(labels['id'] ?? ''));
        }
      }
    }
    expect(Math.max(...[...containers.values()].map(({ size }) => size))).toBeGreaterThan(1);
    expect(Math.max(...[...pods.values()].map(({ size }) => size))).toBe(1);
  });

  test('a namespace moves from the first tenant to the second at minute 4', () => {
    const owners = TEN_MINUTES.map(({ t }, index) => {
      const rows = named(STATE[index]!, 'kube_namespace_labels');
      return [t, rows.find(({ labels }) => labels['namespace'] === 'shared-lab')!.labels] as const;
    });
    for (const [t, labels] of owners) {
      const tenant = t < START_MS + 4 * MINUTE ? 'acme' : 'globex';
      expect(labels['label_gh0stcloud_io_tenant']).toBe(tenant);
    }
  });

  test('a namespace has no tenant label, and neither has the platform', () => {
    const without = named(STATE[0]!, 'kube_namespace_labels')
      .filter(({ labels }) => !('label_gh0stcloud_io_tenant' in labels))
      .map(({ labels }) => labels['namespace']);
    expect(without).toEqual(['sandbox', 'kube-system']);
  });

  test('a claim grows at minute 5, one is never mounted, one is mounted on two nodes', () => {
    const sizes = (index: number): number =>
      named(STATE[index]!, 'kube_persistentvolumeclaim_resource_requests_storage_bytes').reduce(
        (sum, { value }) => sum + value,
        0,
      );
    expect(sizes(STATE.length - 1) - sizes(0)).toBe(10 * 2 ** 30);
    expect(sizes(29)).toBe(sizes(0));
    const mounts = TEN_MINUTES.flatMap(({ pages }) =>
      NODES.map((node) => named(pages.get(`/nodes/${node}/metrics`)!, 'kubelet_volume_stats_used_bytes')),
    );
    const names = mounts.map((rows) => new Set(rows.map(({ series }) => series)));
    expect([...names[0]!].some((series) => names[1]!.has(series) || names[2]!.has(series))).toBe(true);
    const mounted = mounts.flat().map(({ labels }) => labels['persistentvolumeclaim']);
    expect(mounted).not.toContain('archive');
    expect(mounted).toContain('scratch');
  });

  test('a Beyla restarts at minute 6: it is down, then its process is younger and its counters small', () => {
    const { clock, simulator } = newSimulator();
    const starts = (t: number): (number | null)[] => {
      clock.set(t);
      return NODES.map((node) => {
        const rows = scrape(simulator, `/nodes/${node}/beyla`);
        return rows && named(rows, 'process_start_time_seconds')[0]!.value * 1_000;
      });
    };
    const restartMs = START_MS + 6 * MINUTE;
    expect(starts(restartMs - 1)).not.toContain(null);
    expect(starts(restartMs).filter((start) => start === null)).toHaveLength(1);
    expect(starts(restartMs + 1_999).filter((start) => start === null)).toHaveLength(1);
    expect(Math.max(...starts(restartMs + 2_000).map(Number))).toBe(restartMs + 2_000);
  });

  test('flows go to the internet over IPv4 and IPv6, to pods, to services and to the mesh', () => {
    const flows = TEN_MINUTES.flatMap(({ pages }) =>
      NODES.flatMap((node) =>
        named(pages.get(`/nodes/${node}/beyla`) ?? [], 'beyla_network_flow_bytes_total'),
      ),
    );
    const of = (label: string): Set<string | undefined> => new Set(flows.map(({ labels }) => labels[label]));
    expect([...of('dst_cidr')].sort()).toEqual(
      ['0.0.0.0/0', '10.42.0.0/16', '10.43.0.0/16', '100.64.0.0/10', '::/0'].sort(),
    );
    expect(of('k8s_dst_type')).toEqual(new Set([undefined, 'Pod', 'Service']));
    expect(of('k8s_src_type')).toEqual(new Set(['Pod', 'Service', 'Node']));
  });

  test('flows are reported by a second node as well', () => {
    const reporters = new Map<string, Set<string>>();
    for (const node of NODES) {
      for (const { labels } of named(
        TEN_MINUTES[5]!.pages.get(`/nodes/${node}/beyla`)!,
        'beyla_network_flow_bytes_total',
      )) {
        const { beyla_ip: _, ...identity } = labels;
        const key = JSON.stringify(identity);
        reporters.set(key, (reporters.get(key) ?? new Set()).add(node));
      }
    }
    expect([...reporters.values()].filter(({ size }) => size === 2).length).toBeGreaterThan(5);
  });

  test('a host-network pod shows the interfaces of its node under its own namespace', () => {
    const rows = named(
      TEN_MINUTES[0]!.pages.get('/nodes/demo-node-0/metrics/cadvisor')!,
      'container_network_transmit_bytes_total',
    );
    const agent = rows.filter(({ labels }) => labels['pod']?.startsWith('node-exporter-'));
    const root = rows.filter(({ labels }) => labels['id'] === '/');
    expect(agent.map(({ labels }) => labels['interface'])).toContain('eth0');
    expect(agent.map(({ value }) => value)).toEqual(root.map(({ value }) => value));
    const info = named(STATE[0]!, 'kube_pod_info').filter(({ labels }) => labels['host_network'] === 'true');
    expect(info).toHaveLength(6);
  });

  test('histograms are whole: buckets rise to the count', () => {
    const rows = TEN_MINUTES.at(-1)!.pages.get('/nodes/demo-node-2/beyla')!;
    const counts = named(rows, 'http_server_request_duration_seconds_count');
    expect(counts.length).toBeGreaterThan(3);
    for (const count of counts) {
      const own = ({ series }: PageRow): boolean =>
        series.includes(count.series.slice(count.series.indexOf('{'), -1));
      const buckets = named(rows, 'http_server_request_duration_seconds_bucket').filter(own);
      const values = buckets.map(({ value }) => value);
      expect(values).toEqual([...values].sort((a, b) => a - b));
      expect(values.at(-1)).toBe(count.value);
    }
  });
});

test('days later the cluster is no larger than in its first hour', () => {
  const { clock, simulator } = newSimulator();
  const size = (t: number): number => {
    clock.set(t);
    return simulator.paths().reduce((sum, path) => sum + (scrape(simulator, path)?.length ?? 0), 0);
  };
  const early = size(START_MS + 60 * MINUTE);
  expect(size(START_MS + 2 * 24 * 60 * MINUTE)).toBeLessThan(early * 1.3);
});
