/** Which representation of rows a request asks for: `Accept` by RFC 9110, JSON when it leaves the choice. */
export type Representation = 'json' | 'csv';

/** In the order of our preference. */
const OFFERED: readonly { readonly representation: Representation; readonly type: string }[] = [
  { representation: 'json', type: 'application/json' },
  { representation: 'csv', type: 'text/csv' },
];

/** Undefined when none is acceptable. */
export function representationFor(accept: string | undefined): Representation | undefined {
  const ranges = (accept ?? '*/*').split(',').map(parseRange);
  let best: Representation | undefined;
  let bestQuality = 0;
  for (const { representation, type } of OFFERED) {
    const quality = qualityOf(type, ranges);
    if (quality <= bestQuality) continue;
    best = representation;
    bestQuality = quality;
  }
  return best;
}

interface MediaRange {
  readonly type: string;
  readonly quality: number;
}

function parseRange(text: string): MediaRange {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  const quality = weight === undefined ? 1 : Number(weight.slice(2));
  return { type, quality: Number.isNaN(quality) ? 0 : quality };
}

/** The most specific range that matches decides, not the one with the highest weight. */
function qualityOf(type: string, ranges: readonly MediaRange[]): number {
  const family = `${type.slice(0, type.indexOf('/'))}/*`;
  for (const candidate of [type, family, '*/*']) {
    const range = ranges.find((one) => one.type === candidate);
    if (range !== undefined) return range.quality;
  }
  return 0;
}
