import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TokenServer, type Door } from '../support/token-server.ts';
import { ask, guardedApi, type GuardedApi, type GuardedOptions } from '../support/token-server-api.ts';

/** The issuer's keys: found, kept, read again, and done without while the issuer is away. */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Short of a test's own time, long for a machine under load. */
const QUICK = { timeoutMs: 1_000 };

/** A flood of bad tokens is what some of these tests are made of; limits are of the machine's own time. */
const MANY_DENIED = { deniedRate: { perSecond: 10_000, burst: 10_000 } };

let server: TokenServer;
let open: GuardedApi[] = [];

function start(settings: GuardedOptions['settings'] = {}): GuardedApi {
  const guarded = guardedApi(server, { settings: { keys: QUICK, ...settings }, limits: MANY_DENIED });
  open.push(guarded);
  return guarded;
}

beforeEach(async () => {
  server = await TokenServer.start();
});

afterEach(async () => {
  await Promise.all(open.map(({ api }) => api.stop()));
  open = [];
  await server.stop();
});

const user = (): Promise<string> => server.userToken({ claims: { organization: ['acme'] } });

/** A token of a time to come, for a clock that was moved there. */
function later(guarded: GuardedApi, claims: Readonly<Record<string, unknown>> = {}): string {
  const iat = Math.floor(guarded.clock.now() / 1000);
  return server.forge({ iat, exp: iat + 300, ...claims });
}

async function status(guarded: GuardedApi, token: string): Promise<number> {
  return (await ask(guarded, token)).status;
}

describe('tokens of the issuer', () => {
  test.each(['RS256', 'PS256', 'ES256', 'EdDSA'] as const)('signed with %s are taken', async (algorithm) => {
    const claims = { organization: ['acme'] };
    const guarded = start();
    expect(await status(guarded, await server.userToken({ claims, algorithm }))).toBe(200);
    expect(await status(guarded, await server.userToken({ claims, algorithm, isByRfc9068: true }))).toBe(200);
  });

  test('signed with an algorithm that the settings leave out are not', async () => {
    const guarded = start({ algorithms: ['ES256'] });
    expect(await status(guarded, await user())).toBe(401);
    const claims = { organization: ['acme'] };
    expect(await status(guarded, await server.userToken({ claims, algorithm: 'ES256' }))).toBe(200);
  });

  test('of service accounts are taken, got by client credentials', async () => {
    expect(await status(start(), await server.serviceToken())).toBe(200);
  });
});

describe('keys', () => {
  test('are found by discovery, once for many requests', async () => {
    const guarded = start();
    const token = await user();
    const answers = await Promise.all(Array.from({ length: 20 }, () => status(guarded, token)));
    expect(new Set(answers)).toEqual(new Set([200]));
    expect([server.discoveries, server.keyRequests]).toEqual([1, 1]);
  });

  test('are read from the address in the settings where there is one', async () => {
    expect(await status(start({ jwksUri: server.jwksUri }), await user())).toBe(200);
    expect([server.discoveries, server.keyRequests]).toEqual([0, 1]);
  });

  test('that were rotated are read as soon as a token names one, and old ones end with that', async () => {
    const guarded = start();
    const before = await user();
    expect(await status(guarded, before)).toBe(200);
    await server.rotate();
    const after = await user();
    guarded.clock.move(31_000);
    expect(await status(guarded, after)).toBe(200);
    expect(await status(guarded, before)).toBe(401);
    expect(server.keyRequests).toBe(2);
  });

  test('are read again when they are old, so that a withdrawn one does not count for ever', async () => {
    const guarded = start();
    const withdrawn = later(guarded, { exp: Math.floor(Date.now() / 1000) + 3600 });
    expect(await status(guarded, withdrawn)).toBe(200);
    await server.rotate();
    guarded.clock.move(9 * MINUTE);
    expect(await status(guarded, withdrawn)).toBe(200);
    guarded.clock.move(2 * MINUTE);
    expect(await status(guarded, withdrawn)).toBe(401);
    expect(server.keyRequests).toBe(2);
  });

  test('are read once per cooldown, however many unknown ones are named', async () => {
    const guarded = start();
    expect(await status(guarded, await user())).toBe(200);
    const flood = async (round: number): Promise<ReadonlySet<number>> => {
      const forged = Array.from({ length: 100 }, (_, i) => later(guarded, { kid: `${round}-${i}` }));
      const unknown = forged.map((token, i) => token.replace(/^[^.]+/, header(`stray ${round} ${i}`)));
      return new Set(await Promise.all(unknown.map((token) => status(guarded, token))));
    };
    for (let round = 0; round < 3; round += 1) {
      expect(await flood(round)).toEqual(new Set([401]));
      expect(server.keyRequests).toBe(1 + round);
      guarded.clock.move(31_000);
    }
    expect(guarded.denials.filter(({ reason }) => reason === 'unknown_key')).toHaveLength(300);
  });

  test('that are garbage are passed over, and the good ones beside them are used', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
    const { privateJwk, publicJwk } = server.key('RS256');
    server.extraKeys = [
      ...[null, 7, 'key', [], {}, { kty: 'RSA' }, { kty: 'oct', k: 'c2VjcmV0', kid: 'oct' }],
      { ...publicJwk, n: 'AAAA' },
      { ...publicJwk, n: 7 },
      { ...publicJwk, kid: { a: 1 } },
      { ...publicJwk, use: 'enc', kid: 'enc' },
      { ...publicJwk, key_ops: ['sign'], kid: 'ops' },
      { ...privateJwk, kid: 'private' },
      { ...weak, kid: 'weak', alg: 'RS256' },
      { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'off the curve' },
    ];
    const guarded = start();
    expect(await status(guarded, await user())).toBe(200);
    for (const kid of ['oct', 'enc', 'ops', 'private', 'weak', 'off the curve']) {
      expect(await status(guarded, server.forge({}, { kid })), kid).toBe(401);
    }
    expect(guarded.log()).toContain('"keys":4,"ignored":15');
  });
});

