/** What the aggregator role is told, beside the log and the store it works on. */
import { z } from 'zod';
import { isUsageTopic } from '../core/eventlog/usage-topic.ts';
import { clusterNameSchema } from '../core/runtime/cluster-name.ts';
import { DETAIL_RETENTION_MS } from './store/retention.ts';
import { DAY_MS } from '../core/metering/hour.ts';

const LONGEST_DAYS = 40_000;

/** As Kafka takes them. What begins like a cluster's topic would be read as samples. */
const topicNameSchema = z
  .string()
  .max(249)
  .regex(/^[a-zA-Z0-9._-]+$/)
  .refine((name) => !isUsageTopic(name), 'begins like the topic of a cluster');

/** How processes that share a store tell each other that they live. */
export const coordinationSchema = z
  .strictObject({
    /** A process that was not heard of for so long is taken for dead: others do its work. */
    leaseMs: z.int().min(1_000).max(600_000).default(30_000),
    /** How often a process says that it lives. */
    renewEveryMs: z.int().min(100).max(60_000).default(5_000),
  })
  .refine(({ leaseMs, renewEveryMs }) => renewEveryMs * 3 <= leaseMs, {
    path: ['renewEveryMs'],
    message: 'must be a third of leaseMs or less',
  });

export type CoordinationConfig = Readonly<z.output<typeof coordinationSchema>>;

export const aggregatorSchema = z.strictObject({
  /** Each is consumed from a topic of its own, `usage.<cluster>`, and closes wait for each. */
  clusters: z
    .array(clusterNameSchema)
    .min(1)
    .refine((names) => new Set(names).size === names.length, 'must not name a cluster twice'),
  /** Metering settings: what usage is made of (JSON). Without it, the defaults. */
  settingsFile: z.string().min(1).optional(),
  /** Where the entries of the ledger are published as events; without it they are not. */
  ledgerTopic: z
    .strictObject({
      /** Of the topic. */
      name: topicNameSchema.default('usage-ledger'),
      /** Of the events, as their `source`: it names this installation. */
      source: z.string().regex(/^\S+$/).default('urn:gh0stcloud:metering'),
    })
    .optional(),
  /** Waivers and erasures that operators declare (JSON). */
  declaredFile: z.string().min(1).optional(),
  /** How long usage broken down by workload, destination and storage class is kept, by whole months. */
  detailRetentionMs: z
    .int()
    .min(DAY_MS)
    .max(LONGEST_DAYS * DAY_MS)
    .default(DETAIL_RETENTION_MS),
  /** With others that work on the same server. */
  coordination: coordinationSchema.prefault({}),
});
