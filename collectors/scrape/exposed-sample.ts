export type Label = readonly [name: string, value: string];

/** One sample as a target shows it, before the target's own labels are added. */
export interface ExposedSample {
  readonly name: string;
  /** As written: in the order of the line, empty values included. */
  readonly labels: readonly Label[];
  readonly value: number;
  /** Only where the line has one. */
  readonly timestampMs: number | undefined;
  /** When the counter began, where OpenMetrics tells. */
  readonly startMs: number | undefined;
}

/** Times are carried as unsigned 64-bit nanoseconds. */
export const MAX_TIME_MS = 18_446_744_073_709;
