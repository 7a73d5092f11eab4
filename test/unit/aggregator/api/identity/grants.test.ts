import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Grants } from '../../../../../aggregator/api/identity/access.ts';
import { identitySchema } from '../../../../../aggregator/api/identity/config.ts';
import { grantsOf } from '../../../../../aggregator/api/identity/grants.ts';

const ISSUER = 'https://sso.example/realms/gh0stcloud';

interface Case {
  readonly organization: unknown;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly settings?: Readonly<Record<string, unknown>>;
}

function grants({ organization, claims = {}, settings = {} }: Case): Grants {
  const config = identitySchema.parse({ issuer: ISSUER, ...settings });
  return grantsOf({ sub: 'alice', organization, ...claims }, config);
}

/** Roles by tenant, as a person would write them down. */
function roles(input: Case): unknown {
  const given = grants(input);
  if (given.kind === 'all') return 'all';
  return Object.fromEntries([...given.roles].map(([tenant, names]) => [tenant, [...names].join(' ')]));
}

const everyMember = { roles: { everyMember: ['viewer'] } };
const access = (...names: string[]): object => ({ 'metering-api': { roles: names } });

describe('organizations are read', () => {
  test.each([
    ['a list of aliases', ['acme', 'globex'], { acme: 'viewer', globex: 'viewer' }],
    ['an object by alias', { acme: {}, globex: { id: '42' } }, { acme: 'viewer', globex: 'viewer' }],
    ['one alias', 'acme', { acme: 'viewer' }],
    ['an object with groups', { acme: { groups: ['/metering-billing'] } }, { acme: 'viewer' }],
    ['an alias twice', ['acme', 'acme'], { acme: 'viewer' }],
    ['a list with other things in it', ['acme', 7, null, ['globex'], {}], { acme: 'viewer' }],
    ['nothing', undefined, {}],
    ['an empty list', [], {}],
  ])('from %s', (_, organization, expected) => {
    expect(roles({ organization, settings: everyMember })).toEqual(expected);
  });

  test('from the claim that the settings name', () => {
    const settings = { ...everyMember, organizationClaim: 'orgs' };
    expect(roles({ organization: ['globex'], claims: { orgs: ['acme'] }, settings })).toEqual({
      acme: 'viewer',
    });
  });

  test('but an alias that is no value of a label, or the platform itself, is nobody', () => {
    const organization = [
      ...['', ' acme', 'acme\n', '-acme', 'acme-', 'a b', "a'b", 'a\0', 'ä', 'a'.repeat(64), '__proto__'],
      ...['platform', 'unattributed'],
      ...['a'.repeat(63), 'constructor', 'A.b_c-9'],
    ];
    const found = roles({ organization, settings: everyMember });
    expect(found).toEqual({ ['a'.repeat(63)]: 'viewer', constructor: 'viewer', 'A.b_c-9': 'viewer' });
  });
});

describe('the tenant is', () => {
  const organization = { acme: { id: '42d0' }, globex: { id: ['77'] }, initech: {} };

  test('the alias, unless told', () => {
    expect(roles({ organization, settings: everyMember })).toEqual({
      ...{ acme: 'viewer', globex: 'viewer', initech: 'viewer' },
    });
  });

  test('the id where the settings say so; an attribute called id is a list and is not one', () => {
    expect(roles({ organization, settings: { ...everyMember, tenant: 'id' } })).toEqual({ '42d0': 'viewer' });
  });

  test('nobody where the organizations are declared and the token tells otherwise', () => {
    const declared = (organizations: object): object => ({ ...everyMember, organizations });
    const told = (organizations: object, claim: unknown = organization): unknown =>
      roles({ organization: claim, settings: { ...declared(organizations) } });
    expect(told({ acme: '42d0' })).toEqual({ acme: 'viewer' });
    expect(told({ acme: 'another' })).toEqual({});
    expect(told({ globex: '77', initech: '1' })).toEqual({});
    expect(told({ acme: '42d0' }, ['acme'])).toEqual({});
    expect(told({ acme: '42d0' }, { constructor: { id: '42d0' } })).toEqual({});
  });
});

