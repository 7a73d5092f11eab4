import { Counter, Gauge, Histogram, Registry, Summary } from 'prom-client';
import { expect, it } from 'vitest';
import { parseExposition } from '../../../../collectors/scrape/exposition.ts';

const LABEL = 'quote " slash \\ line\nend ü';

function fill(registers: Registry[]): void {
  new Counter({ name: 'c_total', help: 'a "counter"\nin \\ lines', labelNames: ['l'], registers }).inc(
    { l: LABEL },
    2.5,
  );
  new Gauge({ name: 'g', help: 'gauge', registers }).set(-1e-7);
  new Histogram({ name: 'h', help: 'histogram', buckets: [0.1, 1], registers }).observe(0.5);
  new Summary({ name: 's', help: 'summary', percentiles: [0.5], registers }).observe(7);
}

it.each([
  ['text', Registry.PROMETHEUS_CONTENT_TYPE],
  ['openmetrics', Registry.OPENMETRICS_CONTENT_TYPE],
] as const)('reads what prom-client writes as %s', async (format, contentType) => {
  const registry = new Registry();
  registry.setContentType(contentType as never);
  fill([registry]);
  const result = parseExposition(Buffer.from(await registry.metrics()), format, { maxSamples: 100 });
  if (!result.ok) throw new Error(result.detail);
  const values = result.samples.map(({ name, labels, value }) => [name, Object.fromEntries(labels), value]);
  expect(values).toEqual([
    ['c_total', { l: LABEL }, 2.5],
    ['g', {}, -1e-7],
    ['h_bucket', { le: '0.1' }, 0],
    ['h_bucket', { le: '1' }, 1],
    ['h_bucket', { le: '+Inf' }, 1],
    ['h_sum', {}, 0.5],
    ['h_count', {}, 1],
    ['s', { quantile: '0.5' }, 7],
    ['s_sum', {}, 7],
    ['s_count', {}, 1],
  ]);
});
