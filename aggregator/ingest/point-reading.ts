/** What a point says, read where it lies: its time in ms, its value as an integer. PURE. */
import { MAX_VALUE, toInteger } from '../../core/metering/quantity.ts';
import type { PointRejection } from '../../core/metering/rejection.ts';
import { NO_RECORDED_VALUE, type PointCursor } from '../../core/otlp/walker.ts';

/** A value as an integer, or why it is none. A marker is -1. */
export type Reading = number | bigint | PointRejection;
export const MARKER = -1;

/** Unix nanoseconds in halves to whole ms, truncated; exact for every 64-bit value. */
export function milliseconds(low: number, high: number): number {
  // 2^32 ns = 4294 ms + 967,296 ns, and high x 967,296 + low stays below 2^53.
  return high * 4294 + Math.floor((high * 967_296 + low) / 1_000_000);
}

export function readingOf(cursor: PointCursor, scale: number): Reading {
  if ((cursor.flags & NO_RECORDED_VALUE) !== 0) return MARKER;
  if (cursor.kind === 'none') return 'no_value';
  if (cursor.kind === 'integer') {
    if (cursor.valueHigh >= 0x80000000) return 'negative';
    const scaled = integerOf(cursor) * BigInt(scale);
    return scaled > MAX_VALUE ? 'overflow' : scaled;
  }
  const value = cursor.double;
  if (Number.isNaN(value)) return isStaleNaN(cursor) ? MARKER : 'nan';
  if (value === Infinity || value === -Infinity) return 'infinite';
  if (value < 0) return 'negative';
  const rounded = toInteger(value, scale);
  return rounded > MAX_VALUE ? 'overflow' : rounded;
}

/** The NaN by which Prometheus says that a series has ended. */
function isStaleNaN(cursor: PointCursor): boolean {
  return cursor.valueHigh === 0x7ff00000 && cursor.valueLow === 2;
}

function integerOf(cursor: PointCursor): bigint {
  return (BigInt(cursor.valueHigh) << 32n) | BigInt(cursor.valueLow);
}

export function exactValue(cursor: PointCursor): number {
  return cursor.kind === 'integer' ? Number(BigInt.asIntN(64, integerOf(cursor))) : cursor.double;
}
