/** The committed configurations: whole, in agreement with each other, and set to lose nothing. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { METERS, type RowCondition } from '../../../core/metering/catalogue.ts';
import { AlloyCollector } from '../../support/alloy/collector.ts';
import {
  ALLOY,
  clusterCollector,
  committed,
  DIRECTORIES,
  ENV,
  NODE,
  nodeCollector,
} from '../../support/alloy/committed.ts';
import { Configuration } from '../../support/alloy/configuration.ts';
import { argument, text } from '../../support/alloy/evaluate.ts';
import type { Block } from '../../support/alloy/parser.ts';
import { series } from '../../support/alloy/series.ts';

const FILES = readdirSync(ALLOY, { recursive: true, encoding: 'utf8' })
  .filter((name) => statSync(join(ALLOY, name)).isFile())
  .sort();
const CONFIGURATIONS = FILES.filter((name) => name.endsWith('.alloy'));
const read = (name: string): string => readFileSync(join(ALLOY, name), 'utf8');

/** The argument of a block of a component, such as `producer.required_acks`. */
function setting(block: Block, path: string): unknown {
  const [name = '', ...rest] = path.split('.');
  if (rest.length === 0) return argument(block, name, ENV);
  const inner = block.blocks.find((child) => child.name === name);
  return inner === undefined ? undefined : setting(inner, rest.join('.'));
}

function seconds(duration: unknown): number {
  const [, amount = '', unit = ''] = /^(\d+)(s|m|h)$/.exec(String(duration)) ?? [];
  return Number(amount) * { s: 1, m: 60, h: 3_600 }[unit as 's' | 'm' | 'h'];
}

/** The node's configuration with usage by remote write. */
function withRemoteWrite(): Configuration {
  const names = readdirSync(join(ALLOY, 'node')).filter((name) => name !== '40-usage-sink.alloy');
  const files = [...names.map((name) => `node/${name}`), 'sinks/remote-write.alloy'];
  return new Configuration(new Map(files.map((name) => [name, read(name)])));
}

