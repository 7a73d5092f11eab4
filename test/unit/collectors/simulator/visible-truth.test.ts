import { describe, expect, test } from 'vitest';
import { NaiveMetering } from './naive-metering.ts';
import { newSimulator, START_MS } from './simulated-clock.ts';

const MINUTE = 60_000;

interface Case {
  readonly seed: string;
  readonly startMs: number;
  readonly afterMs: number;
  readonly minutes: number;
  readonly intervalMs: number;
  readonly latencyMs?: number;
}

const CASES: readonly Case[] = [
  { seed: 'a', startMs: START_MS, afterMs: 0, minutes: 12, intervalMs: 15_000 },
  { seed: 'b', startMs: START_MS, afterMs: 3_217, minutes: 12, intervalMs: 30_000 },
  { seed: 'c', startMs: START_MS + 271_000, afterMs: 61_000, minutes: 20, intervalMs: 10_000 },
  { seed: 'd', startMs: START_MS - 5_123, afterMs: 231_000, minutes: 9, intervalMs: 60_000 },
  { seed: 'e', startMs: START_MS + 160_000, afterMs: 5_000, minutes: 40, intervalMs: 30_000 },
  // The move of a namespace at minute 4 falls on the hour, then just before and just after it.
  { seed: 'f', startMs: START_MS + 160_000, afterMs: 0, minutes: 8, intervalMs: 30_000 },
  { seed: 'g', startMs: START_MS + 148_000, afterMs: 10_000, minutes: 8, intervalMs: 25_000 },
  { seed: 'h', startMs: START_MS + 173_000, afterMs: 0, minutes: 8, intervalMs: 25_000 },
  // The first scrapes come just before the move.
  { seed: 'i', startMs: START_MS, afterMs: 236_000, minutes: 8, intervalMs: 30_000 },
  // The restart of an exporter at minute 6 falls on the hour.
  { seed: 'j', startMs: START_MS + 40_000, afterMs: 0, minutes: 10, intervalMs: 30_000 },
  // Pages come later than the time they are stamped with.
  { seed: 'k', startMs: START_MS + 30_000, afterMs: 700, minutes: 14, intervalMs: 15_000, latencyMs: 250 },
];

function watched({ seed, startMs, afterMs, minutes, intervalMs, latencyMs = 0 }: Case) {
  const { clock, simulator } = newSimulator({ seed, startMs });
  const fromMs = startMs + afterMs;
  const toMs = fromMs + minutes * MINUTE;
  clock.set(fromMs);
  const metering = new NaiveMetering(simulator.platformNamespaces);
  metering.watch(simulator, clock, { untilMs: toMs, intervalMs, latencyMs });
  return { simulator, fromMs, toMs, usage: metering.usage() };
}

describe('what is metered from the pages is the truth, but for what samples cannot show', () => {
  test.each(CASES)('seed $seed, $minutes minutes at $intervalMs ms', (each) => {
    const { simulator, fromMs, toMs, usage } = watched(each);
    const truth = new Map(simulator.truth(fromMs, toMs).map((row) => [keyOf(row), row.quantity]));
    const unseen = new Map(
      simulator.unseen(fromMs, toMs, each.intervalMs, each.latencyMs).map((row) => [keyOf(row), row]),
    );
    const wrong: unknown[] = [];
    for (const key of new Set([...truth.keys(), ...usage.keys()])) {
      const quantity = truth.get(key) ?? 0n;
      const metered = usage.get(key) ?? 0n;
      const { missing = 0n, excess = 0n } = unseen.get(key) ?? {};
      if (metered < quantity - missing || metered > quantity + excess) {
        wrong.push({ key, off: metered - quantity, missing, excess });
      }
    }
    expect(wrong).toEqual([]);
    expect(truth.size).toBeGreaterThan(80);
  });

  test('a longer watch shows a greater part', () => {
    const { simulator } = newSimulator();
    const part = (minutes: number): number => {
      const toMs = START_MS + minutes * MINUTE;
      const used = simulator.truth(START_MS, toMs).filter(({ meter }) => meter === 'cpu');
      const unseen = simulator.unseen(START_MS, toMs, 15_000).filter(({ meter }) => meter === 'cpu');
      const total = used.reduce((sum, { quantity }) => sum + quantity, 0n);
      return Number(unseen.reduce((sum, { missing, excess }) => sum + missing + excess, 0n)) / Number(total);
    };
    expect(part(10)).toBeLessThan(0.15);
    expect(part(120)).toBeLessThan(0.04);
  });

  test('a slower scrape sees less', () => {
    const { simulator } = newSimulator();
    const missing = (intervalMs: number): bigint =>
      simulator
        .unseen(START_MS, START_MS + 30 * MINUTE, intervalMs)
        .reduce((sum, row) => sum + row.missing, 0n);
    expect(missing(60_000)).toBeGreaterThan(missing(15_000));
  });

  test('a scrape so slow that gauges lapse in between is refused', () => {
    const { simulator } = newSimulator();
    expect(() => simulator.unseen(START_MS, START_MS + MINUTE, 300_000)).toThrow('invariant broken');
  });
});

function keyOf(row: { hourMs: number; tenant: string; namespace: string; meter: string }): string {
  return `${row.hourMs}/${row.tenant}/${row.namespace}/${row.meter}`;
}
