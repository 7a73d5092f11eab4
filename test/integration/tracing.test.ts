import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SystemClock } from '../../core/runtime/clock.ts';
import { startTracing } from '../../core/runtime/telemetry-tracing.ts';
import { Telemetry } from '../../core/runtime/telemetry.ts';

/** A collector's front door: keeps what is posted to it. */
const posted: { path: string; body: string }[] = [];
let collector: Server;

beforeAll(async () => {
  collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = Buffer.concat(chunks);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
      posted.push({ path: request.url ?? '', body: body.toString('latin1') });
      response.end();
    });
  });
  collector.listen(0, '127.0.0.1');
  await once(collector, 'listening');
});

afterAll(() => {
  collector.close();
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
});

test('a fact that took time is a span, where traces are asked for', async () => {
  const { port } = collector.address() as AddressInfo;
  const clock = new SystemClock();
  const telemetry = new Telemetry(
    { format: 'json', level: 'silent' },
    { clock, output: { write: () => true } },
  );
  const fact = { cluster: 'rt1', hour: '2026-10-01T09:00:00Z', samples: 7, rows: 1, durationMs: 12 };

  await (await startTracing()).close();
  telemetry.event('unitRolledUp', fact);
  expect(posted).toEqual([]);

  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = `http://127.0.0.1:${port}`;
  const tracing = await startTracing();
  telemetry.event('unitRolledUp', fact);
  await tracing.close();
  await telemetry.close();
  expect(posted.map(({ path }) => path)).toEqual(['/v1/traces']);
  expect(posted[0]?.body).toContain('unitRolledUp');
  expect(posted[0]?.body).toContain('gh0stmeter.cluster');
});
