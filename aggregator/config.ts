/** What the aggregator role is told, beside the log and the store it works on. */
import { z } from 'zod';
import { clusterNameSchema } from '../core/runtime/cluster-name.ts';

export const aggregatorSchema = z.strictObject({
  /** Each is consumed from a topic of its own, `usage.<cluster>`, and closes wait for each. */
  clusters: z
    .array(clusterNameSchema)
    .min(1)
    .refine((names) => new Set(names).size === names.length, 'must not name a cluster twice'),
  /** Metering settings: what usage is made of (JSON). Without it, the defaults. */
  settingsFile: z.string().min(1).optional(),
  /** Waivers and erasures that operators declare (JSON). */
  declaredFile: z.string().min(1).optional(),
});
