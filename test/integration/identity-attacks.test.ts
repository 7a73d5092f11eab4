import { createHmac, createPublicKey, generateKeyPairSync, KeyObject, sign } from 'node:crypto';
import { CompactEncrypt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { signedText, TokenServer } from '../support/token-server.ts';
import { ask, askRaw, CATALOGUE, guardedApi, type GuardedApi } from '../support/token-server-api.ts';

/** What does not come from the issuer, or not for us, or not now, proves nothing, however it is made. */
let server: TokenServer;
let guarded: GuardedApi;

beforeAll(async () => {
  server = await TokenServer.start();
  guarded = guardedApi(server);
  await guarded.api.start();
});

afterAll(async () => {
  await guarded.api.stop();
  await server.stop();
});

afterEach(() => {
  guarded.denials.length = 0;
});

const now = Math.floor(Date.now() / 1000);
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** Signed by somebody else, with whatever header. */
function byStranger(header: object): string {
  const text = signedText({ alg: 'RS256', typ: 'JWT', ...header }, server.properClaims());
  return `${text}.${sign('sha256', Buffer.from(text), stranger.privateKey).toString('base64url')}`;
}

/** With the published key as the secret of a symmetric algorithm. */
function byPublicKey(format: 'pem' | 'jwk'): string {
  const { id, publicJwk } = server.key('RS256');
  const key = createPublicKey({ key: publicJwk, format: 'jwk' });
  const pem = key.export({ type: 'spki', format: 'pem' });
  const secret = format === 'pem' ? pem : JSON.stringify(publicJwk);
  const text = signedText({ alg: 'HS256', typ: 'JWT', kid: id }, server.properClaims());
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

async function encrypted(): Promise<string> {
  return new CompactEncrypt(Buffer.from(JSON.stringify(server.properClaims())))
    .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: server.key('RS256').id })
    .encrypt(stranger.publicKey);
}

const kid = (name: 'RS256' | 'PS256' | 'ES256' = 'RS256'): string => server.key(name).id;
const unsigned = (signature: string): string =>
  `${signedText({ alg: 'none', typ: 'JWT', kid: kid() }, server.properClaims())}.${signature}`;

