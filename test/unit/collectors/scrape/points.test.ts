import { describe, expect, it } from 'vitest';
import { scrapeConfig, type ScrapeTarget } from '../../../../collectors/scrape/config.ts';
import type { ExposedSample, Label } from '../../../../collectors/scrape/exposed-sample.ts';
import { labelScrape, reportSeries } from '../../../../collectors/scrape/points.ts';

const AT = 1_700_000_000_000;

function targetWith(settings: object): ScrapeTarget {
  const [target] = scrapeConfig({
    cluster: 'dev',
    targets: [{ job: 'kubelet', url: 'http://10.0.0.1:10250/metrics', labels: { node: 'n1' }, ...settings }],
  }).targets;
  if (target === undefined) throw new Error('one target was given');
  return target;
}

function sample(labels: readonly Label[], more: Partial<ExposedSample> = {}): ExposedSample {
  return { name: 'm', labels, value: 1, timestampMs: undefined, startMs: undefined, ...more };
}

function label(labels: readonly Label[], settings: object = {}) {
  const target = targetWith(settings);
  const { points } = labelScrape([sample(labels)], { cluster: 'dev', target }, AT);
  const series = points[0]?.series;
  return { ...Object.fromEntries(series?.labels ?? []), '=': [series?.job, series?.instance].join(' ') };
}

const OWN = { node: 'n1', cluster: 'dev', '=': 'kubelet 10.0.0.1:10250' };

describe('labels of a scraped sample', () => {
  it('are its own and those of its target, sorted, without empty ones', () => {
    expect(
      label([
        ['pod', 'p'],
        ['container', ''],
      ]),
    ).toEqual({ ...OWN, pod: 'p' });
    const { points } = labelScrape(
      [
        sample([
          ['z', '1'],
          ['a', '2'],
        ]),
      ],
      { cluster: 'dev', target: targetWith({}) },
      AT,
    );
    expect(points[0]?.series.labels.map(([name]) => name)).toEqual(['a', 'cluster', 'node', 'z']);
  });

  it('step aside where the target has the same, as exported_…', () => {
    expect(
      label([
        ['node', 'other'],
        ['job', 'j'],
        ['instance', 'i'],
      ]),
    ).toEqual({
      ...OWN,
      exported_node: 'other',
      exported_job: 'j',
      exported_instance: 'i',
    });
    expect(
      label([
        ['node', 'x'],
        ['exported_node', 'y'],
      ]),
    ).toEqual({
      ...OWN,
      exported_node: 'y',
      exported_exported_node: 'x',
    });
    expect(label([['node', '']])).toEqual(OWN);
  });

  it('win with honorLabels, also by being empty', () => {
    expect(label([['node', 'other']], { honorLabels: true })).toEqual({ ...OWN, node: 'other' });
    expect(label([['node', '']], { honorLabels: true })).toEqual({ cluster: 'dev', '=': OWN['='] });
    expect(
      label(
        [
          ['job', 'j'],
          ['instance', ''],
        ],
        { honorLabels: true },
      ),
    ).toEqual({ ...OWN, '=': 'j 10.0.0.1:10250' });
  });

  it('never decide the cluster', () => {
    expect(label([['cluster', 'prod']])).toEqual({ ...OWN, exported_cluster: 'prod' });
    expect(label([['cluster', 'prod']], { honorLabels: true })).toEqual({ ...OWN, exported_cluster: 'prod' });
  });
});

describe('times of a scraped sample', () => {
  it('are the scrape’s, or its own unless that is turned off', () => {
    const own = sample([], { timestampMs: 5, startMs: 3 });
    const times = (settings: object) =>
      labelScrape([own], { cluster: 'dev', target: targetWith(settings) }, AT).points[0]?.timeMs;
    expect(times({})).toBe(5);
    expect(times({ honorTimestamps: false })).toBe(AT);
  });

  it('with the series decide what is a duplicate: the first stays, the rest is counted', () => {
    const samples = [
      sample([['a', '1']], { value: 1 }),
      sample(
        [
          ['a', '1'],
          ['b', ''],
        ],
        { value: 2 },
      ),
      sample([['a', '1']], { value: 3, timestampMs: AT }),
      sample([['a', '1']], { value: 4, timestampMs: 7 }),
      sample([['a', '1']], { value: 5, timestampMs: 7 }),
      sample([['a', '1']], { value: 6, timestampMs: 8 }),
    ];
    const scrape = labelScrape(samples, { cluster: 'dev', target: targetWith({}) }, AT);
    expect(scrape.points.map(({ value }) => value)).toEqual([1, 4, 6]);
    expect(scrape.duplicates).toBe(3);
    expect(scrape.tracked.size).toBe(1);
  });

  it('decide whether the end of a series is marked', () => {
    const samples = [sample([['a', '1']]), sample([['a', '2']], { timestampMs: 7 })];
    const tracked = (settings: object) =>
      labelScrape(samples, { cluster: 'dev', target: targetWith(settings) }, AT).tracked.size;
    expect(tracked({})).toBe(2);
    expect(tracked({ trackTimestampsStaleness: false })).toBe(1);
    expect(tracked({ trackTimestampsStaleness: false, honorTimestamps: false })).toBe(2);
  });
});

it('the report of a scrape carries the labels of the target alone', () => {
  expect(reportSeries({ cluster: 'dev', target: targetWith({}) }, 'up')).toEqual({
    job: 'kubelet',
    instance: '10.0.0.1:10250',
    name: 'up',
    labels: [
      ['cluster', 'dev'],
      ['node', 'n1'],
    ],
  });
});
