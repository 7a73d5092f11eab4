import { z } from 'zod';

import { DAY_MS, HOUR_MS } from '../../metering/hour.ts';

const GIB = 1024 ** 3;

const bytes = z.int().positive();
const durationMs = z.int().nonnegative();

const retentionSchema = z
  .strictObject({
    /** Consumed records older than this are removed. */
    maxAgeMs: durationMs.default(7 * DAY_MS),
    /** Beyond this size the oldest consumed records are removed early... */
    maxBytes: bytes.default(10 * GIB),
    /** ...but none younger than this: a consumer goes back that far after an unclean stop. */
    minAgeMs: durationMs.default(HOUR_MS),
    /** Beyond this size the oldest records are removed even if nobody has consumed them. */
    hardMaxBytes: bytes.default(20 * GIB),
  })
  .refine(({ maxBytes, hardMaxBytes }) => hardMaxBytes >= maxBytes, {
    path: ['hardMaxBytes'],
    message: 'must not be below maxBytes',
  });

export const embeddedLogSchema = z.strictObject({
  /** Where the file is; made if it does not exist. */
  directory: z.string().min(1),
  /** Partitions of a topic that is new; one that exists keeps its number. */
  partitions: z.int().min(1).max(256).default(4),
  /** Appends that would make the file larger are refused, so it never fills the disk of the store. */
  maxFileBytes: bytes.default(40 * GIB),
  retention: retentionSchema.prefault({}),
});

export type EmbeddedLogConfig = Readonly<z.infer<typeof embeddedLogSchema>>;
export type RetentionConfig = EmbeddedLogConfig['retention'];
