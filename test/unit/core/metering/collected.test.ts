import { describe, expect, test } from 'vitest';
import {
  FACT_METRICS,
  MEASURED_METERS,
  METERS,
  type MeterDefinition,
} from '../../../../core/metering/catalogue.ts';
import { collectedFrom, sourceOf, SOURCES } from '../../../../core/metering/collected.ts';

const all = SOURCES.map((source) => ({ source, ...collectedFrom(source) }));

function namesFrom(source: (typeof SOURCES)[number]): string[] {
  return [...new Set(collectedFrom(source).rows.flatMap(({ metrics }) => metrics))];
}

test('every metric of a meter and every fact is collected from somewhere', () => {
  const wanted = [...MEASURED_METERS.flatMap(({ metrics }) => metrics), ...FACT_METRICS];
  const collected = SOURCES.flatMap(namesFrom);
  expect(wanted.filter((metric) => !collected.includes(metric))).toEqual([]);
});

test('a metric is collected from one source; only what tells of a scrape is from all', () => {
  const times = Map.groupBy(SOURCES.flatMap(namesFrom), (name) => name);
  const repeated = [...times]
    .filter(([, list]) => list.length > 1)
    .map(([name, list]) => [name, list.length]);
  expect(repeated).toEqual([['up', SOURCES.length]]);
});

test('whoever keeps counters in memory tells when it began', () => {
  const tell = SOURCES.filter((source) => namesFrom(source).includes('process_start_time_seconds'));
  expect(tell).toEqual(['beyla']);
});

test('a source that meters do not need shows nothing but its scrapes', () => {
  expect(collectedFrom('beyla', [])).toEqual({ rows: [{ metrics: ['up'], rows: [] }], labels: { keep: [] } });
});

test.each([
  ['container_cpu_usage_seconds_total', 'cadvisor'],
  ['kubelet_volume_stats_used_bytes', 'kubelet'],
  ['kube_pod_info', 'kube_state'],
  ['obi_network_flow_bytes_total', 'beyla'],
  ['node_cpu_seconds_total', undefined],
])('%s is shown by %s', (metric, source) => {
  expect(sourceOf(metric)).toBe(source);
});

describe('rows', () => {
  test('of a meter and of its complement are the rows of both', () => {
    const flows = all
      .find(({ source }) => source === 'beyla')
      ?.rows.filter(({ metrics }) => metrics.includes('beyla_network_flow_bytes_total'));
    expect(flows).toEqual([
      {
        metrics: ['beyla_network_flow_bytes_total', 'obi_network_flow_bytes_total'],
        rows: [
          { label: 'k8s_src_namespace', is: 'set' },
          { label: 'k8s_src_type', oneOf: ['Pod'] },
          { label: 'k8s_src_node_name', sameAs: 'node' },
        ],
      },
    ]);
  });

  const [cpu] = METERS as readonly [MeterDefinition];
  const meter = (rows: MeterDefinition['rows']): MeterDefinition => ({ ...cpu, birth: 'none', rows });
  const rowsOf = (...catalogue: readonly MeterDefinition[]): unknown =>
    collectedFrom('cadvisor', catalogue)
      .rows.filter(({ metrics }) => metrics.includes('container_cpu_usage_seconds_total'))
      .map(({ rows }) => rows);

  test.each([
    ['the same', [{ label: 'a', is: 'set' }], [{ label: 'a', is: 'set' }], 1],
    ['one value of several', [{ label: 'a', oneOf: ['x', ''] }], [{ label: 'a', oneOf: ['x'] }], 1],
    ['a value where any will do', [{ label: 'a', is: 'set' }], [{ label: 'a', oneOf: ['x'] }], 1],
    ['none where none or one will do', [{ label: 'a', oneOf: ['', 'x'] }], [{ label: 'a', is: 'empty' }], 1],
    [
      'one condition more',
      [{ label: 'a', is: 'set' }],
      [
        { label: 'a', is: 'set' },
        { label: 'b', is: 'set' },
      ],
      1,
    ],
    ['another label', [{ label: 'a', is: 'set' }], [{ label: 'b', is: 'set' }], 2],
    ['none where one is asked for', [{ label: 'a', is: 'set' }], [{ label: 'a', oneOf: ['', 'x'] }], 2],
    ['another value', [{ label: 'a', oneOf: ['x'] }], [{ label: 'a', oneOf: ['y'] }], 2],
  ] as readonly [string, MeterDefinition['rows'], MeterDefinition['rows'], number][])(
    'with %s: what one meter needs is said once where another needs it all',
    (_, wide, narrow, rules) => {
      const expected = rules === 1 ? [wide] : [wide, narrow];
      expect(rowsOf(meter(wide), meter(narrow))).toEqual(expected);
      expect(rowsOf(meter(narrow), meter(wide))).toEqual(expected.toReversed());
    },
  );
});

describe('labels', () => {
  test('that a condition only wants empty do not stay; those it wants set do', () => {
    const { labels } = collectedFrom('cadvisor');
    expect(labels).toEqual({ keep: ['id', 'interface', 'namespace', 'node', 'pod'] });
  });

  test('of a reporter go, but for the one that rows are judged by', () => {
    expect(collectedFrom('beyla').labels).toEqual({ drop: ['beyla_ip'] });
  });
});
