/**
 * What is made to take memory or time, sent to a receiver with the flags of the program in a process of its
 * own: neither the bodies, nor their sender, nor the garbage of other tests are counted as its memory.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesField } from '../../core/protobuf/message-writer.ts';
import { guardOf } from '../support/guard.ts';
import { peakBytes } from '../support/peak-memory.ts';
import { post, postWrite } from '../support/receiver.ts';
import { nodeOfProgram } from '../support/role.ts';

const MIB = 1024 * 1024;
const V2 = {
  'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request',
  'content-encoding': 'snappy',
};
const OTLP = { 'content-type': 'application/x-protobuf' };
const OTLP_JSON = { 'content-type': 'application/json' };
const PROCESS = join(import.meta.dirname, '../support/receiver-process.ts');

let child: ChildProcessByStdio<null, Readable, null>;
let url: string;
let idleBytes: number;

beforeAll(async () => {
  const { env, flags } = nodeOfProgram();
  child = spawn(process.execPath, [...flags, PROCESS], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  guardOf(child);
  [url] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  idleBytes = peakBytes(child.pid ?? 0);
});

afterAll(async () => {
  const ended = once(child, 'exit');
  child.kill();
  await ended;
});

describe('what is made to take memory or time', () => {
  /** A block that announces so many bytes and then repeats one, up to `limit`. */
  function bomb(announced: number, limit = announced): Buffer {
    const header: number[] = [];
    for (let rest = announced; ; rest = Math.floor(rest / 128)) {
      header.push(rest < 128 ? rest : (rest % 128) | 0x80);
      if (rest < 128) break;
    }
    const copies = Buffer.alloc(3 * Math.floor(limit / 64), Buffer.from([0xfe, 0x01, 0x00]));
    return Buffer.concat([Buffer.from(header), Buffer.from([0x00, 0x0a]), copies]);
  }
  const repeated = (bytes: readonly number[], count: number): Buffer =>
    Buffer.alloc(bytes.length * count, Buffer.from(bytes));
  const nested = (depth: number): string => `{"resourceMetrics":${'[{"resourceMetrics":'.repeat(depth)}`;
  const values = (depth: number): string =>
    [
      '{"resourceMetrics":[{"resource":{"attributes":[{"key":"a","value":',
      ...['{"arrayValue":{"values":['.repeat(depth), ']}}'.repeat(depth)],
      '}]}}]}',
    ].join('');
  const cases: [string, number, () => Promise<{ status: number }>][] = [
    [
      'a snappy block of 4 GiB',
      413,
      () => post(`${url}/api/v1/write`, bomb(2 ** 32 - 1, 32 * MIB), { headers: V2 }),
    ],
    [
      'a snappy block at the limit, full of one byte',
      400,
      () => post(`${url}/api/v1/write`, bomb(32 * MIB), { headers: V2 }),
    ],
    [
      'a literal of snappy that would go back',
      400,
      () =>
        post(`${url}/api/v1/write`, Buffer.from([0x0a, 0xfc, 0xfa, 0xff, 0xff, 0xff, 0]), {
          headers: V2,
        }),
    ],
    [
      'a gzip of 1 GiB',
      413,
      () => post(`${url}/v1/metrics`, GZIP_BOMB, { headers: { ...OTLP, 'content-encoding': 'gzip' } }),
    ],
    ['a million empty series', 413, () => postWrite(url, repeated([0x0a, 0x00], 1_000_000), '1.0')],
    ['millions of empty symbols', 413, () => postWrite(url, repeated([0x22, 0x00], 4_000_000), '2.0')],
    [
      'a series of millions of empty samples',
      413,
      () => {
        const samples = repeated([0x12, 0x00], 8_000_000);
        return postWrite(url, bytesField(1, samples), '1.0');
      },
    ],
    [
      'a million empty labels',
      400,
      () =>
        postWrite(
          url,
          Buffer.concat([
            Buffer.from([0x0a, 0x84, 0x89, 0x7a]),
            repeated([0x0a, 0x00], 1_000_000),
            Buffer.from([0x12, 0x02, 0x10, 0x01]),
          ]),
          '1.0',
        ),
    ],
    [
      'a million empty resources',
      413,
      () => post(`${url}/v1/metrics`, repeated([0x0a, 0x00], 1_000_000), { headers: OTLP }),
    ],
    [
      'a million empty scopes',
      200,
      () =>
        post(
          `${url}/v1/metrics`,
          Buffer.concat([Buffer.from([0x0a, 0x80, 0x89, 0x7a]), repeated([0x12, 0x00], 1_000_000)]),
          { headers: OTLP },
        ),
    ],
    [
      'JSON nested without end',
      400,
      () => post(`${url}/v1/metrics`, Buffer.from(nested(100_000)), { headers: OTLP_JSON }),
    ],
    [
      'values nested a hundred deep',
      400,
      () => post(`${url}/v1/metrics`, Buffer.from(values(100)), { headers: OTLP_JSON }),
    ],
    [
      'JSON of nothing but empty points',
      413,
      () =>
        post(
          `${url}/v1/metrics`,
          Buffer.from(
            `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":{"dataPoints":[${'{},'.repeat(600_000)}{}]}}]}]}]}`,
          ),
          { headers: OTLP_JSON },
        ),
    ],
  ];
  const GZIP_BOMB = gzipSync(Buffer.alloc(1024 * MIB));

  it.each(cases)('%s is answered with %i, soon and in little memory', async (_, expected, send) => {
    const startedMs = Date.now();
    expect((await send()).status).toBe(expected);
    expect(Date.now() - startedMs).toBeLessThan(20_000);
    expect(peakBytes(child.pid ?? 0) - idleBytes).toBeLessThan(320 * MIB);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});