/** What is sent, and why it is refused: reasons are for our log, never for the one who sends. */
const ATTACKS: readonly (readonly [string, () => string | Promise<string>, string])[] = [
  ['no signature, and says so', () => unsigned(''), 'malformed_credentials'],
  ['says that it has no signature beside one', () => unsigned('AAAA'), 'algorithm_not_allowed'],
  ['HMAC with the public key as PEM', () => byPublicKey('pem'), 'algorithm_not_allowed'],
  ['HMAC with the public key as JWK', () => byPublicKey('jwk'), 'algorithm_not_allowed'],
  ['a stranger under our key id', () => byStranger({ kid: kid() }), 'bad_signature'],
  ['the id of a key of another type', () => server.forge({}, { kid: kid('ES256') }), 'unknown_key'],
  ['the id of a key for another algorithm', () => server.forge({}, { kid: kid('PS256') }), 'unknown_key'],
  ['another algorithm than the key is for', () => server.forge({}, { alg: 'PS256' }), 'unknown_key'],
  ['an algorithm that is not allowed', () => server.forge({}, { alg: 'RS512' }), 'algorithm_not_allowed'],
  ['no key id', () => server.forge({}, { kid: undefined }), 'unknown_key'],
  ['a key id that is no text', () => server.forge({}, { kid: { a: 1 } }), 'unknown_key'],
  ['a key id that is a path', () => server.forge({}, { kid: '../../../../dev/null' }), 'unknown_key'],
  [
    'a key id that is an address',
    () => server.forge({}, { kid: `${server.issuer}/elsewhere` }),
    'unknown_key',
  ],
  ['a key id that breaks lines', () => server.forge({}, { kid: "x'\r\n\u0000;--" }), 'unknown_key'],
  ['a key id without end', () => server.forge({}, { kid: 'k'.repeat(3000) }), 'unknown_key'],
  ['a key id that every object has', () => server.forge({}, { kid: '__proto__' }), 'unknown_key'],
  ['a key of its own in the header', () => byStranger({ kid: kid(), jwk: strangersJwk() }), 'bad_signature'],
  ['an address of keys in the header', () => byStranger({ kid: kid(), jku: elsewhere() }), 'bad_signature'],
  ['an address of certificates', () => byStranger({ kid: kid(), x5u: elsewhere() }), 'bad_signature'],
  ['a certificate in the header', () => byStranger({ kid: kid(), x5c: ['AAAA'] }), 'bad_signature'],
  ['something critical', () => server.forge({}, { crit: ['exp'], exp: 1 }), 'critical_header'],
  ['a critical list that is empty', () => server.forge({}, { crit: [] }), 'malformed_token'],
  ['a payload without encoding', () => server.forge({}, { b64: false, crit: ['b64'] }), 'critical_header'],
  ['the same, not called critical', () => server.forge({}, { b64: false }), 'critical_header'],
  ['encrypted', () => encrypted(), 'malformed_credentials'],
  ['another issuer', () => server.forge({ iss: 'https://evil.example' }), 'wrong_issuer'],
  ['our issuer with a slash more', () => server.forge({ iss: `${server.issuer}/` }), 'wrong_issuer'],
  ['a list of issuers', () => server.forge({ iss: [server.issuer] }), 'wrong_issuer'],
  ['no issuer', () => server.forge({ iss: undefined }), 'missing_claim'],
  ['no audience', () => server.forge({ aud: undefined }), 'missing_claim'],
  ['another audience', () => server.forge({ aud: 'account' }), 'wrong_audience'],
  ['other audiences', () => server.forge({ aud: ['account', 'metering'] }), 'wrong_audience'],
  ['an audience that is an object', () => server.forge({ aud: { 'metering-api': true } }), 'wrong_audience'],
  ['expired', () => server.forge({ exp: now - 60 }), 'expired'],
  ['no end', () => server.forge({ exp: undefined }), 'missing_claim'],
  ['an end that is text', () => server.forge({ exp: '99999999999' }), 'invalid_claim'],
  ['not valid yet', () => server.forge({ nbf: now + 60 }), 'not_yet_valid'],
  ['issued in the future', () => server.forge({ iat: now + 60 }), 'not_yet_valid'],
  ['no time of issue', () => server.forge({ iat: undefined }), 'missing_claim'],
  ['issued long ago and good for ever', () => server.forge({ iat: 1, exp: 1e15 }), 'expired'],
  ['nobody', () => server.forge({ sub: undefined }), 'missing_claim'],
  ['a subject that is no text', () => server.forge({ sub: { a: 1 } }), 'invalid_claim'],
  ['a subject that is empty', () => server.forge({ sub: '' }), 'invalid_claim'],
  ['an ID token', () => server.forge({ typ: 'ID', nonce: 'n' }), 'wrong_type'],
  ['a refresh token', () => server.forge({ typ: 'Refresh' }), 'wrong_type'],
  ['a token of no kind', () => server.forge({ typ: undefined }), 'wrong_type'],
  ['a logout token', () => server.forge({ typ: undefined }, { typ: 'logout+jwt' }), 'wrong_type'],
  ['a header without type', () => server.forge({}, { typ: undefined }), 'wrong_type'],
  ['a token that is bound to a key', () => server.forge({ cnf: { jkt: 'AAAA' } }), 'bound_to_sender'],
  ['a token for proofs of possession', () => server.forge({ typ: 'DPoP' }), 'wrong_type'],
  ['claims that are a list', () => resigned('[]'), 'malformed_token'],
  ['claims that are no JSON', () => resigned('{"iss":'), 'malformed_token'],
  ['a token that is too long', () => server.forge({ filler: 'x'.repeat(9000) }), 'token_too_large'],
  ['no token', () => '', 'malformed_credentials'],
  ['two parts', () => 'e30.e30', 'malformed_credentials'],
  ['other letters', () => 'e30.e3é.e30', 'malformed_credentials'],
  ['two tokens in one header', () => 'e30.e30.e30, Bearer e30.e30.e30', 'malformed_credentials'],
];

