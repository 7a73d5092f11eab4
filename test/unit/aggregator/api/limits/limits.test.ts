import * as net from 'node:net';

import { fastify } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';

import type { Grants } from '../../../../../aggregator/api/identity/access.ts';
import type { Authentication, Identity } from '../../../../../aggregator/api/identity/identity.ts';
import { Limits } from '../../../../../aggregator/api/limits/limits.ts';
import { DEFAULT_LIMITS } from '../../../../../aggregator/api/limits/config.ts';
import { readersOf } from '../../../../../aggregator/api/readers.ts';
import { createApi, type Api, type ApiConfig } from '../../../../../aggregator/api/server.ts';
import type { UsageReader } from '../../../../../aggregator/api/usage-reader.ts';
import { nextTurn, SystemClock } from '../../../../../core/runtime/clock.ts';
import { MeteringError } from '../../../../../core/runtime/errors.ts';
import { AWAY_STORE } from '../../../../support/away-store.ts';
import { NOBODYS_USAGE } from '../../../../support/nobodys-usage.ts';

interface Stated {
  readonly name: string;
  readonly fields: object;
}

let facts: Stated[] = [];
let open: Api[] = [];
const sink = { event: (name: string, fields: object) => facts.push({ name, fields }) };

/** The token is the name of who sends it; `nobody` is refused. */
class NamedIdentity implements Identity {
  readonly needsLoopback = false;
  readonly scopes = { member: '', all: '' };
  readonly checks = [];

  async authenticate(rawHeaders: readonly string[]): Promise<Authentication> {
    const given = rawHeaders[rawHeaders.findIndex((name) => name.toLowerCase() === 'authorization') + 1];
    const subject = given?.replace('Bearer ', '') ?? 'nobody';
    if (subject === 'nobody') return { kind: 'refused', reason: 'malformed_token' };
    const roles = new Map([['acme', new Set(['viewer' as const])]]);
    const grants: Grants = subject === 'gh0stplane' ? { kind: 'all' } : { kind: 'tenants', roles };
    return { kind: 'known', principal: { subject, grants } };
  }
}

function api(
  config: Partial<ApiConfig>,
  usage: UsageReader['usage'] = async () => [],
  identity: Identity = new NamedIdentity(),
): Api {
  const made = createApi(
    { port: 0, checkTimeoutMs: 1_000, host: '127.0.0.1', ...config },
    {
      clock: new SystemClock(),
      facts: sink,
      ...readersOf({ queryTimeoutMs: 1_000 }, { store: AWAY_STORE }),
      reader: { ...NOBODYS_USAGE, usage },
      checks: [],
      identity,
      metricsText: async () => '',
    },
  );
  open.push(made);
  return made;
}

async function ask(
  one: Api,
  subject: string,
  options: { url?: string; remoteAddress?: string; ip?: string } = {},
) {
  const { url = '/api/v1/meters', remoteAddress = '192.0.2.1', ip } = options;
  const forwarded = ip === undefined ? {} : { 'x-forwarded-for': ip };
  const headers = { authorization: `Bearer ${subject}`, ...forwarded };
  const response = await one.app.inject({ url, headers, remoteAddress });
  return { status: response.statusCode, headers: response.headers, body: response.body };
}

const statuses = async (times: number, once: () => Promise<{ status: number }>): Promise<number[]> => {
  const all: number[] = [];
  for (let i = 0; i < times; i++) all.push((await once()).status);
  return all;
};

const shed = (): unknown[] => facts.filter(({ name }) => name === 'requestShed').map(({ fields }) => fields);

afterEach(async () => {
  await Promise.all(open.map((one) => one.stop()));
  open = [];
  facts = [];
});

const SLOWLY = { perSecond: 0.01, burst: 3 };

