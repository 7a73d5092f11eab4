/**
 * A number walked down to where it came from: hour -> keys -> series -> intervals, each with the rule that
 * judged it and its share of the hour, quarter by quarter -> the samples at its ends -> their places in the
 * log. In: a store and an hour of a meter. Out: an explanation; nothing is written.
 *
 * The parts are computed by the roll-up's own functions from the samples, and held against the figure: their
 * sum is the number, to the last unit, or the explanation says that it is not. It is bounded in what it
 * shows, never in what it adds up.
 */
import { meterNamed } from '../../core/metering/catalogue.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { convertSpan } from '../rollup/convert.ts';
import { SeriesCache } from '../rollup/span-inputs.ts';
import { frozenBefore } from '../store/retention.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { Assembly } from './explain/assembly.ts';
import type { Explanation } from './explain/explanation.ts';
import { isHour, readCoverageFigures, readFigures, type Asked } from './explain/figures.ts';
import { Trace } from './explain/trace.ts';

export { renderExplanation } from './explain/render.ts';
export type { Explanation } from './explain/explanation.ts';

export interface ExplainRequest extends Asked {
  /** Of the hour's period and of later ones, as they are in force. */
  readonly settings: { at(ms: number): MeteringSettings };
  /** Intervals that are shown. */
  readonly limit?: number;
  /** Intervals that were shown before, in the same order. */
  readonly skip?: number;
}

const SHOWN = 100;

/** `METER_CONFIG_INVALID` for a meter or an hour that there cannot be. */
export async function explain(store: UsageStore, request: ExplainRequest): Promise<Explanation> {
  const { settings, limit = SHOWN, skip = 0, ...asked } = request;
  const meter = meterNamed(asked.meter);
  if (meter === undefined)
    throw new MeteringError('METER_CONFIG_INVALID', `there is no meter ${asked.meter}`);
  if (!isHour(asked.hour)) {
    throw new MeteringError(
      'METER_CONFIG_INVALID',
      `an hour begins on a whole hour, ${asked.hour} ms is none`,
    );
  }
  const figures = await readFigures(store, asked);
  const frozen = await frozenBefore(store);
  const assembly = new Assembly(asked, { meter, figures, limit, skip });
  for (const [cluster, units] of figures.units) {
    const trace = new Trace(asked);
    const cache = new SeriesCache();
    for (const unit of [...units].sort((a, b) => a - b)) {
      if (unit < frozen) continue;
      const span = { cluster, first: unit, last: unit };
      await convertSpan(store, span, { settings: settings.at(unit), cache, observer: trace });
    }
    await assembly.take(store, { cluster, trace, frozen });
  }
  return assembly.explanation(await readCoverageFigures(store, asked));
}
