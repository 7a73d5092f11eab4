/**
 * The organizations that a token names, in whichever of Keycloak's shapes: a list of aliases, one alias, or
 * an object by alias whose values may hold the id, attributes, groups and client roles. Whatever has another
 * form names nobody: a claim is never repaired.
 *
 * Example: `{"acme": {"id": "42d0", "groups": ["/metering-viewer"]}}` is acme, 42d0, in one group. An
 * attribute that an administrator called `id` is a list, so it is not taken for the id.
 */
export interface Organization {
  readonly alias: string;
  readonly id: string | undefined;
  /** Paths of the groups that the one who asks is in, within the organization. */
  readonly groups: readonly string[];
  /** `resource_access` within the organization. */
  readonly resourceAccess: unknown;
}

export function organizationsOf(claim: unknown): readonly Organization[] {
  if (typeof claim === 'string') return [named(claim)];
  if (Array.isArray(claim)) return texts(claim).map(named);
  if (!isObject(claim)) return [];
  return Object.entries(claim).flatMap(([alias, detail]) =>
    isObject(detail) ? [detailed(alias, detail)] : [],
  );
}

/** `roles` of a client in `resource_access`, wherever that stands. */
export function clientRoles(resourceAccess: unknown, client: string): readonly string[] {
  return texts(member(member(resourceAccess, client), 'roles'));
}

/** A member of its own, not one that every object has. */
export function member(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/** The texts of a list; what is no list has none. */
export function texts(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value.filter((item: unknown): item is string => typeof item === 'string');
}

function named(alias: string): Organization {
  return { alias, id: undefined, groups: [], resourceAccess: undefined };
}

function detailed(alias: string, detail: Readonly<Record<string, unknown>>): Organization {
  const id = member(detail, 'id');
  return {
    alias,
    id: typeof id === 'string' ? id : undefined,
    groups: texts(member(detail, 'groups')),
    resourceAccess: member(detail, 'resource_access'),
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
