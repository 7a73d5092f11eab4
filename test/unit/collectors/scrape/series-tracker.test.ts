import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seriesKey, seriesOfKey, SeriesTracker } from '../../../../collectors/scrape/series-tracker.ts';

const text = fc.string({ unit: 'grapheme' });
const series = fc.record({
  job: text,
  instance: text,
  name: text,
  labels: fc.array(fc.tuple(text, text), { maxLength: 4 }),
});

describe('SeriesTracker', () => {
  it('holds a series as a key that is the series, whatever its text', () => {
    fc.assert(
      fc.property(series, (one) => {
        expect(seriesOfKey(seriesKey(one))).toEqual(one);
      }),
    );
    fc.assert(
      fc.property(series, series, (one, other) => {
        expect(seriesKey(one) === seriesKey(other)).toBe(JSON.stringify(one) === JSON.stringify(other));
      }),
    );
  });

  it('tells what is new and what vanished, once', () => {
    const key = (name: string) => seriesKey({ job: 'j', instance: 'i', name, labels: [] });
    const tracker = new SeriesTracker();
    const change = (...names: string[]) => {
      const { added, vanished } = tracker.replace(new Set(names.map(key)));
      return [added, vanished.map(({ name }) => name)];
    };
    expect(change('a', 'b')).toEqual([2, []]);
    expect(change('b', 'c')).toEqual([1, ['a']]);
    expect(change()).toEqual([0, ['b', 'c']]);
    expect(change()).toEqual([0, []]);
    expect(change('a')).toEqual([1, []]);
  });
});
