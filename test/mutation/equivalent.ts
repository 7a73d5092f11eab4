/** Changes that change no usage figure, with the reason. Everything else has a test that fails. */
export interface Equivalent {
  readonly file: string;
  /** The line before and after, as `run.ts` prints it. */
  readonly change: string;
  readonly reason: string;
}

const of = (
  file: string,
  changes: readonly (readonly [reason: string, ...lines: string[]])[],
): Equivalent[] =>
  changes.flatMap(([reason, before, ...afters]) =>
    afters.map((after) => ({ file, change: `${before ?? ''}  ->  ${after}`, reason })),
  );

const INSTANTS = 'instants === undefined || t <= instants.from';
const FOUND_AGAIN = 'instants = this.#instantsAt(t);';

export const EQUIVALENT: readonly Equivalent[] = [
  ...of('aggregator/conversion/counter.ts', [
    [
      'no scrape and no process start: metering cannot have begun at 0',
      'if (s.processStart >= meteringFrom) return born(Math.max(s.processStart, absentAt ?? 0));',
      'if (s.processStart >= meteringFrom) return born(Math.max(s.processStart, absentAt ?? 1));',
    ],
  ]),
  ...of('aggregator/conversion/plausibility.ts', [
    [
      'what bounds nothing never gets to the integers',
      'const UNBOUNDED: GrowthBound = { growthFactor: 1n, perMs: 0n, surelyPlausiblePerMs: Infinity };',
      'const UNBOUNDED: GrowthBound = { growthFactor: 1n, perMs: 1n, surelyPlausiblePerMs: Infinity };',
      'const UNBOUNDED: GrowthBound = { growthFactor: 0n, perMs: 0n, surelyPlausiblePerMs: Infinity };',
    ],
    [
      'the short cut is taken less often; the integers say the same',
      'if (Number(growth) <= bound.surelyPlausiblePerMs * elapsedMs) return true;',
      'if (Number(growth) < bound.surelyPlausiblePerMs * elapsedMs) return true;',
      'if (Number(growth) <= bound.surelyPlausiblePerMs / elapsedMs) return true;',
    ],
  ]),
  ...of('aggregator/attribution/history.ts', [
    [
      'the first time of a history is never compared: the search begins behind it',
      'return { times: [-Infinity], values: [value] };',
      'return { times: [Infinity], values: [value] };',
    ],
    [
      'as above',
      'times.push(times.length === 0 ? -Infinity : t);',
      'times.push(times.length === 0 ? Infinity : t);',
    ],
    [
      'an equal sighting takes the place of an equal one',
      'else if (sighting.value > last.value) greatest[greatest.length - 1] = sighting;',
      'else if (sighting.value >= last.value) greatest[greatest.length - 1] = sighting;',
    ],
    [
      'what lies behind the end reads as Infinity, so the search turns back',
      'let high = times.length - 1;',
      'let high = times.length + 1;',
      'let high = times.length - 0;',
    ],
    [
      'another middle, the same end',
      'const middle = (low + high + 1) >> 1;',
      'const middle = (low + high + 2) >> 1;',
    ],
    [
      'the middle always lies within',
      'if ((times[middle] ?? Infinity) <= t) low = middle;',
      'if ((times[middle] ?? 0) <= t) low = middle;',
    ],
  ]),
  ...of('aggregator/rollup/usage-parts.ts', [
    [
      'what is known of the series is forgotten and found again',
      'if (namespace === this.#namespace && meter === this.#meter) return;',
      'if (false && namespace === this.#namespace && meter === this.#meter) return;',
    ],
    [
      'the short cut is taken less often; the split gives the same',
      'if (here !== undefined && from >= here.from && to <= here.to) {',
      'if (here !== undefined && from >= here.from && to < here.to) {',
      'if (here !== undefined && from > here.from && to <= here.to) {',
      'if (false && here !== undefined && from >= here.from && to <= here.to) {',
    ],
    [
      'the stretch is found again',
      'if (here !== undefined && t >= here.from && t < here.to) return here;',
      'if (here !== undefined && t > here.from && t < here.to) return here;',
      'if (false && here !== undefined && t >= here.from && t < here.to) return here;',
    ],
    [
      'a stretch that ends before it begins is never used a second time',
      'to: Math.min(quarterFrom + QUARTER_MS, this.#nextChange(t)),',
      'to: Math.min(quarterFrom - QUARTER_MS, this.#nextChange(t)),',
      'to: Math.min(quarterFrom + QUARTER_MS / 2, this.#nextChange(t)),',
    ],
    [
      'the instants are found again',
      `if (${INSTANTS} || t > instants.to) ${FOUND_AGAIN}`,
      `if (${INSTANTS} || t >= instants.to) ${FOUND_AGAIN}`,
      `if (true || ${INSTANTS} || t > instants.to) ${FOUND_AGAIN}`,
    ],
    ['as above', 'from: t - 1,', 'from: t + 1,', 'from: t - 0,'],
    [
      'as above; and no change of owner lies between t - 2 and t - 1 that the owner at t - 1 does not show',
      'to: Math.min(hour + HOUR_MS, this.#nextChange(t - 1)),',
      'to: Math.min(hour - HOUR_MS, this.#nextChange(t - 1)),',
      'to: Math.min(hour + HOUR_MS, this.#nextChange(t - 2)),',
      'to: Math.min(hour + HOUR_MS / 2, this.#nextChange(t - 1)),',
    ],
  ]),
  ...of('core/metering/quantity.ts', [
    [
      'the rest is negative then, and the sum of both is the same',
      'const whole = Math.floor(value);',
      'const whole = Math.ceil(value);',
    ],
    [
      'the exact path is taken more often',
      'if (Math.abs(over - 0.5) < DOUBT) return narrowed(roundedExactly(value, BigInt(scale)));',
      'if (Math.abs(over - 0.5) <= DOUBT) return narrowed(roundedExactly(value, BigInt(scale)));',
      'if (true || Math.abs(over - 0.5) < DOUBT) return narrowed(roundedExactly(value, BigInt(scale)));',
    ],
    [
      'halves were decided exactly before',
      'const rounded = over > 0.5 ? below + 1 : below;',
      'const rounded = over >= 0.5 ? below + 1 : below;',
    ],
    [
      'the same integer, as a bigint',
      'return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;',
      'return value < Number.MAX_SAFE_INTEGER ? Number(value) : value;',
    ],
  ]),
  ...of('aggregator/ingest/effects.ts', [
    [
      'hours within the lateness after a late scrape are marked for their coverage, too',
      'b.t <= l.latest',
      'b.t < l.latest',
    ],
    [
      'before the first scrape and after the newest birth there is no birth to change',
      't < target.newestBirth || t < target.firstScrape',
      't < target.newestBirth',
    ],
  ]),
];
