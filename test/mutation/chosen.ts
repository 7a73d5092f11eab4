/**
 * Changes chosen by hand where a change of any operator would mostly be noise: what makes a unit dirty, and
 * its inputs.
 */
export interface ChosenMutant {
  readonly file: string;
  readonly found: string;
  readonly replacement: string;
}

const of = (
  file: string,
  changes: readonly (readonly [found: string, replacement: string])[],
): ChosenMutant[] => changes.map(([found, replacement]) => ({ file, found, replacement }));

export const CHOSEN: readonly ChosenMutant[] = [
  ...of('aggregator/rollup/births.ts', [
    ['firstValue <= span.first', 'firstValue < span.first'],
    ['firstValue > endOf(span)', 'firstValue >= endOf(span)'],
    ['sighted: Math.min(firstValue, rejected)', 'sighted: firstValue'],
    ['birth.firstValue - latest <= latenessMs', 'birth.firstValue - latest < latenessMs'],
    ['q.sighted > s.t', 'q.sighted >= s.t'],
    ['start < t ? start : 0', 'start <= t ? start : 0'],
    ['AND version = 2 AND', 'AND'],
    ['Math.max(...times)', 'Math.min(...times)'],
    ['Math.min(...known)', 'Math.max(...known)'],
    ['min(start) AS smallest', 'max(start) AS smallest'],
    ['Number(row.first_value) === firstValue', 'Number(row.first_value) >= firstValue'],
  ]),
  ...of('aggregator/rollup/closings.ts', [
    ['[2, 50, Infinity]', '[2, 50]'],
    ['argMax(t, place), argMax(value', 'argMin(t, place), argMin(value'],
    ['view.getUint8(at + 32) === 1', 'view.getUint8(at + 32) === 2'],
    ['hours.add(hour);', ''],
  ]),
  ...of('aggregator/rollup/convert.ts', [
    ['if (value < pending.value) return;', 'if (value <= pending.value) return;'],
    ['pending.processStart = Math.max(pending.processStart, processStart);', ''],
    ['if (this.#inputs.hostNetwork.has(meta.podKey)) return NOWHERE;', ''],
    ['pending.value = -1n', 'pending.value = 0n'],
    ['this.#carried.set(this.#key, closing);', ''],
    ['t > this.#end || !isSame)', '!isSame)'],
    [
      'const isSame = this.#isSameSeries(view, at)',
      'const isSame = t <= this.#end && this.#isSameSeries(view, at)',
    ],
  ]),
  ...of('aggregator/rollup/usage-writer.ts', [['[...current, ...vanished]', 'current']]),
  ...of('aggregator/rollup/silent-hours.ts', [
    ['hour < until; hour', 'hour < before; hour'],
    ['version > 0) AS last', 'version > 1) AS last'],
  ]),
  ...of('aggregator/rollup/roll-span.ts', [
    ['old.value !== value || ', ''],
    [' || old.known !== known', ''],
    ['changed.length > 0 && openHour > span.last ? next.add(openHour) : next', 'next'],
    ['const isStartChanged = ofOthers.some(([hour]) => hour < span.first)', 'const isStartChanged = false'],
    ['newest !== before.get(hour) : newest > version', 'newest !== before.get(hour) : false'],
    [
      'const since = await hoursThatFollow(store, span, { changed, openHour: options.openHour })',
      'const since = following',
    ],
  ]),
  ...of('aggregator/rollup/process-starts.ts', [
    ['?? 0) < t) low', '?? 0) <= t) low'],
    ['start < t ? start : 0', 'start <= t ? start : 0'],
    ['SELECT target, t, max(start)', 'SELECT target, t, min(start)'],
    ['argMax(start, (-t, start))', 'argMax(start, (t, start))'],
    ['AND t > {to:Int64}', 'AND t > {to:Int64} AND 1 = 0'],
  ]),
  ...of('aggregator/ingest/effects.ts', [
    ['touched.add(cluster, await this.#coverage(cluster, scrapes));', ''],
    ['await this.#lateUps(cluster, chunk, touched);', '{}'],
    ['b.t <= l.latest', 'b.t < l.latest'],
    ['b.t > l.earliest AND', 'b.t > l.latest AND'],
    ['await this.#processStarts(facts, touched);', ''],
    ['touched.add(cluster, await this.#birthHours(which, { cluster, series }));', ''],
    ['start.start < (', 'start.start > ('],
    ['touched.add(cluster, await this.#hostNetwork(cluster, podKeys));', ''],
    ['touched.add(cluster, await this.#feeds(cluster, chunk));', '{}'],
    ['!target.settled || t < target.newestBirth || t', '!target.settled || t'],
    ['t < target.newestBirth || t < target.firstScrape', 't < target.newestBirth'],
    ['target = {target:UInt64} AND t < {t:Int64}', 'target = {target:UInt64} AND t > {t:Int64}'],
  ]),
  ...of('aggregator/ingest/history-effects.ts', [
    ['hours.push(...(await this.#changedHours(cluster, changes)));', ''],
    ['from: i === 0 ? undefined : t', 'from: t'],
    ['[...hours, ...(await this.#nextUnits(cluster, ended))]', 'hours'],
    ['head !== undefined && t > head.t && value', 'head !== undefined && value'],
    ['values.every((value) => value === before)', 'values.some((value) => value === before)'],
    ['next ? Number(next.seen) : Infinity', 'Number(row.seen)'],
  ]),
];
