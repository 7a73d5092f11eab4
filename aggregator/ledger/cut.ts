/** The cut of a decision: one past the newest record of each partition that it knew, as it is stored. */
import { z } from 'zod';
import type { LogPosition } from '../../core/eventlog/sample-log.ts';

export const cutSchema = z.array(
  z.strictObject({
    topic: z.string(),
    partition: z.int().min(0),
    next: z.string().regex(/^\d+$/).transform(BigInt),
  }),
);

export function cutText(cut: readonly LogPosition[]): string {
  return JSON.stringify(cutLines(cut));
}

/** As JSON values. */
export function cutLines(
  cut: readonly LogPosition[],
): { readonly topic: string; readonly partition: number; readonly next: string }[] {
  return cut.map(({ topic, partition, next }) => ({ topic, partition, next: String(next) }));
}
