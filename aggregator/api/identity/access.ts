/**
 * Who asks, and what they may read: the one place where roles become rights. A reader below the routes is
 * handed a `TenantScope`, which only `scopeFor` makes of a principal: so no figure is read for somebody whose
 * right to it was not asked for.
 *
 * Example: a member of acme (viewer) and globex (billing) reads the usage of both, and statements of globex.
 */
export type Role = 'viewer' | 'billing';

/** What a tenant's member can be allowed to read. */
type TenantCapability = 'usage' | 'quotas' | 'statements' | 'ledger' | 'explain';

/**
 * What a route gives. `catalogue` is no tenant's and open to everybody who is known; `platform` tells of all
 * tenants at once, or of the clusters under them, and is for those who may read everything.
 */
export type Capability = TenantCapability | 'catalogue' | 'platform';

const CAPABILITIES: Readonly<Record<Role, readonly Capability[]>> = {
  viewer: ['usage', 'quotas'],
  billing: ['usage', 'quotas', 'statements', 'ledger', 'explain'],
};

/** What somebody was given: everything, or roles in tenants. */
export type Grants =
  | { readonly kind: 'all' }
  | { readonly kind: 'tenants'; readonly roles: ReadonlyMap<string, ReadonlySet<Role>> };

export interface Principal {
  /** Stable name of the one who asks, for limits by identity; never for the log. */
  readonly subject: string;
  readonly grants: Grants;
}

/** Whose rows may be read. Tenants are sorted, each once. */
export type TenantScope =
  { readonly kind: 'all' } | { readonly kind: 'tenants'; readonly tenants: readonly string[] };

/** Undefined where nothing may be read. */
export function scopeFor({ grants }: Principal, capability: Capability): TenantScope | undefined {
  if (grants.kind === 'all') return { kind: 'all' };
  if (capability === 'platform') return undefined;
  const tenants = [...grants.roles]
    .filter(([, roles]) => allows(roles, capability))
    .map(([tenant]) => tenant)
    .sort();
  if (tenants.length === 0 && capability !== 'catalogue') return undefined;
  return { kind: 'tenants', tenants };
}

function allows(roles: ReadonlySet<Role>, capability: Capability): boolean {
  return capability === 'catalogue' || [...roles].some((role) => CAPABILITIES[role].includes(capability));
}
