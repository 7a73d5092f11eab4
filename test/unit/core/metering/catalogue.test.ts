import { describe, expect, test } from 'vitest';
import {
  billableMeter,
  MEASURED_METERS,
  meterNamed,
  METERS,
  REFERENCE_METERS,
} from '../../../../core/metering/catalogue.ts';

describe('the catalogue', () => {
  test('has each name once', () => {
    const names = MEASURED_METERS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.map((name) => meterNamed(name)?.name)).toEqual(names);
  });

  test('marks as references what nobody is billed for, and nothing else', () => {
    expect(METERS.filter(({ isReference }) => isReference)).toEqual([]);
    expect(REFERENCE_METERS.filter(({ isReference }) => !isReference)).toEqual([]);
    expect(REFERENCE_METERS.map(({ name }) => name)).toEqual(['node_cpu', 'node_memory']);
  });

  test('gives nobody a reference who asks for a meter', () => {
    expect(METERS.map(({ name }) => billableMeter(name))).toEqual(METERS);
    expect(REFERENCE_METERS.map(({ name }) => billableMeter(name))).toEqual([undefined, undefined]);
    expect(billableMeter('cpus')).toBeUndefined();
  });

  test.each([
    ['cpu', 'node_cpu'],
    ['memory', 'node_memory'],
  ])('counts %s and %s by the same rules, so that one can be held against the other', (meter, reference) => {
    const rulesOf = (name: string): object => {
      const { kind, metrics, source, unit, unitsPerValueMs, birth, plausibility } = meterNamed(name) ?? {};
      return { kind, metrics, source, unit, unitsPerValueMs, birth, plausibility };
    };
    expect(rulesOf(reference)).toEqual(rulesOf(meter));
    expect(meterNamed(meter)).toBeDefined();
  });
});
