/** (b) From samples to usage: one hour of 20,000 series, 120 samples each. */
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { SeriesCache } from '../../aggregator/rollup/unit-inputs.ts';
import { convertUnit, rollUnit } from '../../aggregator/rollup/unit.ts';
import { HOUR_MS } from '../../core/metering/hour.ts';
import { ROUNDS_THROUGH_LOG } from './ingest.ts';
import { best, type Figure } from './measure.ts';
import { asLogged, INGEST_CONFIG, QUIET, SCRAPE_MS, SETTINGS, type Workbench } from './workbench.ts';

const ROUNDS_PER_HOUR = 120;
const FLOOR = 2_000_000;
/** Past the offsets of the log, where no journal row is yet. */
const FIRST_OFFSET = 1_000_000;
const ROUNDS_PER_BATCH = 2;
/** How the roll-up's loop rests between passes (aggregator/rollup/roll-up.ts). */
const REST_PER_WORK = 2;
const MIN_REST_SECONDS = 1;
const MAX_REST_SECONDS = 30;

export async function* rollUpFigures(bench: Workbench): AsyncGenerator<Figure | string> {
  const { store, hour } = bench;
  await fill(bench, ROUNDS_THROUGH_LOG + 1, ROUNDS_PER_HOUR);
  const unit = { cluster: 'bench', hour };
  const options = {
    settings: SETTINGS,
    cache: new SeriesCache(),
    openHour: hour,
    mark: async () => undefined,
  };
  await rollUnit(store, { cluster: 'bench', hour: hour - HOUR_MS }, { ...options, isOpen: false });

  const refresh = await best(3, () => rollUnit(store, unit, { ...options, isOpen: true }));
  const { samples } = refresh.result;
  yield {
    name: 'samples -> usage, refresh of the open hour',
    count: samples,
    of: 'samples',
    measured: refresh,
  };
  yield freshness(refresh.wallSeconds);

  const settled = await best(3, () => rollUnit(store, unit, { ...options, isOpen: false }));
  const name = 'samples -> usage, hour rolled up for good';
  yield { name, count: samples, of: 'samples', measured: settled, floor: FLOOR };

  const read = await best(3, () => convertUnit(store, unit, options));
  yield { name: '  reading and folding alone', count: samples, of: 'samples', measured: read };
}

/** A sample that just missed a refresh waits for its end, for the rest of the loop and for the next refresh. */
function freshness(refreshSeconds: number): string {
  const restSeconds = Math.min(MAX_REST_SECONDS, Math.max(MIN_REST_SECONDS, refreshSeconds * REST_PER_WORK));
  const oldest = (2 * refreshSeconds + restSeconds).toFixed(1);
  return `  an open hour of that size is at most ${oldest} s behind its samples (refresh, rest, refresh)`;
}

/** Rounds of the hour that did not go through the log; their figures are those of `parts.ts`. */
async function fill({ store, clock, records, hour }: Workbench, from: number, to: number): Promise<void> {
  const ingest = new Ingest(INGEST_CONFIG, { store, clock, facts: QUIET });
  for (let round = from; round <= to; round += ROUNDS_PER_BATCH) {
    const times = Array.from({ length: Math.min(ROUNDS_PER_BATCH, to - round + 1) }, (_, i) => round + i);
    const batch = times.flatMap((n) => records.scrape(hour + n * SCRAPE_MS));
    await ingest.take(asLogged(batch, FIRST_OFFSET + round * batch.length));
  }
}