describe('the rate of an identity', () => {
  test('is its own: told in each answer, 429 beyond it, and others go on', async () => {
    const one = api({ memberRate: SLOWLY });
    const first = await ask(one, 'alice');
    expect(first.headers).toMatchObject({
      'ratelimit-policy': '"identity";q=3;w=300',
      ratelimit: '"identity";r=2;t=0',
    });
    expect(await statuses(3, () => ask(one, 'alice'))).toEqual([200, 200, 429]);
    const refused = await ask(one, 'alice');
    expect(JSON.parse(refused.body)).toMatchObject({ code: 'METER_TOO_MANY_REQUESTS', status: 429 });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
    expect((await ask(one, 'bob')).status).toBe(200);
    expect(shed()).toContainEqual({ route: '/api/v1/meters', reason: 'rate' });
  });

  test('of a service account that reads everything is another one', async () => {
    const one = api({ memberRate: { perSecond: 1, burst: 1 }, readAllRate: SLOWLY });
    expect(await statuses(4, () => ask(one, 'gh0stplane'))).toEqual([200, 200, 200, 429]);
  });

  test('does not hold for health and the document', async () => {
    const one = api({ memberRate: { perSecond: 0.01, burst: 1 } });
    await ask(one, 'alice');
    for (const url of ['/healthz', '/readyz', '/openapi.json']) {
      expect(await statuses(3, () => ask(one, 'alice', { url }))).toEqual([200, 200, 200]);
    }
  });
});

describe('an address that sends no good token', () => {
  test('is asked to wait before its tokens are looked at; others are not', async () => {
    const one = api({ deniedRate: SLOWLY });
    expect(await statuses(4, () => ask(one, 'nobody'))).toEqual([401, 401, 401, 429]);
    expect((await ask(one, 'alice')).status).toBe(429);
    expect((await ask(one, 'alice', { remoteAddress: '192.0.2.2' })).status).toBe(200);
    expect(shed()).toContainEqual({ route: '/api/v1/meters', reason: 'address' });
  });

  test('is the one that a trusted proxy names, and no other proxy', async () => {
    const one = api({ deniedRate: SLOWLY, trustedProxies: ['192.0.2.0/24'] });
    await statuses(4, () => ask(one, 'nobody', { ip: '198.51.100.1' }));
    expect((await ask(one, 'alice', { ip: '198.51.100.1' })).status).toBe(429);
    expect((await ask(one, 'alice', { ip: '198.51.100.2' })).status).toBe(200);
    const stranger = { remoteAddress: '203.0.113.9' };
    for (let i = 0; i < 4; i++) await ask(one, 'nobody', { ...stranger, ip: `198.51.100.${10 + i}` });
    expect((await ask(one, 'alice', stranger)).status).toBe(429);
  });
});

describe('requests at once', () => {
  test('of one identity have a limit, and an ended one makes room', async () => {
    let release = (): void => undefined;
    const held = new Promise<readonly never[]>((resolve) => (release = () => resolve([])));
    const one = api({ requestsPerIdentity: 2 }, () => held);
    await one.start();
    const send = (subject: string): Promise<Response> =>
      fetch(`${one.url}/api/v1/meters/cpu/query`, { headers: { authorization: `Bearer ${subject}` } });
    const running = [send('alice'), send('alice')];
    const until = async (status: number): Promise<void> => {
      while (
        (await fetch(`${one.url}/api/v1/meters`, { headers: { authorization: 'Bearer alice' } })).status !==
        status
      );
    };
    await until(429);
    expect(shed()).toContainEqual({ route: '/api/v1/meters', reason: 'at_once' });
    expect(
      (await fetch(`${one.url}/api/v1/meters`, { headers: { authorization: 'Bearer bob' } })).status,
    ).toBe(200);
    release();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
    await until(200);
  });

  test('of somebody who has gone while the token was checked make room', async () => {
    let check: PromiseWithResolvers<undefined> | undefined = Promise.withResolvers<undefined>();
    class SlowIdentity extends NamedIdentity {
      override async authenticate(rawHeaders: readonly string[]): Promise<Authentication> {
        await check?.promise;
        return await super.authenticate(rawHeaders);
      }
    }
    const one = api({ requestsPerIdentity: 1 }, undefined, new SlowIdentity());
    const isHandled = Promise.withResolvers<undefined>();
    one.app.addHook('preHandler', async () => isHandled.resolve(undefined));
    await one.start();
    const gone = new Promise<void>((resolve) =>
      one.app.server.once('request', (_, { socket }) => {
        socket?.once('close', () => resolve(nextTurn()));
        client.destroy();
      }),
    );
    const client = net.connect(Number(new URL(one.url).port), '127.0.0.1');
    client.write('GET /api/v1/meters HTTP/1.1\r\nhost: a\r\nauthorization: Bearer alice\r\n\r\n');
    await gone;
    check.resolve(undefined);
    check = undefined;
    await isHandled.promise;
    expect((await ask(one, 'alice')).status).toBe(200);
  });

  test('beyond what the store takes are 503 with a time to come again, and no fault of ours', async () => {
    const one = api({}, () =>
      Promise.reject(new MeteringError('METER_OVERLOADED', '64 queries wait already')),
    );
    const refused = await ask(one, 'alice', { url: '/api/v1/meters/cpu/query' });
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '2']);
    expect(JSON.parse(refused.body)).toMatchObject({ code: 'METER_OVERLOADED' });
    expect(shed()).toEqual([{ route: '/api/v1/meters/:meter/query', reason: 'queries' }]);
    expect(facts.filter(({ name }) => name === 'requestFailed')).toEqual([]);
  });
});

