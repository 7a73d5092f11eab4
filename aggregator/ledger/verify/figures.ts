/** Figures of a difference, as people read them. */
import type { HourValue } from '../entry.ts';
import { quantityOf } from '../entry.ts';

/** `2026-10-01T09Z` */
export function hourText(hour: number): string {
  return `${new Date(hour).toISOString().slice(0, 13)}Z`;
}

/** `190 (100+90+0+0), 4 samples`, and what else is not as usual. */
export function quartersText(value: Pick<HourValue, 'quarters' | 'missingMs' | 'samples' | 'flags'>): string {
  const { quarters, missingMs, samples, flags } = value;
  return [
    `${quantityOf(quarters)} (${quarters.join('+')}), ${samples} samples`,
    ...(missingMs === 0n ? [] : [`${missingMs} ms missing`]),
    ...(flags === 0 ? [] : [`flags ${flags}`]),
  ].join(', ');
}
