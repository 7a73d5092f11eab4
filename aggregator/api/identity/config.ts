/** Whose tokens are taken, and what their claims mean here. */
import { z } from 'zod';
import { DAY_MS } from '../../../core/metering/hour.ts';

const MINUTE_MS = 60_000;
const KIB = 1024;
const LOOPBACK_HOSTS = ['127.0.0.1', 'localhost', '[::1]'];

/** All of them asymmetric: with a shared secret whoever checks tokens could make them. */
export const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const;

export type Algorithm = (typeof ALGORITHMS)[number];

/** May keys be read from this address? Plain http only on this machine, or where it was asked for. */
export function isTrustedAddress(address: string, insecureHttp: boolean): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname, username, password } = new URL(address);
  if (username !== '' || password !== '') return false;
  if (protocol === 'https:') return true;
  return protocol === 'http:' && (insecureHttp || LOOPBACK_HOSTS.includes(hostname));
}

const names = z.array(z.string().min(1));

const rolesSchema = z.strictObject({
  /**
   * Where a token names roles. `organization-client`:
   * `organization.<alias>.resource_access.<client>.roles`; `organization-groups`:
   * `organization.<alias>.groups`, by path. Roles of `client` (`resource_access.<client>.roles`) and `realm`
   * (`realm_access.roles`) count in every organization of the token.
   */
  from: z
    .enum(['organization-client', 'organization-groups', 'client', 'realm'])
    .default('organization-client'),
  /** The client whose roles are meant. */
  client: z.string().min(1).default('metering-api'),
  /** Roles, or group paths, that let read usage and quotas. */
  viewer: names.default(['metering-viewer', '/metering-viewer']),
  /** Roles, or group paths, that let read statements, the ledger and explanations as well. */
  billing: names.default(['metering-billing', '/metering-billing']),
  /** Roles that every member of an organization has, whatever the token says. */
  everyMember: z.array(z.enum(['viewer', 'billing'])).default([]),
});

const readAllSchema = z.strictObject({
  /** The scope of service accounts that read every tenant. */
  scope: z
    .string()
    .regex(/^[!#-[\]-~]+$/, 'must be one scope, without spaces and quotes')
    .default('metering:read:all'),
  /** Clients (`azp`) for which that scope counts: a token of another client has it in vain. */
  clients: names.default([]),
});

const keysSchema = z
  .strictObject({
    /** Keys older than this are read again before they are used. */
    refreshMs: z
      .int()
      .min(1000)
      .default(10 * MINUTE_MS),
    /** The least time between two readings, however many unknown keys tokens name. */
    cooldownMs: z.int().min(100).default(30_000),
    /** For one answer of the issuer. */
    timeoutMs: z.int().min(10).default(5_000),
    /** While the issuer is away, keys are used until they are this old. */
    maxStaleMs: z.int().min(1000).default(DAY_MS),
  })
  .refine(({ refreshMs, maxStaleMs }) => maxStaleMs >= refreshMs, {
    path: ['maxStaleMs'],
    message: 'must not be below refreshMs',
  });

export const identitySchema = z
  .strictObject({
    /** As tokens name it (`iss`), to the letter: `https://sso.example/realms/gh0stcloud`. */
    issuer: z.string().min(1),
    /** What tokens for this API name as `aud`. */
    audience: z.string().min(1).default('metering-api'),
    /** Where the issuer's keys are; found through the issuer's own configuration where it is not set. */
    jwksUri: z.string().min(1).optional(),
    /** Takes plain http for both: only where nobody can stand between. Loopback addresses need no leave. */
    insecureHttp: z.boolean().default(false),
    /** What tokens may be signed with. */
    algorithms: z
      .array(z.enum(ALGORITHMS))
      .min(1)
      .default([...ALGORITHMS]),
    /** How far the issuer's clock may be off. */
    clockToleranceMs: z.int().min(0).max(30_000).default(10_000),
    /** Longer tokens are refused unread; a request's headers have 16 KiB in all. */
    maxTokenBytes: z
      .int()
      .min(512)
      .max(12 * KIB)
      .default(8 * KIB),
    /** A token issued longer ago is refused, even if it says that it is still good. */
    maxTokenAgeMs: z.int().min(1000).default(DAY_MS),
    /** The claim with the organizations of the one who asks. */
    organizationClaim: z.string().min(1).default('organization'),
    /** Which of an organization's two names is the tenant: the one that namespaces carry as their label. */
    tenant: z.enum(['alias', 'id']).default('alias'),
    /** Alias to id of every organization, as declared. One that a token names otherwise is nobody's. */
    organizations: z.record(z.string().min(1), z.string().min(1)).optional(),
    /** What members may read. */
    roles: rolesSchema.prefault({}),
    /** Who reads every tenant. */
    readAll: readAllSchema.prefault({}),
    /** When the issuer's keys are read. */
    keys: keysSchema.prefault({}),
  })
  .superRefine(({ issuer, jwksUri, insecureHttp }, context) => {
    const message = 'must be an https address without credentials; http needs insecureHttp';
    for (const [name, address] of Object.entries({ issuer, jwksUri })) {
      if (address === undefined || isTrustedAddress(address, insecureHttp)) continue;
      context.addIssue({ code: 'custom', path: [name], message });
    }
  });

export type IdentityConfig = Readonly<z.output<typeof identitySchema>>;
export type RolesConfig = IdentityConfig['roles'];
