/** Where the API and the ops listener are found. */
import { z } from 'zod';
import { identitySchema } from './identity/config.ts';

const port = z.int().min(0).max(65_535);

export const apiSchema = z.strictObject({
  /** Address to listen on; another one than loopback needs `identity`. */
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 takes any free port. */
  port: port.default(8_080),
  /** Whose tokens are taken. Without it everybody who can reach the listener reads everything. */
  identity: identitySchema.optional(),
});

/** Metrics and readiness, for those who run the program: never within reach of tenants. */
export const opsSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 takes any free port. */
  port: port.default(9_100),
});

export type ApiRoleConfig = Readonly<z.output<typeof apiSchema>>;
export type OpsRoleConfig = Readonly<z.output<typeof opsSchema>>;
