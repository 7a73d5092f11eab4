import { z } from 'zod';

const count = (limit: number): z.ZodNumber => z.int().positive().max(limit);

const DAY_MS = 86_400_000;

/**
 * What the metering rule may be told (METERING.md): every key has a default, unknown keys are refused.
 * These numbers decide usage figures, so a file of them is under version control and pinned at a close.
 */
export const meteringSettingsSchema = z.strictObject({
  /** Label of `kube_namespace_labels` that names the tenant of a namespace. */
  tenantLabel: z
    .string()
    .regex(/^label_[a-zA-Z0-9_]+$/, 'must be a label name as kube-state-metrics writes it: label_...')
    .default('label_gh0stcloud_io_tenant'),
  /** Namespaces of the platform itself; they go to the tenant `platform` whatever their label says. */
  platformNamespaces: z
    .array(z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be a namespace name'))
    .default(['kube-system'])
    .readonly(),
  /** How long a gauge holds its value without a next sample. */
  maxHoldMs: count(DAY_MS).default(300_000),
  /** How late a sample may come and still count in its own period. */
  latenessMs: count(31 * DAY_MS).default(172_800_000),
  /** A pod cannot have used more cores than this. */
  maxCores: count(1_000_000).default(256),
  /** A pod cannot have moved more bytes per second than this. */
  maxLinkBytesPerSecond: count(Number.MAX_SAFE_INTEGER).default(12_500_000_000),
  /** The interface of a pod whose traffic is metered. */
  networkInterface: z.string().min(1).default('eth0'),
  /** How long raw samples are kept; what is older is quarantined before the insert. */
  rawRetentionMs: count(400 * DAY_MS).default(3_888_000_000),
});

export type MeteringSettings = Readonly<z.infer<typeof meteringSettingsSchema>>;
