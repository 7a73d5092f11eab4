/** Whether this machine's clock agrees with another: samples from too far ahead are refused. */
import { FUTURE_TOLERANCE_MS } from '../metering/settings.ts';
import type { Finding } from './finding.ts';

/** Machines that are kept by NTP differ by less. */
export const SKEW_MS = 2_000;

/** `aheadMs` is how far the other clock is ahead of this one; below 0, behind. */
export function skewFinding(name: string, other: string, aheadMs: number): Finding {
  const distance = `${Math.abs(Math.round(aheadMs)) / 1_000} s`;
  const direction = aheadMs < 0 ? 'behind' : 'ahead of';
  const seen = `${other} is ${distance} ${direction} this machine's clock`;
  const skewMs = Math.abs(aheadMs);
  if (skewMs < SKEW_MS) return { level: 'ok', name, seen };
  const level = skewMs > FUTURE_TOLERANCE_MS ? 'fail' : 'warn';
  return {
    level,
    name,
    seen,
    advice: 'see which of the two is wrong, and keep both by NTP (chronyc tracking)',
  };
}
