import { Timeline, type UsageKey, UsageSums } from './timeline.ts';
import { type WorldConfig } from './world.ts';

/** What was truly used, in base units: core-ns, bytes, byte-ms, counts. */
export interface TrueUsage extends UsageKey {
  readonly quantity: bigint;
}

/**
 * The usage of [fromMs, toMs) by hour, tenant, namespace and meter, as exact integrals of the world's levels.
 * What was before the world's first moment is not known. Usage is a difference of totals, so it adds up over
 * any split of time: 3 units on [0, 10) and 4 on [10, 20) are 7 on [0, 20).
 *
 * Request counters may round down at both ends of a piece, and these roundings cancel in the sum.
 */
export function trueUsage(config: WorldConfig, fromMs: number, toMs: number): TrueUsage[] {
  const begin = Math.max(fromMs, config.startMs);
  const timeline = Timeline.of(config, begin, toMs);
  const sums = new UsageSums();
  for (const history of timeline.histories()) {
    const { namespace, meter, bornMs } = history.source;
    const from = Math.max(begin, bornMs);
    const to = Math.min(toMs, history.endedMs ?? toMs);
    for (const piece of timeline.pieces(namespace, from, to)) {
      sums.add({ ...piece, namespace, meter }, history.usage(piece.fromMs, piece.toMs));
    }
  }
  return sums.entries().map(({ key, amount }) => ({ ...key, quantity: amount }));
}
