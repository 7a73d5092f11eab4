import { ClickHouseError } from '@clickhouse/client';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ClickHouseStore } from '../../../../../aggregator/store/clickhouse/server.ts';
import { storeFault } from '../../../../../aggregator/store/clickhouse/faults.ts';
import { MeteringError } from '../../../../../core/runtime/errors.ts';

function engineError(code: number): ClickHouseError {
  return new ClickHouseError({ code: String(code), type: 'SOME_TYPE', message: 'what it says' });
}

describe('storeFault', () => {
  test.each([
    [159, 'METER_QUERY_TIMEOUT', false],
    [158, 'METER_QUERY_LIMIT', false],
    [396, 'METER_QUERY_LIMIT', false],
    [202, 'METER_STORE_BUSY', true],
    [252, 'METER_STORE_BUSY', true],
    [210, 'METER_STORE_UNAVAILABLE', true],
    [243, 'METER_STORE_UNAVAILABLE', true],
    [319, 'METER_STORE_UNAVAILABLE', true],
    [999, 'METER_STORE_UNAVAILABLE', true],
    [62, 'METER_STORE_REJECTED', false],
    [497, 'METER_STORE_REJECTED', false],
    [516, 'METER_STORE_REJECTED', false],
  ])('engine code %i is %s', (code, expected, retryable) => {
    expect(storeFault(engineError(code), 'read t', 'read')).toMatchObject({ code: expected, retryable });
  });

  test('memory that runs out is the fault of a read, and bad luck for a write', () => {
    expect(storeFault(engineError(241), 'read t', 'read').code).toBe('METER_QUERY_LIMIT');
    expect(storeFault(engineError(241), 'insert', 'write')).toMatchObject({
      code: 'METER_STORE_BUSY',
      retryable: true,
    });
  });

  test('the message says what was being done, and the cause is kept', () => {
    const cause = engineError(62);
    const fault = storeFault(cause, 'insert into t', 'write');
    expect(fault.message).toBe('insert into t: what it says');
    expect(fault.cause).toBe(cause);
  });

  test('the code is found in a cause and in the head of an engine message', () => {
    const streamed = new Error('stream', { cause: new Error('Code: 159. DB::Exception: Timeout exceeded') });
    expect(storeFault(streamed, 'read t', 'read').code).toBe('METER_QUERY_TIMEOUT');
    expect(storeFault(Object.assign(new Error('x'), { clickhouseCode: 241 }), 'r', 'read').code).toBe(
      'METER_QUERY_LIMIT',
    );
  });

  test('a number inside a message is no code', () => {
    expect(storeFault(new Error('the answer was: Code: 159. no'), 'r', 'read').code).toBe(
      'METER_STORE_UNAVAILABLE',
    );
  });

  test('a MeteringError stays the one it is', () => {
    const known = new MeteringError('METER_DATA_LOCKED', 'locked');
    expect(storeFault(known, 'open', 'open')).toBe(known);
  });

  test('a bug of ours stays a bug', () => {
    const bug = new TypeError('x is not a function');
    expect(() => storeFault(bug, 'r', 'read')).toThrow(bug);
  });
});

describe('a server that is not well', () => {
  test('one that nobody runs is METER_STORE_UNAVAILABLE, worth another try', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    await expect(ClickHouseStore.open({ url: `http://127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'METER_STORE_UNAVAILABLE',
      retryable: true,
    });
  });

  test.each([
    [
      'cuts its answer off',
      'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"1":1}\n',
      'METER_STORE_UNAVAILABLE',
    ],
    [
      'is a proxy without a server',
      'HTTP/1.1 502 Bad Gateway\r\ncontent-length: 7\r\n\r\n<html/>',
      'METER_STORE_UNAVAILABLE',
    ],
    ['hangs up', '', 'METER_STORE_UNAVAILABLE'],
    [
      'knows no such user',
      'HTTP/1.1 403 Forbidden\r\nX-ClickHouse-Exception-Code: 516\r\nconnection: close\r\n\r\n' +
        'Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)',
      'METER_STORE_REJECTED',
    ],
  ])('one that %s is told apart', async (_what, answer, code) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(answer));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expect(ClickHouseStore.open({ url: `http://127.0.0.1:${port}` })).rejects.toMatchObject({ code });
    server.close();
  });

  test('a database whose name could be more than a name is refused before anything is asked', async () => {
    const open = ClickHouseStore.open({ url: 'http://127.0.0.1:1', database: 'm; DROP TABLE x' });
    await expect(open).rejects.toMatchObject({ code: 'METER_CONFIG_INVALID' });
  });
});
