/**
 * Traces, where somebody wants them: with `OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) set, every
 * fact that took time is also a span, sent over OTLP by the OpenTelemetry SDK, which reads its other `OTEL_*`
 * variables itself. Without it nothing is loaded and spans cost nothing. A collector that is away costs
 * spans, never usage.
 */
import type { IncomingHttpHeaders } from 'node:http';

import { context, propagation, ROOT_CONTEXT, SpanKind, trace, type Attributes } from '@opentelemetry/api';

import { isTracingConfigured } from './config.ts';
import type { FactName } from './facts.ts';

const SERVICE = 'gh0stmeter';
/** The fact that somebody else's request was answered. */
const SERVED: FactName = 'requestServed';

export interface Tracing {
  /** Sends what is left. */
  close(): Promise<void>;
}

export async function startTracing(): Promise<Tracing> {
  if (!isTracingConfigured()) return { close: () => Promise.resolve() };
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  // Metrics and logs have ways of their own (telemetry.ts).
  const sdk = new NodeSDK({
    serviceName: SERVICE,
    metricReaders: [],
    logRecordProcessors: [],
    autoDetectResources: false,
  });
  sdk.start();
  return { close: () => sdk.shutdown() };
}

/** Tells within the trace that headers name (W3C trace context); malformed ones name none. */
export function inTraceOf(headers: IncomingHttpHeaders, tell: () => void): void {
  context.with(propagation.extract(ROOT_CONTEXT, headers), tell);
}

/** A span that has ended: `name` took `durationMs` until `endMs`. */
export function recordSpan(
  name: string,
  time: { readonly endMs: number; readonly durationMs: number },
  fields: Readonly<Record<string, unknown>>,
): void {
  const attributes: Attributes = {};
  for (const [key, value] of Object.entries(fields)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      attributes[`${SERVICE}.${key}`] = value;
    }
  }
  const startTime = time.endMs - time.durationMs;
  const kind = name === SERVED ? SpanKind.SERVER : SpanKind.INTERNAL;
  trace.getTracer(SERVICE).startSpan(name, { startTime, attributes, kind }).end(time.endMs);
}
