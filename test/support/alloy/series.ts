/** Series in the notation of an exposition: to labels, and back to text. */
import { parseExposition } from '../../../collectors/scrape/exposition.ts';
import type { Labels } from './relabel.ts';

/** Name and labels as a target shows them, under the labels of the target. */
export function series(notation: string, target: Readonly<Record<string, string>>): Labels {
  const parsed = parseExposition(Buffer.from(`${notation} 1\n`), 'text', { maxSamples: 1 });
  if (!parsed.ok) throw new Error(parsed.detail);
  const [sample] = parsed.samples;
  return new Map([['__name__', sample?.name ?? ''], ...Object.entries(target), ...(sample?.labels ?? [])]);
}

/** Without job and instance, which every series of a target has. */
export function notation(labels: Labels | undefined): string {
  if (labels === undefined) return 'dropped';
  const { __name__: name = '', job: _job, instance: _instance, ...others } = Object.fromEntries(labels);
  const list = Object.entries(others).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${name}{${list.map(([key, value]) => `${key}="${value}"`).join(',')}}`;
}
