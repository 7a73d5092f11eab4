/**
 * Growth that nothing real can cause. CPU: D x 10 > max_cores x dt x 11,000,000 core-ns; bytes: D x 10,000 >
 * max_link_bytes_per_second x dt x 11 (dt in ms; both with 10 % to spare). 60 core-s in 30 s is plausible on
 * 256 cores, 1.73e9 core-s is not.
 */
import type { MeterDefinition } from '../../core/metering/catalogue.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';

/** Growth times `growthFactor` may not exceed dt times `perMs`; `perMs` 0n bounds nothing. */
export interface GrowthBound {
  readonly growthFactor: bigint;
  readonly perMs: bigint;
  /** Below this many units per ms nothing needs to be looked at twice. */
  readonly surelyPlausiblePerMs: number;
}

const UNBOUNDED: GrowthBound = { growthFactor: 1n, perMs: 0n, surelyPlausiblePerMs: Infinity };

export function growthBound(meter: MeterDefinition, settings: MeteringSettings): GrowthBound {
  switch (meter.plausibility) {
    case 'cores':
      return bounded(10n, BigInt(settings.maxCores) * 11_000_000n);
    case 'link':
      return bounded(10_000n, BigInt(settings.maxLinkBytesPerSecond) * 11n);
    case 'none':
      return UNBOUNDED;
  }
}

export function isPlausible(bound: GrowthBound, growth: bigint, elapsedMs: number): boolean {
  if (Number(growth) <= bound.surelyPlausiblePerMs * elapsedMs) return true;
  return growth * bound.growthFactor <= bound.perMs * BigInt(elapsedMs);
}

function bounded(growthFactor: bigint, perMs: bigint): GrowthBound {
  // 0.999 is far more than the rounding error of the doubles that take the short cut.
  return { growthFactor, perMs, surelyPlausiblePerMs: (Number(perMs) / Number(growthFactor)) * 0.999 };
}
