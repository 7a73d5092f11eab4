/**
 * METERING.md 4: numbers without floating point. A double is the exact binary fraction it stands for;
 * rounding is half to even. Worked: 0.0625 cores x 1000 = 62.5 -> 62 millicores.
 */

/** `numerator / 2^shift`. */
export interface Fraction {
  readonly numerator: bigint;
  readonly shift: bigint;
}

export type NotFinite = 'nan' | 'infinite';

/** Section 4: the fraction a double stands for, taken from its 64 bits. */
export function fractionOf(double: number): Fraction | NotFinite {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, double);
  const bits = view.getBigUint64(0);
  const negative = bits >> 63n === 1n;
  const exponent = (bits >> 52n) & 0x7ffn;
  const mantissa = bits & 0xfffffffffffffn;
  if (exponent === 0x7ffn) return mantissa === 0n ? 'infinite' : 'nan';
  const magnitude = exponent === 0n ? mantissa : mantissa | (1n << 52n);
  const power = (exponent === 0n ? 1n : exponent) - 1075n;
  const signed = negative ? -magnitude : magnitude;
  return power >= 0n ? { numerator: signed << power, shift: 0n } : { numerator: signed, shift: -power };
}

export function fractionOfInteger(integer: bigint): Fraction {
  return { numerator: integer, shift: 0n };
}

/** Section 4: round(fraction x scale), half to even. The fraction is not negative. */
export function roundHalfEven(fraction: Fraction, scale: bigint): bigint {
  const numerator = fraction.numerator * scale;
  const denominator = 1n << fraction.shift;
  const floor = numerator / denominator;
  const twiceRest = (numerator % denominator) * 2n;
  const up = twiceRest > denominator || (twiceRest === denominator && floor % 2n === 1n);
  return up ? floor + 1n : floor;
}
