/**
 * Input: the claims of a token that was found true, and what the settings take them for. Output: what its
 * bearer was given. Nothing is given by default: an organization without a tenant's name, a role that no
 * setting names and a scope of a client that is not listed give nothing.
 */
import { PLATFORM_TENANT, UNATTRIBUTED_TENANT } from '../../../core/metering/settings.ts';
import type { Grants, Role } from './access.ts';
import type { IdentityConfig, RolesConfig } from './config.ts';
import { clientRoles, member, organizationsOf, texts, type Organization } from './organizations.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** A tenant is the value of a Kubernetes label. */
const TENANT_NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
/** What no organization may call itself: these tenants are the platform's own. */
const RESERVED: readonly string[] = [PLATFORM_TENANT, UNATTRIBUTED_TENANT];

export function grantsOf(claims: Claims, config: IdentityConfig): Grants {
  if (readsAll(claims, config)) return { kind: 'all' };
  const roles = new Map<string, ReadonlySet<Role>>();
  for (const organization of organizationsOf(member(claims, config.organizationClaim))) {
    const tenant = tenantOf(organization, config);
    if (tenant !== undefined) roles.set(tenant, rolesIn(organization, claims, config.roles));
  }
  return { kind: 'tenants', roles };
}

/** Keycloak names the client `azp`, RFC 9068 `client_id`; a token with both has to be right in both. */
function readsAll(claims: Claims, { readAll }: IdentityConfig): boolean {
  const { scope } = claims;
  if (typeof scope !== 'string' || !scope.split(' ').includes(readAll.scope)) return false;
  const clients = [claims['azp'], claims['client_id']].filter((client) => client !== undefined);
  return (
    clients.length > 0 &&
    clients.every((client) => typeof client === 'string' && readAll.clients.includes(client))
  );
}

function tenantOf({ alias, id }: Organization, config: IdentityConfig): string | undefined {
  const { organizations } = config;
  const isDeclared = organizations === undefined || (id !== undefined && member(organizations, alias) === id);
  const name = config.tenant === 'alias' ? alias : id;
  if (!isDeclared || name === undefined || !TENANT_NAME.test(name)) return undefined;
  return RESERVED.includes(name) ? undefined : name;
}

function rolesIn(organization: Organization, claims: Claims, config: RolesConfig): ReadonlySet<Role> {
  const given = namesIn(organization, claims, config);
  const roles = new Set<Role>(config.everyMember);
  if (given.some((name) => config.viewer.includes(name))) roles.add('viewer');
  if (given.some((name) => config.billing.includes(name))) roles.add('billing');
  return roles;
}

function namesIn(
  { groups, resourceAccess }: Organization,
  claims: Claims,
  { from, client }: RolesConfig,
): readonly string[] {
  switch (from) {
    case 'organization-client':
      return clientRoles(resourceAccess, client);
    case 'organization-groups':
      return groups;
    case 'client':
      return clientRoles(claims['resource_access'], client);
    case 'realm':
      return texts(member(claims['realm_access'], 'roles'));
  }
}
