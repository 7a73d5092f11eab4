/** The rules on usage follow from the meter catalogue, and nothing in them is written by hand. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isKnownMetric } from '../../../aggregator/ingest/admission.ts';
import { MEASURED_METERS, METERS, type MeterDefinition } from '../../../core/metering/catalogue.ts';
import { sourceOf } from '../../../core/metering/collected.ts';
import { alloyRules } from '../../reference/alloy-rules.ts';
import { ROOT } from '../../reference/reference.ts';
import { AlloyCollector } from '../../support/alloy/collector.ts';
import { DIRECTORIES, NODE } from '../../support/alloy/committed.ts';
import { Configuration } from '../../support/alloy/configuration.ts';
import { notation, series } from '../../support/alloy/series.ts';

describe('the generated rules', () => {
  test.each([...alloyRules()])('%s is what `npm run generate` writes', (path, text) => {
    expect(readFileSync(join(ROOT, path), 'utf8')).toBe(text);
  });

  test('there is no other generated file', () => {
    const found = DIRECTORIES.flatMap((directory) =>
      readdirSync(join(ROOT, 'alloy', directory))
        .filter((name) => name.includes('.generated.'))
        .map((name) => `alloy/${directory}/${name}`),
    );
    expect(found.sort()).toEqual([...alloyRules().keys()].sort());
  });

  test('every metric of the catalogue has a source', () => {
    const metrics = MEASURED_METERS.flatMap((meter) => meter.metrics);
    expect(metrics.filter((metric) => sourceOf(metric) === undefined)).toEqual([]);
  });
});

describe('a meter that is added to the catalogue', () => {
  const [cpu] = METERS as readonly [MeterDefinition];
  const added: MeterDefinition = {
    ...cpu,
    name: 'file_system_writes',
    metrics: ['container_fs_writes_bytes_total'],
    rows: [
      { label: 'namespace', is: 'set' },
      { label: 'device', oneOf: ['/dev/vda1', '/dev/vdb.1'] },
      { label: 'container', is: 'empty' },
    ],
    identity: { labels: ['node', 'id', 'device'] },
  };
  const files = alloyRules([...MEASURED_METERS, added]);

  test('shows up in the rules of the nodes, and the demo, by itself', () => {
    const changed = [...files].filter(([path, content]) => alloyRules().get(path) !== content);
    expect(changed.map(([path]) => path.split('/')[1]).sort()).toEqual(['demo', 'node']);
  });

  test('passes with its labels, by its conditions', () => {
    const path = 'alloy/node/30-usage-rules.generated.alloy';
    const own = ['10-kubelet', '40-usage-sink', '50-dashboards', '20-beyla'].map(
      (name) => [name, readFileSync(join(ROOT, `alloy/node/${name}.alloy`), 'utf8')] as const,
    );
    const configuration = new Configuration(new Map([...own, ['rules', files.get(path) ?? '']]));
    expect(configuration.problems).toEqual([]);
    const collector = new AlloyCollector(configuration, { env: {} });
    const pass = (row: string): string =>
      notation(collector.pass('cadvisor', series(row, { job: 'j', instance: 'i', node: NODE })));
    const name = 'container_fs_writes_bytes_total';
    expect(pass(`${name}{device="/dev/vda1",id="x",image="i",namespace="a",pod="p"}`)).toBe(
      `${name}{device="/dev/vda1",id="x",namespace="a",node="${NODE}",pod="p"}`,
    );
    expect(pass(`${name}{device="/dev/vdb.1",id="x",namespace="a"}`)).not.toBe('dropped');
    expect(pass(`${name}{device="/dev/vdbx1",id="x",namespace="a"}`)).toBe('dropped');
    expect(pass(`${name}{device="/dev/vda1",container="c",id="x",namespace="a"}`)).toBe('dropped');
    expect(pass(`container_cpu_usage_seconds_total{id="/"}`)).not.toBe('dropped');
  });

  test('that no source is known to show is refused by the generator, with its name', () => {
    const stray = { ...added, metrics: ['gpu_seconds_total'] };
    expect(() => alloyRules([stray])).toThrow('no source is known to show gpu_seconds_total');
    expect(isKnownMetric('gpu_seconds_total')).toBe(false);
  });
});