describe('roles are those', () => {
  const organization = {
    acme: { resource_access: access('metering-viewer'), groups: ['/metering-billing'] },
    globex: { resource_access: { portal: { roles: ['metering-billing'] } }, groups: ['metering-viewer', 7] },
  };
  const claims = {
    resource_access: access('metering-billing'),
    realm_access: { roles: ['metering-viewer'] },
  };

  test.each([
    ['organization-client', { acme: 'viewer', globex: '' }],
    ['organization-groups', { acme: 'billing', globex: 'viewer' }],
    ['client', { acme: 'billing', globex: 'billing' }],
    ['realm', { acme: 'viewer', globex: 'viewer' }],
  ])('of %s', (from, expected) => {
    expect(roles({ organization, claims, settings: { roles: { from } } })).toEqual(expected);
  });

  test('that the settings name, of the client that they name', () => {
    const settings = { roles: { client: 'portal', viewer: ['nobody'], billing: ['metering-billing'] } };
    expect(roles({ organization, settings })).toEqual({ acme: '', globex: 'billing' });
  });

  test('of everybody, beside what the token says', () => {
    expect(roles({ organization, settings: everyMember })).toEqual({ acme: 'viewer', globex: 'viewer' });
  });

  test.each([null, 7, 'metering-viewer', [], [[]], { roles: 'metering-viewer' }, { roles: { a: 1 } }])(
    'and none where their claim is %j',
    (wrong) => {
      const hostile = { acme: { resource_access: { 'metering-api': wrong }, groups: wrong } };
      const settings = { roles: { from: 'client' } };
      expect(roles({ organization: hostile })).toEqual({ acme: '' });
      const elsewhere = { resource_access: { 'metering-api': wrong } };
      expect(roles({ organization: 'acme', claims: elsewhere, settings })).toEqual({ acme: '' });
    },
  );
});

describe('everything is read', () => {
  const settings = { readAll: { clients: ['gh0stplane'] } };
  const scope = 'profile metering:read:all';

  test.each([
    ['azp', { scope, azp: 'gh0stplane' }],
    ['client_id', { scope, client_id: 'gh0stplane' }],
    ['both', { scope, azp: 'gh0stplane', client_id: 'gh0stplane' }],
  ])('by a listed client with the scope, named by %s', (_, claims) => {
    expect(roles({ organization: undefined, claims, settings })).toBe('all');
  });

  test('by nobody where no client is listed', () => {
    expect(roles({ organization: undefined, claims: { scope, azp: 'gh0stplane' } })).toEqual({});
  });

  test('by nobody where the token names no client', () => {
    expect(roles({ organization: undefined, claims: { scope }, settings })).toEqual({});
  });

  test('not by a part of the scope, another case of it, or another separator', () => {
    for (const wrong of ['metering:read:al', 'Metering:read:all', 'a,metering:read:all', '', 7, [scope]]) {
      const claims = { scope: wrong, azp: 'gh0stplane' };
      expect(roles({ organization: undefined, claims, settings })).toEqual({});
    }
  });
});

test('whatever JSON the claims are, tenants are labels and what is not understood gives nothing', () => {
  const words = fc.constantFrom(
    'acme',
    'id',
    'groups',
    'roles',
    '__proto__',
    'metering-viewer',
    'metering-api',
  );
  const json = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      ...[words, fc.integer(), fc.constant(null), fc.string()],
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.oneof(words, fc.constant('resource_access')), tie('value'), { maxKeys: 4 }),
    ),
  })).value;
  fc.assert(
    fc.property(json, json, (organization, resourceAccess) => {
      const given = grants({
        organization,
        claims: { resource_access: resourceAccess, scope: organization },
      });
      if (given.kind === 'all') throw new Error('everything was given away');
      for (const tenant of given.roles.keys()) expect(tenant).toMatch(/^[A-Za-z0-9][\w.-]{0,62}$/);
    }),
    { numRuns: 500 },
  );
});
