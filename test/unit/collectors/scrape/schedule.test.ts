import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Schedule } from '../../../../collectors/scrape/schedule.ts';

const intervals = fc.integer({ min: 100, max: 3_600_000 });
const times = fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 });

describe('Schedule', () => {
  it('keeps the grid of a target over restarts and never drifts, however late it is asked', () => {
    fc.assert(
      fc.property(
        intervals,
        times,
        fc.array(fc.integer({ min: 0, max: 10_000_000 })),
        (intervalMs, startMs, delays) => {
          const schedule = new Schedule('job a:1', intervalMs);
          const { offsetMs } = new Schedule('job a:1', intervalMs);
          let nowMs = startMs;
          let beforeMs = -Infinity;
          for (const delayMs of delays) {
            const { atMs } = schedule.next(nowMs);
            expect((atMs - offsetMs) % intervalMs).toBe(0);
            expect(atMs).toBeGreaterThan(Math.max(nowMs, beforeMs));
            expect(atMs - Math.max(nowMs, beforeMs)).toBeLessThanOrEqual(intervalMs);
            beforeMs = atMs;
            nowMs = atMs + delayMs;
          }
        },
      ),
    );
  });

  it('says how many slots passed unused', () => {
    const schedule = new Schedule('job a:1', 1_000);
    const { atMs, skipped } = schedule.next(1_700_000_000_000);
    expect(skipped).toBe(0);
    expect(schedule.next(atMs + 10)).toEqual({ atMs: atMs + 1_000, skipped: 0 });
    expect(schedule.next(atMs + 4_500)).toEqual({ atMs: atMs + 5_000, skipped: 3 });
  });

  it('gives the next slot when a timer fires a little early', () => {
    const schedule = new Schedule('job a:1', 1_000);
    const { atMs } = schedule.next(1_700_000_000_000);
    expect(schedule.next(atMs - 1)).toEqual({ atMs: atMs + 1_000, skipped: 0 });
  });

  it('goes on at once when the clock was set back', () => {
    const schedule = new Schedule('job a:1', 1_000);
    const { atMs } = schedule.next(1_700_000_000_000);
    const after = schedule.next(atMs - 3_600_000);
    expect(after.skipped).toBe(0);
    expect(after.atMs).toBeLessThanOrEqual(atMs - 3_600_000 + 1_000);
  });

  it('spreads targets over the interval', () => {
    const offsets = Array.from(
      { length: 1_000 },
      (_, i) => new Schedule(`kubelet 10.0.0.${i}:10250`, 30_000).offsetMs,
    );
    for (let third = 0; third < 3; third++) {
      const within = offsets.filter((offset) => Math.floor(offset / 10_000) === third).length;
      expect(within).toBeGreaterThan(250);
    }
  });
});
