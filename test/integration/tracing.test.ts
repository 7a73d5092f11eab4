import { afterAll, beforeAll, expect, test } from 'vitest';
import { SystemClock } from '../../core/runtime/clock.ts';
import { startTracing } from '../../core/runtime/telemetry-tracing.ts';
import { Telemetry } from '../../core/runtime/telemetry.ts';
import { TraceCollector } from '../support/trace-collector.ts';

let collector: TraceCollector;

beforeAll(async () => {
  collector = await TraceCollector.start();
});

afterAll(() => {
  collector.stop();
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
});

test('a fact that took time is a span, where traces are asked for', async () => {
  const clock = new SystemClock();
  const telemetry = new Telemetry(
    { format: 'json', level: 'silent' },
    { clock, output: { write: () => true } },
  );
  const fact = { cluster: 'rt1', hour: '2026-10-01T09:00:00Z', samples: 7, rows: 1, durationMs: 12 };

  await (await startTracing()).close();
  telemetry.event('unitRolledUp', fact);
  expect(collector.posted).toEqual([]);

  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.url;
  const tracing = await startTracing();
  telemetry.event('unitRolledUp', fact);
  await tracing.close();
  await telemetry.close();
  expect(collector.posted.map(({ path }) => path)).toEqual(['/v1/traces']);
  expect(collector.posted[0]?.body.includes('unitRolledUp')).toBe(true);
  expect(collector.posted[0]?.body.includes('gh0stmeter.cluster')).toBe(true);
});
