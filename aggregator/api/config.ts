/** Where the API and the ops listener are found. */
import { z } from 'zod';
import { identitySchema } from './identity/config.ts';
import { limitsSchema } from './limits/config.ts';

/** Within the time that the API has to stop, and what is under way has to end after it. */
const MAX_DRAIN_MS = 10_000;

const network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);

function isNetwork(text: string): boolean {
  return network.safeParse(text).success;
}

const port = z.int().min(0).max(65_535);

export const apiSchema = z.strictObject({
  /** Address to listen on; another one than loopback needs `identity`. */
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 takes any free port. */
  port: port.default(8_080),
  /** Whose tokens are taken. Without it everybody who can reach the listener reads everything. */
  identity: identitySchema.optional(),
  /** Proxies that say for whom a request comes (`x-forwarded-for`): addresses, or networks as CIDR. */
  trustedProxies: z.array(z.string().refine(isNetwork, 'must be an address or a network')).default([]),
  /** How long it goes on serving once `/readyz` says that it leaves: what a load balancer takes to see it. */
  drainMs: z.int().min(0).max(MAX_DRAIN_MS).default(0),
  /** How much may be asked at once, by one and by all. */
  limits: limitsSchema.prefault({}),
});

/** Metrics and readiness, for those who run the program: never within reach of tenants. */
export const opsSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 takes any free port. */
  port: port.default(9_100),
});

/** Of the role that is an API and nothing else, beside its store. */
export const apiRoleSchema = z.strictObject({
  api: apiSchema.prefault({}),
  ops: opsSchema.prefault({}),
  /** Quotas that operators declare (JSON): the file that the aggregator has, too. */
  declaredFile: z.string().min(1).optional(),
});

export type ApiRoleConfig = Readonly<z.output<typeof apiSchema>>;
export type OpsRoleConfig = Readonly<z.output<typeof opsSchema>>;
