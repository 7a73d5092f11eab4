/**
 * Values to integers. A double is the exact binary fraction it stands for; value x scale is rounded half to
 * even, once, and nothing is a floating-point number after that. 1.0000000005 s is the double
 * 1.00000000050000004137018549954518..., so at 1e9 it is 1,000,000,001 core-ns: above the half, not on it.
 */
import type { SourceUnit } from './catalogue.ts';

/** Integers per unit of the source: core-ns, millicores, bytes, counts. */
export const SCALES: Readonly<Record<SourceUnit, number>> = { seconds: 1e9, cores: 1e3, bytes: 1, count: 1 };

/** The largest quantity a single sample may have: 2^63 - 1. */
export const MAX_VALUE = (1n << 63n) - 1n;

/** How near to a half a product may come before the exact path decides; its rounding error is below 2^-24. */
const DOUBT = 1e-6;

/**
 * round(value x scale), half to even, for a finite value >= 0 and a scale of at most 1e9.
 * A number where the result is a safe integer, else a bigint (which may exceed MAX_VALUE).
 */
export function toInteger(value: number, scale: number): number | bigint {
  const whole = Math.floor(value);
  const rest = value - whole;
  const product = rest * scale;
  const below = Math.floor(product);
  const over = product - below;
  if (Math.abs(over - 0.5) < DOUBT) return narrowed(roundedExactly(value, BigInt(scale)));
  const rounded = over > 0.5 ? below + 1 : below;
  const total = whole * scale + rounded;
  if (total <= Number.MAX_SAFE_INTEGER) return total;
  return BigInt(whole) * BigInt(scale) + BigInt(rounded);
}

/** Seconds (a double) to whole ms, half to even. */
export function secondsToMs(seconds: number): number {
  return Number(toInteger(seconds, 1e3));
}

function narrowed(value: bigint): number | bigint {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

const bits = new DataView(new ArrayBuffer(8));

/**
 * The double as mantissa x 2^exponent, multiplied and rounded in integers. What comes here has a fraction
 * and is not far below a half of the scale: so it is neither 2^52 or more, nor subnormal.
 */
function roundedExactly(value: number, scale: bigint): bigint {
  bits.setFloat64(0, value);
  const raw = bits.getBigUint64(0);
  const biased = Number((raw >> 52n) & 0x7ffn);
  const fraction = raw & ((1n << 52n) - 1n);
  const scaled = (fraction | (1n << 52n)) * scale;
  const shift = BigInt(1075 - biased);
  const floor = scaled >> shift;
  const rest = scaled - (floor << shift);
  const half = 1n << (shift - 1n);
  if (rest > half || (rest === half && (floor & 1n) === 1n)) return floor + 1n;
  return floor;
}
