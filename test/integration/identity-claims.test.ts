/** Claims that make nobody a member: whatever an organization is said to be, nothing of it is read. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { membership, TokenServer } from '../support/token-server.ts';
import { ask, guardedApi, type GuardedApi } from '../support/token-server-api.ts';

const MINE = 'acme';
const ROLES = membership('metering-viewer');
const QUERY = '/api/v1/meters/cpu/query?from=2026-03-28T00:00Z&to=2026-03-29T00:00Z';

let server: TokenServer;
let guarded: GuardedApi;

beforeAll(async () => {
  server = await TokenServer.start();
  guarded = guardedApi(server);
});

afterAll(async () => {
  await guarded.api.stop();
  await server.stop();
});

describe('who has no tenant', () => {
  const status = async (token: string): Promise<number> => (await ask(guarded, token, QUERY)).status;

  test('by an organization without a role reads the catalogue and nothing else', async () => {
    const token = await server.userToken({ claims: { organization: { [MINE]: {} } } });
    expect((await ask(guarded, token)).status).toBe(200);
    const { status: refused, headers } = await ask(guarded, token, QUERY);
    expect(refused).toBe(403);
    expect(headers['www-authenticate']).toMatch(
      /^Bearer realm="metering", error="insufficient_scope", .*scope="organization"$/,
    );
  });

  test.each([
    ['no claim', undefined],
    ['nothing', null],
    ['a number', 7],
    ['nothing in a list', []],
    ['nothing in an object', {}],
    ['an empty name', { '': ROLES }],
    ['a list of lists', [[MINE]]],
    ['a list of objects', [{ [MINE]: ROLES }]],
    ['a list as value', { [MINE]: [ROLES] }],
    ['text as value', { [MINE]: 'metering-viewer' }],
    ['roles as text', { [MINE]: { resource_access: { 'metering-api': { roles: 'metering-viewer' } } } }],
    ['roles of another client', { [MINE]: { resource_access: { portal: { roles: ['metering-viewer'] } } } }],
    ['the platform', { platform: ROLES }],
    ['what nobody owns', { unattributed: ROLES }],
    ['a pattern', { '*': ROLES, '%': ROLES }],
    ['a name with SQL in it', { "acme') OR (1=1": ROLES }],
    ['a name of spaces', { ' acme': ROLES, 'acme ': ROLES }],
    ['the prototype', JSON.parse(`{"__proto__": ${JSON.stringify(ROLES)}}`) as unknown],
    ['the prototype within', { [MINE]: JSON.parse(`{"__proto__": ${JSON.stringify(ROLES)}}`) as unknown }],
    ['a long name', { ['a'.repeat(2000)]: ROLES }],
    ['deep nesting', { [MINE]: JSON.parse(`${'['.repeat(800)}${']'.repeat(800)}`) as unknown }],
  ])('by a claim that is %s is refused', async (_, organization) => {
    const claims = { azp: 'portal', organization };
    expect(await status(server.forge(claims))).toBe(403);
  });

  test('by a scope of a client that is not listed has it in vain', async () => {
    const scope = 'openid metering:read:all';
    expect(await status(server.forge({ organization: [], scope, azp: 'portal' }))).toBe(403);
    expect(await status(server.forge({ organization: [], scope, azp: undefined }))).toBe(403);
    expect(await status(server.forge({ organization: [], scope, azp: 'gh0stplane', client_id: 'x' }))).toBe(
      403,
    );
    expect(await status(server.forge({ organization: [], scope: [scope], azp: 'gh0stplane' }))).toBe(403);
    expect(await status(server.forge({ organization: [], scope: `${scope}s`, azp: 'gh0stplane' }))).toBe(403);
    expect(await status(server.forge({ organization: [], scope, azp: 'gh0stplane' }))).toBe(200);
  });
});
