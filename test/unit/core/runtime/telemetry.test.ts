import { describe, expect, onTestFinished, test } from 'vitest';
import { Gauge } from 'prom-client';

import { MeteringError } from '../../../../core/runtime/errors.ts';
import type { FactDefinition, Level } from '../../../../core/runtime/fact-definition.ts';
import { facts } from '../../../../core/runtime/facts.ts';
import { Telemetry } from '../../../../core/runtime/telemetry.ts';
import type { LineFormat } from '../../../../core/runtime/log-line.ts';
import { FastClock } from '../../../../core/runtime/clock.ts';

const START_MS = Date.UTC(2026, 2, 1, 10);

function open(
  level: Level | 'silent' = 'debug',
  format: LineFormat = 'json',
): { telemetry: Telemetry; lines: string[] } {
  const lines: string[] = [];
  const output = { write: (line: string) => lines.push(line) };
  const clock = new FastClock({ startMs: START_MS, speed: 1e-9 });
  const telemetry = new Telemetry({ format, level }, { clock, output });
  onTestFinished(() => telemetry.close());
  return { telemetry, lines };
}

describe('a fact', () => {
  test('makes a line and a metric', async () => {
    const { telemetry, lines } = open();
    telemetry.event('pointsRejected', { reason: 'negative', count: 3 });
    telemetry.event('pointsRejected', { reason: 'negative', count: 2 });
    telemetry.event('pointsRejected', { reason: 'nan', count: 1 });
    expect(JSON.parse(lines[0]!)).toEqual({
      time: '2026-03-01T10:00:00.000Z',
      level: 'warn',
      event: 'pointsRejected',
      message: 'points rejected',
      reason: 'negative',
      count: 3,
      runbook: 'docs/runbooks/points-rejected.md',
    });
    const text = await telemetry.metricsText();
    expect(text).toContain('gh0stmeter_rejected_points_total{reason="negative"} 5\n');
    expect(text).toContain('gh0stmeter_rejected_points_total{reason="nan"} 1\n');
  });

  test('is counted even if its level is not written', async () => {
    const { telemetry, lines } = open('warn');
    telemetry.event('samplesInserted', { count: 7 });
    expect(lines).toEqual([]);
    expect(await telemetry.metricsText()).toContain('gh0stmeter_ingest_samples_total 7\n');
  });

  test('of no level is written in quiet mode', () => {
    const { telemetry, lines } = open('silent');
    telemetry.event('requestFailed', { route: '/usage', error: new Error('bug') });
    expect(lines).toEqual([]);
  });

  test('measures in seconds what it tells in milliseconds', async () => {
    const { telemetry } = open();
    telemetry.event('unitRolledUp', { cluster: 'dev', hour: 'h', samples: 10, rows: 2, durationMs: 250 });
    telemetry.event('watermarkMoved', { cluster: 'dev', watermarkMs: START_MS });
    const text = await telemetry.metricsText();
    expect(text).toContain('gh0stmeter_rollup_duration_seconds_sum 0.25\n');
    expect(text).toContain('gh0stmeter_rollup_duration_seconds_bucket{le="0.25"} 1\n');
    expect(text).toContain('gh0stmeter_rollup_duration_seconds_bucket{le="0.1"} 0\n');
    expect(text).toContain(`gh0stmeter_watermark_timestamp_seconds{cluster="dev"} ${START_MS / 1000}\n`);
  });

  test('that may make usage wrong names its runbook', () => {
    const { telemetry, lines } = open();
    telemetry.event('logBehindStore', { topic: 't', partition: 0, end: 5n, known: 2n ** 60n });
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 'error',
      end: '5',
      known: '1152921504606846976',
      runbook: 'docs/runbooks/log-behind-store.md',
    });
  });

  test('tells an operating fault by its code and causes, a bug by its stack', () => {
    const { telemetry, lines } = open();
    const cause = new Error('connection refused');
    const error = new MeteringError('METER_STORE_UNAVAILABLE', 'the store does not answer', { cause });
    telemetry.event('storeError', { operation: 'insert', code: error.code, error });
    telemetry.event('storeError', {
      operation: 'insert',
      code: 'bug',
      error: new TypeError('x is undefined'),
    });
    expect(JSON.parse(lines[0]!)).toMatchObject({
      error: 'METER_STORE_UNAVAILABLE: the store does not answer; because: connection refused',
    });
    expect(lines[1]).toMatch(/TypeError: x is undefined\\n +at /);
  });

  test('survives a cause that is its own cause', () => {
    const { telemetry, lines } = open();
    const error = new MeteringError('METER_STORE_BUSY', 'busy');
    error.cause = error;
    telemetry.event('storeError', { operation: 'insert', code: error.code, error });
    expect(lines).toHaveLength(1);
  });

  test('reads as one line on a terminal', () => {
    const { telemetry, lines } = open('debug', 'pretty');
    telemetry.event('scrapeFailed', { target: 'node 1', reason: 'timeout' });
    expect(lines).toEqual([
      '10:00:00.000  warn   target could not be scraped  target="node 1"  reason=timeout\n',
    ]);
  });

  test('cannot be told with the wrong fields', () => {
    const { telemetry } = open('silent');
    // @ts-expect-error: a count is missing
    const withoutCount = (): void => telemetry.event('samplesInserted', {});
    // @ts-expect-error: no such field
    const withMore = (): void => telemetry.event('samplesInserted', { count: 1, more: 2 });
    // @ts-expect-error: no such fact
    const unknown = (): void => telemetry.event('samplesLost', { count: 1 });
    expect([withoutCount, withMore].length).toBe(2);
    expect(unknown).toThrow();
  });
});

