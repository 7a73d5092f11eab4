/** METERING.md 2 and 6: what was used on `(from, to]`; for a gauge, what it held on `[from, to)`. */
export interface Interval {
  readonly from: bigint;
  readonly to: bigint;
  readonly quantity: bigint;
}
