/** (b) From samples to usage: one hour of 20,000 series, 120 samples each; then days of hours that are small. */
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { EVERYTHING_KEPT } from '../../aggregator/ledger/erasure/kept-hours.ts';
import { restAfterMs } from '../../aggregator/ledger/accounts.ts';
import { convertSpan } from '../../aggregator/rollup/convert.ts';
import { rollSpan } from '../../aggregator/rollup/roll-span.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { SeriesCache } from '../../aggregator/rollup/span-inputs.ts';
import { HOUR_MS } from '../../core/metering/hour.ts';
import { AlloyRecords } from './alloy-records.ts';
import { ROUNDS_THROUGH_LOG } from './ingest.ts';
import { best, measure, type Figure, type Measured } from './measure.ts';
import { asLogged, INGEST_CONFIG, QUIET, SCRAPE_MS, SETTINGS, type Workbench } from './workbench.ts';

const ROUNDS_PER_HOUR = 120;
const FLOOR = 2_000_000;
/** Past the offsets of the log, where no journal row is yet. */
const FIRST_OFFSET = 1_000_000;
const ROUNDS_PER_BATCH = 2;
/** A simulated cluster: 264 series, scraped four times an hour. */
const SMALL = { seed: 20_261_002, nodes: 3, podsPerNode: 22 };
const SMALL_SCRAPE_MS = 900_000;

export async function* rollUpFigures(bench: Workbench): AsyncGenerator<Figure | string> {
  const { store, hour } = bench;
  await fill(bench, ROUNDS_THROUGH_LOG + 1, ROUNDS_PER_HOUR);
  const span = { cluster: 'bench', first: hour, last: hour };
  const before = { cluster: 'bench', first: hour - HOUR_MS, last: hour - HOUR_MS };
  const options = {
    settings: SETTINGS,
    cache: new SeriesCache(),
    openHour: hour,
    kept: EVERYTHING_KEPT,
    mark: async () => undefined,
    markForLedger: async () => undefined,
  };
  await rollSpan(store, before, { ...options, isOpen: false });

  const refresh = await best(3, () => rollSpan(store, span, { ...options, isOpen: true }));
  const samples = refresh.result?.[0]?.samples ?? 0;
  yield {
    name: 'samples -> usage, refresh of the open hour',
    count: samples,
    of: 'samples',
    measured: refresh,
  };
  yield freshness(refresh.wallSeconds);

  const settled = await best(3, () => rollSpan(store, span, { ...options, isOpen: false }));
  const name = 'samples -> usage, hour rolled up for good';
  yield { name, count: samples, of: 'samples', measured: settled, floor: FLOOR };

  const read = await best(3, () => convertSpan(store, span, options));
  yield { name: '  reading and folding alone', count: samples, of: 'samples', measured: read };
  yield* smallHours(bench);
}

/** As a backlog is worked off: everything marked, by passes of the real loop. */
async function* smallHours(bench: Workbench): AsyncGenerator<Figure | string> {
  const ways = [
    { name: 'small hours, caught up in spans', cluster: 'spans', spans: {}, hours: 480 },
    { name: '  beside it: one by one', cluster: 'alone', spans: { hours: 1 }, hours: 24 },
  ].map((way) => ({
    ...way,
    rollUp: new RollUp({ settings: SETTINGS, spans: way.spans }, { ...bench, facts: QUIET }),
  }));
  // What the large hour left marked is not part of it.
  for (const { rollUp } of ways) await rollUp.pass();
  for (const { name, cluster, hours, rollUp } of ways) {
    await fillSmall(bench, cluster, hours);
    const caughtUp: Measured<number> = await measure(() => rollUp.pass());
    yield { name, count: caughtUp.result, of: 'units', measured: caughtUp };
    yield `  ${((caughtUp.cpuSeconds / caughtUp.result) * 1000).toFixed(1)} CPU-ms for each unit`;
  }
}

async function fillSmall({ store, clock, hour }: Workbench, cluster: string, hours: number): Promise<void> {
  const records = new AlloyRecords({ ...SMALL, cluster });
  const ingest = new Ingest(INGEST_CONFIG, { store, clock, facts: QUIET });
  const scrapes = (hours * HOUR_MS) / SMALL_SCRAPE_MS;
  const batch = Array.from({ length: scrapes }, (_, i) => hour + (i + 1) * SMALL_SCRAPE_MS).flatMap((t) => [
    records.namespaceLabels(t),
    ...records.scrape(t),
  ]);
  await ingest.take(asLogged(batch, FIRST_OFFSET));
}

/** A sample that just missed a refresh waits for its end, for the rest of the loop and for the next refresh. */
function freshness(refreshSeconds: number): string {
  const oldest = (2 * refreshSeconds + restAfterMs(refreshSeconds * 1000) / 1000).toFixed(1);
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
