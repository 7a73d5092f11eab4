import { fastify } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';

import { readersOf } from '../../../../aggregator/api/readers.ts';
import { createApi, type Api, type ApiConfig } from '../../../../aggregator/api/server.ts';
import { principalOf, registerIdentity, scopeOf } from '../../../../aggregator/api/identity.ts';
import type { Grants, Role } from '../../../../aggregator/api/identity/access.ts';
import { LocalIdentity, type Identity } from '../../../../aggregator/api/identity/identity.ts';
import { OpsListener } from '../../../../aggregator/api/ops.ts';
import { SystemClock } from '../../../../core/runtime/clock.ts';
import { AWAY_STORE } from '../../../support/away-store.ts';
import { NOBODYS_USAGE } from '../../../support/nobodys-usage.ts';

const clock = new SystemClock();
const limits = { port: 0, requestTimeoutMs: 2_000, answerTimeoutMs: 2_000, checkTimeoutMs: 50 };
const facts = { event: () => undefined };
const metricsText = async (): Promise<string> => 'gh0stmeter_usage{tenant="acme"} 1\n';

let parts: { stop(): Promise<void> }[] = [];

function api(config: Partial<ApiConfig>, identity?: Identity): Api {
  const readers = readersOf({ queryTimeoutMs: 1_000 }, { store: AWAY_STORE });
  const deps = { ...readers, clock, facts, reader: NOBODYS_USAGE, checks: [], metricsText };
  const made = createApi({ ...limits, ...config }, identity === undefined ? deps : { ...deps, identity });
  parts.push(made);
  return made;
}

/** Somebody with these grants, whatever is sent. */
function always(grants: Grants): Identity {
  return {
    needsLoopback: false,
    scopes: { member: 'organization', all: 'metering:read:all' },
    checks: [],
    authenticate: async () => ({ kind: 'known', principal: { subject: 'alice', grants } }),
  };
}

afterEach(async () => {
  await Promise.all(parts.map((part) => part.stop()));
  parts = [];
});

describe('without an issuer', () => {
  test.each(['0.0.0.0', '::', '192.0.2.1', 'metering.example', '127.0.0.1.evil.example'])(
    'a listener on %s does not start, and says what to set',
    async (host) => {
      await expect(api({ host }).start()).rejects.toMatchObject({
        code: 'METER_CONFIG_INVALID',
        message: expect.stringMatching(/set api\.identity\.issuer, or listen on 127\.0\.0\.1/) as string,
      });
    },
  );

  test.each(['127.0.0.1', 'localhost'])('one on %s does, and shows everything there is', async (host) => {
    const part = api({ host });
    await part.start();
    const ready = (await (await fetch(`${part.url}/readyz`)).json()) as { notices: string[] };
    expect(ready.notices).toEqual([
      expect.stringContaining(`listens on ${host} only and shows every tenant`),
    ]);
    expect((await fetch(`${part.url}/api/v1/meters`)).status).toBe(200);
    expect((await fetch(`${part.url}/metrics`)).status).toBe(200);
  });
});

describe('with one', () => {
  test('it listens where it is told to, under any name', async () => {
    const part = api({ host: '0.0.0.0' }, always({ kind: 'all' }));
    await part.start();
    const response = await fetch(`${part.url}/api/v1/meters`);
    expect(response.status).toBe(200);
    const named = await part.app.inject({ url: '/readyz', headers: { host: 'metering.example' } });
    expect(named.json()).toMatchObject({ notices: [] });
  });
});

describe('a route behind identity', () => {
  test('that does not say what it gives keeps the program from starting', async () => {
    const app = fastify();
    app.register(async (inner) => {
      registerIdentity(inner, { identity: new LocalIdentity(), facts });
      inner.get('/forgotten', () => 'everything');
    });
    await expect(app.ready()).rejects.toThrow(/\/forgotten does not say what it gives/);
  });

  test('is handed who asks and what they may read, for the capability it names', async () => {
    const roles = new Map<string, ReadonlySet<Role>>([
      ['acme', new Set<Role>(['viewer'])],
      ['globex', new Set<Role>(['billing'])],
    ]);
    const app = fastify();
    parts.push({ stop: () => app.close() });
    app.register(async (inner) => {
      registerIdentity(inner, { identity: always({ kind: 'tenants', roles }), facts });
      for (const capability of ['usage', 'statements', 'platform'] as const) {
        inner.get(`/${capability}`, { config: { capability } }, (request) => ({
          subject: principalOf(request).subject,
          scope: scopeOf(request),
        }));
      }
    });
    const scope = (tenants: readonly string[]): object => ({
      subject: 'alice',
      scope: { kind: 'tenants', tenants },
    });
    expect((await app.inject('/usage')).json()).toEqual(scope(['acme', 'globex']));
    expect((await app.inject('/statements')).json()).toEqual(scope(['globex']));
    const refused = await app.inject('/platform');
    expect(refused.statusCode).toBe(403);
    expect(refused.headers['www-authenticate']).toMatch(/scope="metering:read:all"$/);
  });
});

describe('the ops listener', () => {
  test('shows metrics and what is behind readiness, and nothing of the API', async () => {
    const checks = [{ name: 'store', check: async () => ({ ready: true, detail: '7 marks to roll up' }) }];
    const ops = new OpsListener({ ...limits, host: '0.0.0.0' }, { clock, facts, checks, metricsText });
    parts.push(ops);
    await ops.start();
    expect(await (await fetch(`${ops.url}/metrics`)).text()).toBe(await metricsText());
    expect(await (await fetch(`${ops.url}/readyz`)).json()).toMatchObject({
      checks: [{ detail: '7 marks to roll up' }],
    });
    expect((await fetch(`${ops.url}/api/v1/meters`)).status).toBe(404);
  });

  test('on a loopback address answers under loopback names only', async () => {
    const ops = new OpsListener({ ...limits, host: '127.0.0.1' }, { clock, facts, checks: [], metricsText });
    parts.push(ops);
    const headers = { host: 'evil.example' };
    expect((await ops.app.inject({ url: '/metrics', headers })).statusCode).toBe(421);
    expect((await ops.app.inject('/metrics')).statusCode).toBe(200);
  });
});