function strangersJwk(): object {
  return stranger.publicKey.export({ format: 'jwk' });
}

function elsewhere(): string {
  return `${server.issuer}/elsewhere`;
}

function resigned(payload: string): string {
  const { id, privateKey } = server.key('RS256');
  const header = Buffer.from(JSON.stringify({ alg: 'RS256', typ: 'JWT', kid: id })).toString('base64url');
  const text = `${header}.${Buffer.from(payload).toString('base64url')}`;
  return `${text}.${sign('sha256', Buffer.from(text), KeyObject.from(privateKey)).toString('base64url')}`;
}

describe('a token is refused', () => {
  test.each(ATTACKS)('%s', async (_, make, reason) => {
    const token = await make();
    const answer = await ask(guarded, token);
    expect([answer.status, guarded.denials.map((denial) => denial.reason)]).toEqual([401, [reason]]);
    const challenge = answer.headers['www-authenticate'];
    expect(challenge).toMatch(
      /^Bearer realm="metering"(, error="invalid_(token|request)", error_description="[^"]+")?$/,
    );
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'METER_UNAUTHENTICATED', status: 401 });
    // Nothing of the reason, the token or the expectation that it failed.
    for (const word of ['signature', 'kid', 'issuer', 'audience', 'alg', 'mallory', server.issuer]) {
      expect(`${challenge ?? ''} ${answer.body}`).not.toContain(word);
    }
  });

  test('and nothing was read from where any of them pointed', () => {
    expect(server.strayed).toBe(0);
  });

  test('only expired tokens are told what is wrong with them, once their signature is right', async () => {
    const expired = await ask(guarded, server.forge({ exp: now - 60 }));
    expect(expired.headers['www-authenticate']).toContain('has expired');
    const [header = '', claims = ''] = server.forge({ exp: now - 60 }).split('.');
    const unproven = await ask(guarded, `${header}.${claims}.AAAA`);
    expect(unproven.headers['www-authenticate']).not.toContain('expired');
  });

  test('where its clock is off by less than the tolerance it is not', async () => {
    const near = { exp: now + 300, nbf: now + 5, iat: now + 5 };
    expect((await ask(guarded, server.forge(near))).status).toBe(200);
  });

  test('where unknown or harmless members stand beside, it is not', async () => {
    const header = { jku: elsewhere(), x5u: elsewhere(), jwk: strangersJwk() };
    expect((await ask(guarded, server.forge({ aud: ['account', 'metering-api'] }, header))).status).toBe(200);
    expect(server.strayed).toBe(0);
  });
});