describe('the exposition', () => {
  test('shows the domain’s metrics beside the pipeline’s', async () => {
    const { telemetry } = open();
    const gauge = new Gauge({ name: 'gh0stmeter_usage_cores', help: 'h', registers: [telemetry.domain] });
    gauge.set(4);
    const text = await telemetry.metricsText();
    expect(text).toContain('gh0stmeter_usage_cores 4\n');
    expect(text).toContain('# TYPE gh0stmeter_ingest_samples_total counter\n');
  });

  test('starts unlabelled counters at 0, so that a rate sees the first count', async () => {
    expect(await open().telemetry.metricsText()).toContain('gh0stmeter_conflicting_samples_total 0\n');
  });

  test('is of one telemetry only: two in a process do not mix', async () => {
    const [one, two] = [open().telemetry, open().telemetry];
    one.event('samplesInserted', { count: 7 });
    expect(await two.metricsText()).toContain('gh0stmeter_ingest_samples_total 0\n');
  });

  test('has no line that is not a comment, a sample or empty', async () => {
    const { telemetry } = open();
    telemetry.event('scrapeFailed', { target: 'a"b\\c\nd', reason: 'timeout' });
    const sample = /^[a-z_][a-z0-9_]*(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? [-+0-9.e]+$/i;
    const lines = (await telemetry.metricsText()).split('\n');
    expect(lines.filter((line) => line !== '' && !line.startsWith('# ') && !sample.test(line))).toEqual([]);
  });
});

describe('the catalogue', () => {
  const definitions = Object.entries<FactDefinition<object>>(facts);
  const metrics = definitions.flatMap(([, { metrics: all }]) => all);

  test('names metrics by what they count and its unit', () => {
    const wrong = metrics.filter(({ kind, name }) => {
      const unit = kind === 'counter' ? /_[a-z]+_total$/ : /_(seconds|bytes|number|ratio|difference)$/;
      return !/^gh0stmeter_[a-z]/.test(name) || !unit.test(name);
    });
    expect(wrong).toEqual([]);
  });

  test('defines a metric that two facts share in the same way', () => {
    const shapes = new Map<string, string>();
    for (const { name, kind, help, labels } of metrics) {
      const shape = JSON.stringify({ kind, help, labels });
      expect(shapes.get(name) ?? shape).toBe(shape);
      shapes.set(name, shape);
    }
  });

  test('has a runbook for every error and for nothing that is routine', () => {
    const wrong = definitions.filter(([, { level, runbook }]) =>
      level === 'error' ? runbook === undefined : level !== 'warn' && runbook !== undefined,
    );
    expect(wrong.map(([name]) => name)).toEqual([]);
  });
});
