/**
 * Where bytes went, as a scope is told it: the one place where names of other tenants are kept from a tenant.
 * What is stored names every peer, and who reads everything is told it. A tenant is told a namespace and what
 * is in it only where it is known to be its own or nobody's: never another tenant's, as far back as sightings
 * are kept, and seen at least once, or the platform's. One that nobody has sighted yet is told to nobody: the
 * first sighting will say whose it was all along (METERING 11). All the rest has one name, so quantities and
 * their sums stay as they are.
 *
 * To acme, `Pod/shop/db` is `(another tenant)` if shop was ever globex's; `Pod/kube-system/dns`, `Node/n1`
 * and `203.0.113.7` are what they are.
 */
import { PLATFORM_TENANT, UNATTRIBUTED_TENANT } from '../../../core/metering/settings.ts';
import { readSettingsTimeline } from '../../../core/runtime/settings.ts';
import type { Parameters, UsageStore } from '../../store/usage-store.ts';
import type { TenantScope } from './access.ts';

/** No object and no address is called so. */
export const ANOTHER_TENANT = '(another tenant)';

/** SQL of a destination as it is told, of columns `cluster` and `destination`. */
export interface ToldDestinations {
  /** `rows`: a statement of such rows, all that the expression is asked of among them. */
  readonly sql: (rows: string) => string;
  readonly parameters: Parameters;
}

/** Undefined: as they are stored. */
export function toldDestinations(scope: TenantScope): ToldDestinations | undefined {
  if (scope.kind === 'all') return undefined;
  return {
    sql: (rows) =>
      `if(${NAMESPACE} != '' AND (cluster, ${NAMESPACE}) NOT IN (${toldNamespaces(rows)}),
        {anotherTenant:String}, destination)`,
    parameters: {
      anotherTenant: ANOTHER_TENANT,
      tellableTenants: [...scope.tenants, '', PLATFORM_TENANT, UNATTRIBUTED_TENANT],
      undecidedPlatform: UNDECIDED_PLATFORM,
    },
  };
}

/**
 * Of `Kind/namespace/name` with parts left out; '' where there is none: nodes, addresses, networks,
 * `(other)`. Kinds begin with a capital letter, and no namespace holds a dot or a colon. A name of the
 * cluster's DNS (`db.shop.svc`) is in one that nobody looks for: it is told to nobody.
 */
const NAMESPACE = `multiIf(
        match(destination, '^[^/]*[.](svc|pod)([.][^/]*)?$'), '?',
        match(destination, '^(Node(/[^/]*)?|[A-Z][^/]*|\\\\([^/]*|[^/]*[.:][^/]*(/.*)?)?$'), '',
        match(destination, '^[A-Z]'), splitByChar('/', destination)[2],
        splitByChar('/', destination)[1])`;

const UNDECIDED_PLATFORM = readSettingsTimeline(undefined).of(0).platformNamespaces;

/** Declared in the settings that usage is made with. */
const PLATFORM = `
          SELECT arrayJoin(if(body = '', {undecidedPlatform:Array(String)}, arrayFlatten(arrayMap(
            version -> JSONExtract(version, 'settings', 'platformNamespaces', 'Array(String)'),
            JSONExtractArrayRaw(body)))))
          FROM (SELECT argMax(body, decided_at) AS body FROM decision WHERE kind = 'settings')`;

/**
 * Of those that rows name. Sightings are many, one with each scrape: columns are held against lists one by
 * one, which takes half the time that pairs of them take.
 */
function toldNamespaces(rows: string): string {
  const named = `SELECT DISTINCT cluster, ${NAMESPACE} AS namespace FROM (${rows})`;
  return `
        SELECT cluster, namespace FROM (
          SELECT cluster, namespace, max(tenant NOT IN {tellableTenants:Array(String)}) AS isAnothers
          FROM label_history
          WHERE cluster IN (SELECT cluster FROM (${named}))
            AND namespace IN (SELECT namespace FROM (${named}))
          GROUP BY cluster, namespace
          UNION ALL
          SELECT cluster, namespace, 0 AS isAnothers FROM (${named}) WHERE namespace IN (${PLATFORM}))
        GROUP BY cluster, namespace HAVING max(isAnothers) = 0`;
}

/** How some that are at hand are told. */
export async function readTold(
  store: UsageStore,
  scope: TenantScope,
  { cluster, destinations }: { readonly cluster: string; readonly destinations: readonly string[] },
): Promise<ReadonlyMap<string, string>> {
  const told = toldDestinations(scope);
  if (told === undefined) return new Map(destinations.map((one) => [one, one]));
  const rows = await store.rows<{ asked: string; name: string }>(
    `SELECT destination AS asked, ${told.sql(ASKED)} AS name FROM (${ASKED})`,
    { ...told.parameters, cluster, destinations },
  );
  return new Map(rows.map(({ asked, name }) => [asked, name]));
}

const ASKED = 'SELECT {cluster:String} AS cluster, arrayJoin({destinations:Array(String)}) AS destination';