test('while the event loop is late, requests are turned away before anybody is asked who they are', async () => {
  const app = fastify();
  const eventLoop = { meanMs: 501 };
  const limits = new Limits(DEFAULT_LIMITS, { clock: new SystemClock(), facts: sink, eventLoop });
  limits.registerBefore(app);
  app.get('/', () => 'answered');
  const late = await app.inject('/');
  expect([late.statusCode, late.headers['retry-after']]).toEqual([503, '1']);
  expect(late.json()).toMatchObject({ code: 'METER_OVERLOADED' });
  eventLoop.meanMs = 500;
  expect((await app.inject('/')).body).toBe('answered');
  await app.close();
});

describe('what is no request', () => {
  async function sent(text: string, config: Partial<ApiConfig> = {}): Promise<string> {
    const one = api(config);
    await one.start();
    const { port } = new URL(one.url);
    const socket = net.connect(Number(port), '127.0.0.1');
    socket.write(text);
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    return answer;
  }

  test.each([
    ['no HTTP at all', 'hello\r\n\r\n', 400, 'METER_REQUEST_MALFORMED'],
    [
      'headers too large',
      `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
      431,
      'METER_HEADERS_TOO_LARGE',
    ],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
      400,
      'METER_REQUEST_MALFORMED',
    ],
  ])('because of %s, is a problem like any other', async (_, text, status, code) => {
    const answer = await sent(text);
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(head).toContain('content-type: application/problem+json');
    expect(JSON.parse(body)).toMatchObject({ code, status });
  });

  test('headers up to the setting are taken', async () => {
    const request = `GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`;
    expect(await sent(request, { headerBytes: 32_768 })).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('a stop', () => {
  test('turns readiness first, serves while it drains, lets what runs end and closes kept connections', async () => {
    let release = (): void => undefined;
    const begun = Promise.withResolvers<undefined>();
    const held = new Promise<readonly never[]>((resolve) => (release = () => resolve([])));
    const one = api({ drainMs: 400 }, () => {
      begun.resolve(undefined);
      return held;
    });
    await one.start();
    const { url } = one;
    const headers = { authorization: 'Bearer alice' };
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const running = fetch(`${url}/api/v1/meters/cpu/query`, { headers });
    await begun.promise;
    const stopped = one.stop();
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, ready.headers.get('connection')]).toEqual([503, 'close']);
    const late = await fetch(`${url}/api/v1/meters`, { headers });
    expect([late.status, late.headers.get('connection')]).toEqual([200, 'close']);
    open = [];
    let isStopped = false;
    const done = stopped.then(() => (isStopped = true));
    while (
      await fetch(`${url}/healthz`).then(
        () => true,
        () => false,
      )
    )
      await nextTurn();
    expect(isStopped).toBe(false);
    release();
    expect((await running).status).toBe(200);
    await done;
  });
});
