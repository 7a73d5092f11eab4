/** docs/alloy.md reckons with figures and names metrics; both are held against what there is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../reference/reference.ts';
import { committed, ENV, nodeCollector } from '../../support/alloy/committed.ts';
import { argument } from '../../support/alloy/evaluate.ts';
import { alloyRecord, seriesIn } from '../../support/alloy/records.ts';
import type { Labels } from '../../support/alloy/relabel.ts';
import { captures } from '../../vectors/captures/expect.ts';

const PAGE = readFileSync(join(ROOT, 'docs/alloy.md'), 'utf8');
const [CAPTURE] = captures();
const SERIES = (CAPTURE?.lines ?? []).flatMap((line) => {
  const { value } = JSON.parse(line) as { readonly value: string };
  return seriesIn(Buffer.from(value, 'base64'));
});

/**
 * What a component tells only once it has failed, or only as part of the other sink: from its reference page.
 */
const NOT_IN_THE_CAPTURE = [
  'otelcol_exporter_enqueue_failed_metric_points_total',
  'otelcol_exporter_send_failed_metric_points_total',
  'prometheus_remote_storage_samples_failed_total',
  'prometheus_remote_storage_queue_highest_sent_timestamp_seconds',
];

test('every metric to watch is one that Alloy shows of itself', () => {
  const own = new Set(SERIES.map(({ labels }) => labels.get('__name__') ?? ''));
  const watched = PAGE.slice(PAGE.indexOf('## What to watch'), PAGE.indexOf('## Rights'));
  const named = [...watched.matchAll(/`((?:otelcol|alloy|prometheus)_\w+)`/g)].map(([, name = '']) => name);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !own.has(name) && !NOT_IN_THE_CAPTURE.includes(name))).toEqual([]);
});

/** Bytes of a point among many like it. */
function bytesPerPoint(rows: readonly Labels[]): number {
  const points = rows.map((labels) => ({ labels, timeUnixNano: '1795360310426000000', value: 1.5 }));
  const record = { topic: 't', offset: 0n, timestampMs: 0, resource: new Map<string, string>() };
  return alloyRecord({ ...record, points }).value.length / points.length;
}

describe('a point takes what the size of the queue is reckoned with', () => {
  const node = nodeCollector();
  const captured = (job: string): Labels[] =>
    SERIES.map(({ labels }) => labels).filter((row) => row.get('job') === job);
  const pods = captured('kubelet-cadvisor').flatMap((row) => node.pass('cadvisor', row) ?? []);
  const ofPods = pods.filter((row) => row.get('id')?.endsWith('.slice') === true);
  const ofSandboxes = ofPods.map(
    (row) => new Map([...row, ['id', `${row.get('id') ?? ''}/cri-containerd-${'a'.repeat(64)}.scope`]]),
  );
  const flows = captured('beyla').flatMap((row) => node.pass('beyla', row) ?? []);

  test.each([
    ['of a pod', ofPods, 224],
    ['of a sandbox', ofSandboxes, 310],
    ['of a flow', flows, 407],
  ])('%s', (_, rows, documented) => {
    expect(rows.length).toBeGreaterThan(100);
    expect(PAGE).toContain(String(documented));
    expect(Math.abs(bytesPerPoint(rows) - documented)).toBeLessThan(documented * 0.05);
  });

  test('and the queue lasts as long as it says', () => {
    const perPod = 3 * 224 + 3 * 310 + 4 * 407;
    const perHour = 120 * 110 * perPod;
    const sink = committed('node').component('otelcol.exporter.kafka.usage');
    const queue = sink.blocks.find(({ name }) => name === 'sending_queue')!;
    const hours = Math.floor((argument(queue, 'queue_size', ENV) as number) / perHour);
    expect(PAGE).toContain(`${(perHour / 1e6).toFixed(1)} MB an hour`);
    expect(PAGE).toContain(`last ${hours} hours`);
  });
});
