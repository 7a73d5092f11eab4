/** Requests and the traces of those who make them, as a collector is told of both. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readersOf } from '../../aggregator/api/readers.ts';
import { createApi } from '../../aggregator/api/server.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { startTracing } from '../../core/runtime/telemetry-tracing.ts';
import { Telemetry } from '../../core/runtime/telemetry.ts';
import { AWAY_STORE } from '../support/away-store.ts';
import { NOBODYS_USAGE } from '../support/nobodys-usage.ts';
import { TraceCollector } from '../support/trace-collector.ts';

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly kind: number;
}

interface Export {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly Span[] }[] }[];
}

const SERVER_KIND = 2;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';
/** Each of a trace of its own, so that its span is told apart. */
const traceOf = (n: number): string => `${n}${TRACE.slice(1)}`;
const NOT_SAMPLED = `00-${traceOf(9)}-${CALLER}-00`;
const WRONG = [
  `00-${traceOf(1).toUpperCase()}-${CALLER}-01`,
  `ff-${traceOf(1)}-${CALLER}-01`,
  `00-${'0'.repeat(32)}-${CALLER}-01`,
  `00-${traceOf(1)}-${'0'.repeat(16)}-01`,
  `00-${traceOf(1)}-${CALLER}-01-more`,
  `00-${traceOf(1)}-${CALLER}`,
  `00-${traceOf(1)}-${CALLER}-01, 00-${traceOf(1)}-${CALLER}-01`,
  'x',
];

let collector: TraceCollector;

beforeAll(async () => {
  collector = await TraceCollector.start();
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', collector.url);
  vi.stubEnv('OTEL_EXPORTER_OTLP_PROTOCOL', 'http/json');
});
afterAll(() => {
  collector.stop();
  vi.unstubAllEnvs();
});

test('a request is a child of the span of whoever made it, if that one is traced and says so rightly', async () => {
  const tracing = await startTracing();
  const clock = new SystemClock();
  const output = { write: () => true };
  const telemetry = new Telemetry({ format: 'json', level: 'silent' }, { clock, output });
  const api = createApi(
    { port: 0, checkTimeoutMs: 1_000 },
    {
      ...readersOf({ queryTimeoutMs: 1_000 }, { store: AWAY_STORE }),
      ...{ clock, facts: telemetry, reader: NOBODYS_USAGE, checks: [] },
      metricsText: async () => '',
    },
  );
  await api.start();
  const ask = async (headers: Readonly<Record<string, string>>): Promise<string | null> => {
    const response = await fetch(`${api.url}/api/v1/meters/cpu/query`, { headers });
    expect(response.status).toBe(200);
    await response.text();
    return response.headers.get('traceparent');
  };
  const right = `00-${TRACE}-${CALLER}-01`;
  expect(await ask({ traceparent: right, tracestate: 'vendor=7' })).toBe(right);
  expect(await ask({ traceparent: NOT_SAMPLED })).toBe(NOT_SAMPLED);
  expect(await ask({})).toBeNull();
  for (const wrong of WRONG) expect(await ask({ traceparent: wrong })).toBeNull();
  await api.stop();
  await tracing.close();
  await telemetry.close();

  const exported = collector.posted.map(({ body }) => JSON.parse(body.toString()) as Export);
  const spans = exported
    .flatMap(({ resourceSpans }) => resourceSpans.flatMap(({ scopeSpans }) => scopeSpans))
    .flatMap((scope) => scope.spans)
    .filter(({ name }) => name === 'requestServed');
  expect(spans.filter(({ traceId }) => traceId === TRACE)).toMatchObject([
    { parentSpanId: CALLER, kind: SERVER_KIND, traceState: 'vendor=7' },
  ]);
  const others = spans.filter(({ traceId }) => traceId !== TRACE);
  expect(others).toHaveLength(1 + WRONG.length);
  expect(others.map(({ parentSpanId = '' }) => parentSpanId).join('')).toBe('');
  expect(others.map(({ kind }) => kind)).toEqual(others.map(() => SERVER_KIND));
  const strangers = [traceOf(1), traceOf(9)];
  expect(others.filter(({ traceId }) => strangers.includes(traceId))).toEqual([]);
  expect(new Set(others.map(({ traceId }) => traceId)).size).toBe(others.length);
});
