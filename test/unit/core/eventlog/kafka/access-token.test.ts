import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { AccessToken } from '../../../../../core/eventlog/kafka/access-token.ts';
import { Secret } from '../../../../../core/runtime/secret.ts';
import { HandClock } from '../../../../support/hand-clock.ts';

describe('the token of a service account', () => {
  let server: Server;
  let answer: { status: number; body: string };
  let asked: string[];
  let token: AccessToken;
  let clock: HandClock;

  beforeEach(async () => {
    asked = [];
    answer = { status: 200, body: JSON.stringify({ access_token: 'first', expires_in: 100 }) };
    server = createServer((request, response) => {
      let form = '';
      request.on('data', (chunk: Buffer) => (form += chunk.toString()));
      request.on('end', () => {
        asked.push(form);
        response.writeHead(answer.status).end(answer.body);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    clock = new HandClock(1_000_000);
    const tokenUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
    const account = { clientId: 'metering', clientSecret: new Secret('a secret'), scope: 'kafka' };
    token = new AccessToken({ mechanism: 'OAUTHBEARER', tokenUrl, ...account }, clock);
  });

  afterEach(() => void server.close());

  test('is asked for once, however many connections want it', async () => {
    expect(await Promise.all([token.value(), token.value()])).toEqual(['first', 'first']);
    expect(await token.value()).toBe('first');
    expect(asked).toEqual([
      'grant_type=client_credentials&client_id=metering&client_secret=a+secret&scope=kafka',
    ]);
  });

  test('is asked for anew half a minute before it ends', async () => {
    await token.value();
    answer = { status: 200, body: JSON.stringify({ access_token: 'second', expires_in: 100 }) };
    clock.advance(69_999);
    expect(await token.value()).toBe('first');
    clock.advance(1);
    expect(await token.value()).toBe('second');
  });

  test.each([
    ['a refusal', { status: 401, body: '{}' }, false, 'gives no token (status 401)'],
    ['no JSON', { status: 200, body: 'not JSON' }, false, 'gives no token (status 200)'],
    ['no end', { status: 200, body: '{"access_token":"a"}' }, false, 'gives no token (status 200)'],
    ['none from here', { status: 403, body: '' }, false, 'gives no token (status 403)'],
    ['nothing behind a proxy', { status: 404, body: '' }, true, 'does not answer (status 404)'],
    ['too slow a request', { status: 408, body: '' }, true, 'does not answer (status 408)'],
    ['too early a request', { status: 425, body: '' }, true, 'does not answer (status 425)'],
    ['too many requests', { status: 429, body: '' }, true, 'does not answer (status 429)'],
    ['a fault of the server', { status: 503, body: '' }, true, 'does not answer (status 503)'],
    [
      'far too much',
      { status: 200, body: 'x'.repeat(2_000_000) },
      true,
      'does not answer (an answer of more than 1 MiB)',
    ],
  ])('%s is a fault, and nothing is remembered of it', async (_, given, retryable, message) => {
    const good = answer;
    answer = given;
    await expect(token.value()).rejects.toMatchObject({
      code: 'METER_LOG_UNAVAILABLE',
      retryable,
      message: expect.stringContaining(message) as string,
    });
    answer = good;
    expect(await token.value()).toBe('first');
  });
});
