import { describe, expect, test } from 'vitest';

import { identitySchema } from '../../../../../aggregator/api/identity/config.ts';
import { loadConfig } from '../../../../../core/runtime/config.ts';

const issuer = 'https://sso.example/realms/gh0stcloud';

function problems(values: unknown): string {
  try {
    loadConfig(identitySchema, { name: 'identity', values });
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
}

describe('settings of identity', () => {
  test('need the issuer and nothing else, and trust nobody by default', () => {
    expect(problems({})).toContain('issuer: is missing');
    const config = loadConfig(identitySchema, { name: 'identity', values: { issuer } });
    expect(config).toMatchObject({
      audience: 'metering-api',
      tenant: 'alias',
      roles: { from: 'organization-client', everyMember: [] },
      readAll: { scope: 'metering:read:all', clients: [] },
    });
  });

  test.each([
    'http://sso.example/realms/x',
    'ftp://sso.example',
    'sso.example',
    'https://user:pw@sso.example',
  ])('take no keys from %s', (address) => {
    expect(problems({ issuer: address })).toContain('issuer: must be an https address');
    expect(problems({ issuer, jwksUri: address })).toContain('jwksUri: must be an https address');
  });

  test('take http on this machine, and elsewhere where it was asked for', () => {
    for (const address of ['http://127.0.0.1:8080/realms/x', 'http://localhost:8080', 'http://[::1]:80']) {
      expect(problems({ issuer: address })).toBe('none');
    }
    expect(problems({ issuer, jwksUri: 'http://keycloak:8080/certs', insecureHttp: true })).toBe('none');
    expect(problems({ issuer, jwksUri: 'http://127.0.0.1.evil.example/certs' })).toContain('jwksUri');
  });

  test.each([
    ['algorithms', ['HS256']],
    ['algorithms', ['none']],
    ['algorithms', []],
    ['clockToleranceMs', 60_000],
    ['maxTokenBytes', 1_000_000],
    ['readAll', { scope: 'two scopes' }],
    ['roles', { everyMember: ['owner'] }],
    ['keys', { refreshMs: 10_000, maxStaleMs: 5_000 }],
    ['issuers', [issuer]],
  ])('refuse %s: %j', (name, value) => {
    expect(problems({ issuer, [name]: value })).toContain(name);
  });
});