function header(kid: string): string {
  return Buffer.from(JSON.stringify({ alg: 'RS256', typ: 'JWT', kid })).toString('base64url');
}

/** The ways of not answering, and what the log says of each. */
const SHUT: readonly (readonly [Door, string])[] = [
  ['closed', '/.well-known/openid-configuration'],
  ['error', 'answered with status 500'],
  ['silent', 'no answer within 1000 ms'],
  ['redirect', 'answered with status 302; redirects are not followed'],
  ['other-issuer', 'is the configuration of another issuer'],
  ['no-json', 'answered with something else than JSON'],
  ['no-keys', 'no key of the issuer can be used'],
  ['no-set', '/jwks is no key set'],
  ['keys-elsewhere', 'names no address of keys that can be trusted'],
  ['endless', 'answered with more than 262144 bytes'],
];

describe('an issuer that does not answer as it should', () => {
  test.each(SHUT)(
    '(%s) before the first key: 503 with when to come again, and not ready',
    async (door, words) => {
      const guarded = start();
      const token = await user();
      server.door = door;
      const answer = await ask(guarded, token);
      expect(answer.status).toBe(503);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(20);
      expect(answer.headers['www-authenticate']).toBeUndefined();
      expect(JSON.parse(answer.body)).toMatchObject({ code: 'METER_IDENTITY_UNAVAILABLE' });
      expect((await guarded.api.app.inject('/readyz')).statusCode).toBe(503);
      expect(server.strayed).toBe(0);
      expect(guarded.log()).toContain('"event":"issuerUnavailable"');
      expect(guarded.log()).toContain('METER_ISSUER_UNAVAILABLE');
      expect(guarded.log()).toContain(words);
      // Once it is back, no restart is needed.
      server.door = 'open';
      guarded.clock.move(31_000);
      expect(await status(guarded, later(guarded))).toBe(200);
      expect((await guarded.api.app.inject('/readyz')).statusCode).toBe(200);
    },
  );

  test.each(SHUT)(
    '(%s) afterwards: keys that are held go on being used, within their bound',
    async (door) => {
      const guarded = start();
      expect(await status(guarded, await user())).toBe(200);
      server.door = door;
      guarded.clock.move(23 * HOUR);
      expect(await status(guarded, later(guarded))).toBe(200);
      expect(await guarded.identity.checks[0]?.check()).toEqual({
        ready: true,
        detail: expect.stringMatching(/^4 keys, read 828\d\d s ago; the issuer does not answer$/) as string,
      });
      expect((await guarded.api.app.inject('/readyz')).statusCode).toBe(200);
      guarded.clock.move(2 * HOUR);
      expect(await status(guarded, later(guarded))).toBe(503);
    },
  );

  test('is not waited for once it is known to be away', async () => {
    const guarded = start({ keys: { timeoutMs: 600_000 } });
    expect(await status(guarded, await user())).toBe(200);
    server.door = 'error';
    guarded.clock.move(HOUR);
    expect(await status(guarded, later(guarded))).toBe(200);
    // This reading never ends, so whoever waited for it would not either.
    server.door = 'silent';
    guarded.clock.move(31_000);
    expect(await status(guarded, later(guarded))).toBe(200);
    await expect.poll(() => server.discoveries).toBe(3);
  });

  test('is no reason to call a token forged whose key may be new: 503 until it is known', async () => {
    const guarded = start();
    expect(await status(guarded, await user())).toBe(200);
    await server.rotate();
    const rotated = await user();
    server.door = 'error';
    guarded.clock.move(31_000);
    expect(await status(guarded, rotated)).toBe(503);
    server.door = 'open';
    guarded.clock.move(31_000);
    expect(await status(guarded, rotated)).toBe(200);
  });

  test('is asked once per cooldown', async () => {
    server.door = 'error';
    const guarded = start();
    const token = await user();
    for (let i = 0; i < 20; i += 1) expect(await status(guarded, token)).toBe(503);
    expect(server.discoveries).toBe(1);
  });
});

describe('a clock', () => {
  test('that is set back an hour makes keys be read anew and nothing hang', async () => {
    const guarded = start();
    expect(await status(guarded, await user())).toBe(200);
    guarded.clock.move(-HOUR);
    expect(await status(guarded, later(guarded))).toBe(200);
    expect(server.keyRequests).toBe(2);
  });
});
