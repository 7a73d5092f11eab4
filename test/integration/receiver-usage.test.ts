import { afterEach, describe, expect, it } from 'vitest';
import { RecordReader } from '../../aggregator/ingest/record-reader.ts';
import { scrapeConfig } from '../../collectors/scrape/config.ts';
import { parseExposition } from '../../collectors/scrape/exposition.ts';
import { labelScrape } from '../../collectors/scrape/points.ts';
import { toRecords } from '../../collectors/scrape/records.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { readSettingsTimeline } from '../../core/runtime/settings.ts';
import { encodeWrite1, encodeWrite2, type SentSeries } from '../support/remote-write.ts';
import { postWrite, startReceiver, stopReceivers } from '../support/receiver.ts';

afterEach(stopReceivers);

const NOW = Date.now();
const SETTINGS = readSettingsTimeline(undefined).at(NOW);
const ID = '/kubepods/pod04261a93-336a-4f8b-a8ed-d55c474ab25c';
const PAGE = `
container_cpu_usage_seconds_total{namespace="shop",pod="web-0",id="${ID}",container="",image="",cpu="total"} 12.5
container_memory_working_set_bytes{namespace="shop",pod="web-0",id="${ID}",container="",image=""} 4096
kube_namespace_labels{namespace="shop",label_gh0stcloud_io_tenant="acme"} 1
process_start_time_seconds 1.79e9
up 1
unmetered_total NaN
`;
const [target] = scrapeConfig({
  cluster: 'rt1',
  targets: [{ job: 'kubelet', url: 'http://n1:10250/metrics', labels: { node: 'n1' } }],
}).targets;

function scraped() {
  const page = parseExposition(Buffer.from(PAGE), 'text', { maxSamples: 100 });
  if (!page.ok) throw new Error(page.detail);
  return labelScrape(page.samples, { cluster: 'rt1', target: target! }, NOW).points;
}

/** The same as a Prometheus would send it: cluster as an external label, or not at all. */
function pushed(more: Readonly<Record<string, string>>): SentSeries[] {
  return scraped().map(({ series, timeMs, value }) => ({
    labels: {
      ...Object.fromEntries(series.labels.filter(([name]) => name !== 'cluster')),
      ...{ __name__: series.name, job: series.job, instance: series.instance },
      ...more,
    },
    samples: [{ timestamp: timeMs, value: value ?? 'stale' }],
  }));
}

/** What the aggregator makes of records, without where they stood. */
function meaningOf(records: readonly Pick<LogRecord, 'value'>[]) {
  const reader = new RecordReader({ settings: SETTINGS, clusterOfTopic: () => 'rt1' });
  const batch = reader.read(
    records.map(({ value }, i) => ({
      ...{
        topic: 'usage.rt1',
        partition: 0,
        offset: BigInt(i),
        timestampMs: NOW,
        key: null,
        headers: {},
        value,
      },
    })),
  );
  const tally = batch.partition('usage.rt1', 0);
  const { series, targets, feeds, sightings, quarantine } = batch;
  return {
    points: tally.points,
    samples: tally.samples,
    rejected: [...tally.rejected],
    series,
    targets,
    feeds,
    sightings,
    quarantine,
  };
}

describe('what is pushed means what is scraped', () => {
  const versions = [
    { version: '1.0', encode: encodeWrite1 },
    { version: '2.0', encode: encodeWrite2 },
  ] as const;
  const labels = [
    { label: 'with the label cluster', more: { cluster: 'rt1' } },
    { label: 'without it', more: {} },
  ];
  it.each(versions.flatMap((one) => labels.map((other) => ({ ...one, ...other }))))(
    'in remote write $version, $label',
    async ({ version, encode, more }) => {
      const { url, log } = await startReceiver();
      expect((await postWrite(url, encode(pushed(more)), version)).status).toBe(204);
      const options = { topic: 'usage.rt1', scheme: 'http', scopeVersion: '', timestampMs: NOW };
      const expected = meaningOf(toRecords(scraped(), options));
      expect([expected.samples, expected.rejected]).toEqual([2, []]);
      expect(meaningOf(await log.records())).toEqual(expected);
    },
  );
});