describe('every file', () => {
  test.each(DIRECTORIES)(
    'of %s: known components with known arguments, references that lead somewhere',
    (name) => {
      expect(committed(name).problems).toEqual([]);
    },
  );

  test('of the other sink fits in the place of the first', () => {
    expect(withRemoteWrite().problems).toEqual([]);
  });

  test.each(FILES.filter((name) => !name.endsWith('.js')))(
    '%s has nothing that Flux or Helm would replace',
    (name) => {
      expect(read(name)).not.toMatch(/\$\{|\{\{/);
    },
  );

  test.each(CONFIGURATIONS)('%s says what it needs, and every variable is in it', (name) => {
    const [head = ''] = read(name).split('\n\n');
    const needs = head.slice(head.indexOf('// Needs:'));
    expect(needs).toMatch(/^\/\/ Needs: /);
    const base = name.replace(/\/.*/, '/00-base.alloy');
    const told = FILES.includes(base) ? needs + read(base).split('\n\n')[0]! : needs;
    const used = [...read(name).matchAll(/sys\.env\("(\w+)"\)/g)].map(([, variable = '']) => variable);
    expect(used.filter((variable) => !told.includes(variable))).toEqual([]);
  });

  test.each(CONFIGURATIONS)(
    '%s stands as `alloy fmt` would write it: tabs, = under =, one line feed',
    (name) => {
      const lines = read(name).split('\n');
      expect(lines.filter((line) => /^\t* |[ \t]$/.test(line) && !line.startsWith('//'))).toEqual([]);
      expect(read(name)).toMatch(/[^\n]\n$/);
      const at = (line = ''): string => /^(\t*)[\w.]+ *(?==)/.exec(line)?.[0] ?? '';
      const crooked = lines.filter((line, i) => {
        const [own, next] = [at(line), at(lines[i + 1])];
        return (
          own !== '' &&
          next !== '' &&
          own.length !== next.length &&
          !line.endsWith('[') &&
          !line.endsWith('{')
        );
      });
      expect(crooked).toEqual([]);
    },
  );
});

describe('the sink', () => {
  const sink = committed('node').component('otelcol.exporter.kafka.usage');

  test('is the same file for nodes and cluster', () => {
    expect(read('cluster/40-usage-sink.alloy')).toBe(read('node/40-usage-sink.alloy'));
  });

  test.each<[path: string, value: unknown, against: string]>([
    ['producer.required_acks', -1, 'a leader that dies before its followers have it'],
    ['producer.allow_auto_topic_creation', false, 'a topic with the settings of nobody'],
    ['producer.compression', 'gzip', 'a reader without the codec'],
    ['retry_on_failure.max_elapsed_time', '0s', 'an outage of more than five minutes'],
    ['sending_queue.num_consumers', 1, 'records out of order'],
    ['sending_queue.sizer', 'bytes', 'a queue whose room nobody knows'],
    ['sending_queue.storage', { ref: 'otelcol.storage.file.usage.handler' }, 'a restart'],
    ['partition_metrics_by_resource_attributes', true, 'a target over all partitions'],
    ['metrics.topic', 'usage.rt1', 'a cluster in the topic of another'],
    ['metrics.encoding', 'otlp_proto', 'twice the bytes'],
    ['brokers', ['kafka-0:9093', 'kafka-1:9093'], 'a broker that is away'],
  ])('%s = %j, against %s', (path, value) => {
    expect(setting(sink, path)).toEqual(value);
  });

  test('writes its queue through to the disk before it takes more', () => {
    const storage = committed('node').component('otelcol.storage.file.usage');
    expect([setting(storage, 'fsync'), setting(storage, 'create_directory')]).toEqual([true, true]);
  });

  test('makes no record that a broker would refuse, which would be dropped at once', () => {
    const largest = setting(sink, 'sending_queue.batch.max_size') as number;
    expect(largest).toBeLessThan(1_000_000);
    expect(setting(sink, 'sending_queue.batch.sizer')).toBe('bytes');
    expect(setting(sink, 'producer.max_message_bytes')).toBeGreaterThan(4 * largest);
  });

  test('gives a resource that is the target and its cluster, and nothing that comes and goes', () => {
    expect(Object.fromEntries(nodeCollector().resource('kubelet', 'worker-1:10250'))).toEqual({
      'service.name': 'kubelet',
      'service.instance.id': 'worker-1:10250',
      'k8s.cluster.name': 'rt1',
    });
  });

  test('by remote write takes the same rows, names the cluster, and gives up none for its age', () => {
    const configuration = withRemoteWrite();
    const other = new AlloyCollector(configuration, { env: ENV });
    const row = series('container_memory_working_set_bytes{cluster="x",id="/"}', { job: 'j', node: NODE });
    expect(other.pass('cadvisor', row)).toEqual(nodeCollector().pass('cadvisor', row));
    expect(other.pass('cadvisor', row)?.has('cluster')).toBe(false);
    const write = configuration.component('prometheus.remote_write.usage');
    expect(setting(write, 'external_labels')).toEqual({ cluster: 'rt1' });
    expect(setting(write, 'endpoint.queue_config.sample_age_limit')).toBe('0s');
    expect(seconds(setting(write, 'wal.max_keepalive_time'))).toBe(48 * 3_600);
  });
});

describe('scrapes', () => {
  const all = DIRECTORIES.flatMap((name) => {
    const configuration = committed(name);
    return configuration
      .addressesOf('prometheus.scrape')
      .filter((address) => !address.endsWith('.alloy'))
      .map((address) => ({ name: `${name} ${address}`, block: configuration.component(address) }));
  });

  test.each(all)(
    '$name: classic text, answered within the interval, never refused for its size',
    ({ block }) => {
      expect(argument(block, 'scrape_protocols', ENV)).toEqual(['PrometheusText0.0.4']);
      const interval = seconds(text(block, 'scrape_interval', ENV, '60s'));
      expect(seconds(text(block, 'scrape_timeout', ENV, '10s'))).toBeLessThanOrEqual(interval);
      expect(block.attributes.filter(({ name }) => name.endsWith('_limit'))).toEqual([]);
    },
  );

  test.each(all.filter(({ name }) => !name.endsWith('beyla')))(
    '$name: keeps the time and labels of its rows, and marks the end of those too',
    ({ block }) => {
      for (const name of ['honor_labels', 'honor_timestamps', 'track_timestamps_staleness'])
        expect(argument(block, name, ENV), name).toBe(true);
    },
  );

  test.each(all.filter(({ name }) => name.endsWith('beyla')))(
    '$name: the target is Beyla itself',
    ({ block }) => {
      expect(argument(block, 'honor_labels', ENV)).toBe(false);
    },
  );

  test('of the node: each page once, by names that stay when addresses change', () => {
    const targets = nodeCollector()
      .scrapes()
      .map(({ label, targets: [target, ...others] }) => ({
        label,
        ...Object.fromEntries(target ?? []),
        others,
      }));
    const node = { node: NODE, instance: NODE, others: [] };
    expect(targets).toMatchObject([
      { label: 'cadvisor', job: 'kubelet-cadvisor', __metrics_path__: '/metrics/cadvisor', ...node },
      { label: 'kubelet', job: 'kubelet', __metrics_path__: '/metrics', ...node },
      { label: 'beyla', job: 'beyla-network', __address__: '10.0.0.11:9400', ...node },
    ]);
  });

  test('of the cluster: kube-state-metrics, whichever pod it is', () => {
    const [scrape] = clusterCollector().scrapes();
    expect(Object.fromEntries(scrape?.targets[0] ?? [])).toEqual({
      __address__: 'kube-state-metrics.monitoring:8080',
      __metrics_path__: '/metrics',
      instance: 'kube-state-metrics',
      job: 'kube-state-metrics',
    });
  });

  test.each(['node', 'cluster'] as const)(
    'of the %s: dashboards get theirs beside usage, not through it',
    (name) => {
      const text = CONFIGURATIONS.filter((file) => file.startsWith(`${name}/`))
        .map(read)
        .join('\n');
      const intoUsage = [...text.matchAll(/prometheus\.relabel\.usage\.receiver/g)];
      expect(intoUsage).toHaveLength([...text.matchAll(/^prometheus\.relabel "usage_/gm)].length);
      const others = CONFIGURATIONS.filter(
        (file) => !/usage-(sink|rules)/.test(file) && !file.startsWith('sinks/'),
      );
      expect(others.filter((file) => /\.usage\.(receiver|input)/.test(read(file)))).toEqual([]);
    },
  );
});

describe('Beyla', () => {
  interface BeylaConfig {
    readonly prometheus_export: { readonly ttl: string };
    readonly network: {
      readonly cidrs: readonly string[];
      readonly sampling: number;
      readonly source: string;
    };
    readonly attributes: {
      readonly select: Readonly<Record<string, { readonly include: readonly string[] }>>;
    };
  }
  const config = parseYaml(read('beyla/beyla.yaml')) as BeylaConfig;

  /** Labels that a condition reads; `node` is the target's. */
  function labelsIn(condition: RowCondition): string[] {
    return 'not' in condition ? condition.not.flatMap(labelsIn) : [condition.label];
  }

  test.each([
    ['beyla_network_flow_bytes', 'beyla_network_flow_bytes_total'],
    ['http_server_request_duration', 'http_server_request_duration_seconds_count'],
  ])('%s has every attribute that its meters read', (selected, metric) => {
    const meters = METERS.filter(({ metrics }) => metrics.includes(metric));
    const read = new Set(
      meters.flatMap(({ rows, namespaceLabel }) => [...rows.flatMap(labelsIn), namespaceLabel]),
    );
    const included =
      config.attributes.select[selected]?.include.map((name) => name.replaceAll('.', '_')) ?? [];
    expect([...read].filter((label) => !included.includes(label))).toEqual([]);
  });

  test('names the internet last, counts every packet, keeps idle series for a day', () => {
    expect(config.network.cidrs.slice(-2)).toEqual(['0.0.0.0/0', '::/0']);
    expect(config.network).toMatchObject({ sampling: 0, source: 'socket_filter' });
    expect(config.prometheus_export.ttl).toBe('24h');
  });
});

const PROGRAM = 'alloy';
const HAS_ALLOY = spawnSync(PROGRAM, ['--version']).status === 0;

describe.skipIf(!HAS_ALLOY)(
  'by Alloy itself (skipped where it is not on the PATH; CI cannot install it)',
  () => {
    test('every file is formatted', () => {
      for (const name of CONFIGURATIONS)
        expect(execFileSync(PROGRAM, ['fmt', join(ALLOY, name)], { encoding: 'utf8' })).toBe(read(name));
    });

    test('every configuration is valid', () => {
      const env = { ...process.env, ...ENV };
      for (const name of DIRECTORIES)
        execFileSync(PROGRAM, ['validate', '--stability.level=public-preview', join(ALLOY, name)], { env });
    });
  },
);
