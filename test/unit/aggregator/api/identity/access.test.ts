import { describe, expect, test } from 'vitest';

import {
  scopeFor,
  type Capability,
  type Principal,
  type Role,
} from '../../../../../aggregator/api/identity/access.ts';

function member(roles: Readonly<Record<string, readonly Role[]>>): Principal {
  const entries = Object.entries(roles).map(([tenant, names]) => [tenant, new Set(names)] as const);
  return { subject: 'alice', grants: { kind: 'tenants', roles: new Map(entries) } };
}

const CAPABILITIES: readonly Capability[] = [
  ...(['catalogue', 'usage', 'quotas', 'statements', 'ledger', 'explain', 'platform'] as const),
];

describe('a capability is had', () => {
  test.each<readonly [string, readonly Role[], readonly Capability[]]>([
    ['no role', [], ['catalogue']],
    ['viewer', ['viewer'], ['catalogue', 'usage', 'quotas']],
    ['billing', ['billing'], ['catalogue', 'usage', 'quotas', 'statements', 'ledger', 'explain']],
  ])('by a member with %s', (_, roles, expected) => {
    const principal = member({ acme: roles });
    expect(CAPABILITIES.filter((one) => scopeFor(principal, one) !== undefined)).toEqual(expected);
  });

  test('by a member of nothing, for the catalogue only', () => {
    expect(CAPABILITIES.filter((one) => scopeFor(member({}), one) !== undefined)).toEqual(['catalogue']);
  });

  test('by who reads everything, without a bound', () => {
    const principal: Principal = { subject: 'gh0stplane', grants: { kind: 'all' } };
    for (const capability of CAPABILITIES) expect(scopeFor(principal, capability)).toEqual({ kind: 'all' });
  });
});

test('a scope names the tenants in which the role is held, in order, and no other', () => {
  const principal = member({ globex: ['billing'], acme: ['viewer'], initech: [] });
  expect(scopeFor(principal, 'usage')).toEqual({ kind: 'tenants', tenants: ['acme', 'globex'] });
  expect(scopeFor(principal, 'statements')).toEqual({ kind: 'tenants', tenants: ['globex'] });
});
