/**
 * A scope as SQL: the one place where what is read is held to the tenants that may be read. Values are bound,
 * so no name can be more than a name. Every statement that reads tenants' rows carries `rows`; one that reads
 * what clusters report carries `clusters`, because a cluster in which a tenant has nothing, its outages and
 * its mere existence, is no business of that tenant.
 */
import type { Parameters } from '../../store/usage-store.ts';
import type { TenantScope } from './access.ts';
import { toldDestinations, type ToldDestinations } from './told-destinations.ts';

export interface TenantConditions {
  /** On tables with a column `tenant`. */
  readonly rows: readonly string[];
  /** On tables with a column `cluster` and none of tenants. */
  readonly clusters: readonly string[];
  /** How destinations are told; undefined: as they are stored. */
  readonly destinations: ToldDestinations | undefined;
  readonly parameters: Parameters;
}

const NAMED = 'tenant IN {scopeTenants:Array(String)}';

/** Where a namespace was seen with the tenant's label, or the tenant has settled usage. */
const CLUSTERS = `cluster IN (
        SELECT cluster FROM label_history WHERE ${NAMED}
        UNION DISTINCT
        SELECT cluster FROM usage_day WHERE ${NAMED})`;

export function tenantConditions(scope: TenantScope): TenantConditions {
  switch (scope.kind) {
    case 'all':
      return { rows: [], clusters: [], destinations: undefined, parameters: {} };
    case 'tenants':
      return {
        ...{ rows: [NAMED], clusters: [CLUSTERS], destinations: toldDestinations(scope) },
        parameters: { scopeTenants: scope.tenants },
      };
  }
}

/** The same for what is found by a tenant's name and not by SQL: bytes that are kept, declared files. */
export function mayRead(scope: TenantScope, tenant: string): boolean {
  return scope.kind === 'all' || scope.tenants.includes(tenant);
}
