/**
 * What a reader of a usage row should know beside its quantity; a row carries the union of its intervals'
 * flags.
 */
export const FLAG = {
  /** A counter began again. */
  reset: 1,
  /** Usage was placed on more than five minutes without a sample, or a delta series has a hole. */
  gap: 2,
  /** A sample grew implausibly and was left out. */
  quarantined: 4,
  /** A series began without anything to tell what it had counted before. */
  unknownOrigin: 8,
  /** A counter fell although its run was proven unbroken. */
  nonMonotonic: 16,
  /** A gauge was silent for longer than it may hold its value. */
  missing: 32,
} as const;

/** Samples further apart than this leave a gap: a flag, never a loss. */
export const GAP_MS = 300_000;
