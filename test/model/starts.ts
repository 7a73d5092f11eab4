/**
 * METERING.md 6: what tells that a counter began again.
 */
import type { Facts } from './facts.ts';
import { largest } from './grouping.ts';
import type { Value } from './series.ts';

/** Section 6.1: a start is known where 0 < ST < t. */
export function startOf(s: Value): bigint | undefined {
  return s.start !== undefined && s.start > 0n && s.start < s.t ? s.start : undefined;
}

/**
 * Section 6 and choice 18: of each reporter what its first row at or after t showed, if that is below t;
 * of several reporters the latest.
 */
export function processStartOf(s: Value, facts: Facts): bigint | undefined {
  const shown = [...s.reporters].flatMap((target) => {
    const row = facts.processStarts.get(target)?.find(({ t }) => t >= s.t);
    return row !== undefined && row.start < s.t ? [row.start] : [];
  });
  return shown.length === 0 ? undefined : largest(shown);
}