describe('credentials', () => {
  const url = (query = ''): string => `${guarded.api.url}${CATALOGUE}${query}`;

  test('are one header of one scheme, whatever else is sent', async () => {
    const token = await server.userToken({ claims: { organization: ['acme'] } });
    const bearer = `Bearer ${token}`;
    const sent: readonly (readonly [number, ...string[]])[] = [
      [200, 'authorization', bearer],
      [200, 'AUTHORIZATION', `bearer ${token}`],
      [401, 'authorization', bearer, 'authorization', bearer],
      [401, 'authorization', bearer, 'Authorization', 'Bearer e30.e30.e30'],
      [401, 'authorization', 'Basic YTpi'],
      [401, 'authorization', 'Basic YTpi', 'authorization', bearer],
      [401, 'authorization', `DPoP ${token}`],
      [401, 'authorization', token],
      [401, 'proxy-authorization', bearer],
      [401, 'cookie', `access_token=${token}`],
      [401],
    ];
    const answers = await Promise.all(sent.map(([, ...headers]) => askRaw(url(), headers)));
    expect(answers.map(({ status }) => status)).toEqual(sent.map(([status]) => status));
    for (const { status, headers } of answers) {
      expect(headers['www-authenticate']?.startsWith('Bearer realm=') ?? false).toBe(status === 401);
    }
    expect(answers[2]?.headers['www-authenticate']).toContain('error="invalid_request"');
    // RFC 6750, 3.1: where nobody tried to authenticate, nothing is said to be wrong.
    expect(answers.at(-1)?.headers['www-authenticate']).toBe('Bearer realm="metering"');
  });

  test('in the address are ignored, and not repeated', async () => {
    const token = await server.userToken({ claims: { organization: ['acme'] } });
    const answer = await askRaw(url(`?access_token=${token}&from=x`), []);
    expect(answer.status).toBe(401);
    expect(answer.body).not.toContain(token.slice(0, 20));
    expect(JSON.parse(answer.body)).toMatchObject({ instance: `${CATALOGUE}?access_token=&from=x` });
  });

  test('larger than what headers may be are refused before anything looks at them', async () => {
    const token = server.forge({ filler: 'x'.repeat(20_000) });
    expect((await askRaw(url(), ['authorization', `Bearer ${token}`])).status).toBe(431);
    expect((await askRaw(`${guarded.api.url}/healthz`, [])).status).toBe(200);
  });

  test('are asked for under every address of the API, also where nothing is, and by every method', async () => {
    const { app } = guarded.api;
    const token = await server.userToken({ claims: { organization: ['acme'] } });
    const headers = { authorization: `Bearer ${token}` };
    for (const path of [CATALOGUE, '/api/v1/meters/cpu/query', '/api/v1/nothing', '/api', '/api/v2/x']) {
      for (const method of ['GET', 'HEAD', 'POST', 'DELETE'] as const) {
        expect((await app.inject({ method, url: path })).statusCode, `${method} ${path}`).toBe(401);
      }
    }
    expect((await app.inject({ url: '/api/v1/nothing', headers })).statusCode).toBe(404);
    expect((await app.inject({ method: 'DELETE', url: CATALOGUE, headers })).statusCode).toBe(405);
    expect((await app.inject('/healthz')).statusCode).toBe(200);
  });

  test('are not enough for what tells of every tenant: that is on the ops listener', async () => {
    const { app } = guarded.api;
    const headers = { authorization: `Bearer ${await server.serviceToken()}` };
    expect((await app.inject({ url: '/metrics', headers })).statusCode).toBe(404);
    const ready = await app.inject({ url: '/readyz', headers });
    expect(ready.json()).toMatchObject({
      status: 'ready',
      checks: [{ name: 'store' }, { name: 'issuer' }, { name: 'api' }],
    });
    expect(ready.body).not.toContain('globex');
  });
});

describe('the log', () => {
  test('holds nothing of any token, whatever became of it', async () => {
    const tokens = [
      await server.userToken({ claims: { organization: ['acme'], email: 'alice@acme.example' } }),
      await server.serviceToken(),
      server.forge({ exp: now - 60, email: 'alice@acme.example' }),
      server.forge({ organization: [] }),
      byStranger({ kid: 'a stray kid' }),
    ];
    for (const token of tokens) {
      await ask(guarded, token);
      await ask(guarded, token, `/api/v1/meters/cpu/query?access_token=${token}`);
      await ask(guarded, token, `/api/v1/${token}`);
    }
    const log = guarded.log();
    expect(log.split('\n').length).toBeGreaterThan(2 * 2 * 3 * tokens.length);
    const words = ['alice', 'mallory', 'gh0stplane', 'portal', 'a stray kid', 'acme'];
    const parts = tokens.flatMap((token) => token.split('.').map((part) => part.slice(0, 24)));
    expect([...words, ...parts].filter((word) => log.includes(word))).toEqual([]);
  });
});
