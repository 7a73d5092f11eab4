import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { meterNamed, type MeterDefinition } from '../../../../core/metering/catalogue.ts';
import { invariant } from '../../../../core/runtime/errors.ts';
import { growthBound, isPlausible } from '../../../../aggregator/conversion/plausibility.ts';
import { VECTOR_SETTINGS } from '../../../vectors/vectors.ts';
import { fullSettings } from '../../../support/pipeline.ts';

function meter(name: string): MeterDefinition {
  const found = meterNamed(name);
  invariant(found !== undefined, `${name} is in the catalogue`);
  return found;
}

const settings = fullSettings({ ...VECTOR_SETTINGS, maxCores: 10, maxLinkBytesPerSecond: 999 });
const cpu = growthBound(meter('cpu'), settings);
const link = growthBound(meter('egress'), settings);

describe('growth within the bound is plausible, one unit more is not', () => {
  test('10 cores and 10 % to spare: 11,000,000 core-ns in each ms', () => {
    expect(isPlausible(cpu, 11_000_000n * 30_000n, 30_000)).toBe(true);
    expect(isPlausible(cpu, 11_000_000n * 30_000n + 1n, 30_000)).toBe(false);
  });

  test('999 bytes a second and 10 % to spare: 1098.9 in one second', () => {
    expect(isPlausible(link, 1098n, 1000)).toBe(true);
    expect(isPlausible(link, 1099n, 1000)).toBe(false);
    expect(isPlausible(link, 10_989n, 10_000)).toBe(true);
    expect(isPlausible(link, 10_990n, 10_000)).toBe(false);
  });

  test('counts have none', () => {
    expect(isPlausible(growthBound(meter('http_requests'), settings), (1n << 63n) - 1n, 1)).toBe(true);
  });

  test('1.73e9 core-s in 30 s are not from 256 cores, 60 are', () => {
    const bound = growthBound(meter('cpu'), fullSettings(VECTOR_SETTINGS));
    expect(isPlausible(bound, 60_000_000_000n, 30_000)).toBe(true);
    expect(isPlausible(bound, 1_730_000_000_000_000_000n, 30_000)).toBe(false);
  });
});

test('the short cut in doubles never lets through what integers refuse', () => {
  const cases = fc.record({
    cores: fc.integer({ min: 1, max: 100_000 }),
    elapsedMs: fc.integer({ min: 1, max: 10_000_000_000 }),
    off: fc.bigInt({ min: -3n, max: 3n }),
  });
  fc.assert(
    fc.property(cases, ({ cores, elapsedMs, off }) => {
      const bound = growthBound(meter('cpu'), { ...settings, maxCores: cores });
      const most = (BigInt(cores) * BigInt(elapsedMs) * 11_000_000n) / 10n;
      const growth = most + off < 0n ? 0n : most + off;
      expect(isPlausible(bound, growth, elapsedMs)).toBe(
        growth * 10n <= BigInt(cores) * BigInt(elapsedMs) * 11_000_000n,
      );
    }),
  );
});
