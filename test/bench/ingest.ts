/** (a) From the log to durable, journalled, committed samples. */
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import type { LogAppend, LogConsumer } from '../../core/eventlog/sample-log.ts';
import type { FactFields, FactName, FactSink } from '../../core/runtime/facts.ts';
import { best, measure, type Figure, type Measured } from './measure.ts';
import { INGEST_CONFIG, SCRAPE_MS, type Workbench } from './workbench.ts';

const RUNS = 3;
const ROUNDS_PER_RUN = 10;
/** Rounds of the hour that go through the log: twice the runs, with small batches and with large ones. */
export const ROUNDS_THROUGH_LOG = 2 * RUNS * ROUNDS_PER_RUN;
const FLOOR = 150_000;
const LARGE_BATCH_BYTES = 32 * 1024 * 1024;

export async function* ingestFigures(bench: Workbench): AsyncGenerator<Figure> {
  const { records, hour } = bench;
  const consumer = await bench.log.consumer({ group: 'bench', topics: ['usage.bench'] });
  const meter = new Meter(bench, consumer);
  // At the end of the hour before, so that the measured hour starts from closings.
  const first = hour - 2 * SCRAPE_MS;
  await meter.append([records.namespaceLabels(first), ...records.scrape(first)]);
  const cold = await measure(() => meter.consume());
  yield { name: 'record -> durable, every series new', count: cold.result, of: 'samples', measured: cold };

  await meter.append(records.scrape(hour - SCRAPE_MS));
  await meter.consume();
  const steady = await steadyRuns(meter, bench, 1);
  const name = 'record -> durable, steady';
  yield { name, count: steady.result, of: 'samples', measured: steady, floor: FLOOR };

  const large = new Meter(bench, consumer, LARGE_BATCH_BYTES);
  await large.append(records.scrape(hour));
  await large.consume();
  const catchingUp = await steadyRuns(large, bench, 1 + RUNS * ROUNDS_PER_RUN);
  yield { name: '  in batches of 32 MB', count: catchingUp.result, of: 'samples', measured: catchingUp };
  await consumer.close();
}

async function steadyRuns(meter: Meter, bench: Workbench, firstRound: number): Promise<Measured<number>> {
  const { records, hour } = bench;
  for (let round = firstRound; round < firstRound + RUNS * ROUNDS_PER_RUN; round++) {
    await meter.append(records.scrape(hour + round * SCRAPE_MS));
  }
  return await best(RUNS, () => meter.consume(ROUNDS_PER_RUN * records.seriesCount));
}

/** Runs ingest until what was appended, or a part of it, is committed. */
class Meter implements FactSink {
  readonly #bench: Workbench;
  readonly #consumer: LogConsumer;
  readonly #ingest: Ingest;
  #waiting = 0;
  #samples = 0;
  #enough = Infinity;
  #done = new AbortController();

  constructor(bench: Workbench, consumer: LogConsumer, maxBatchBytes = INGEST_CONFIG.maxBatchBytes) {
    this.#bench = bench;
    this.#consumer = consumer;
    const config = { ...INGEST_CONFIG, maxBatchBytes };
    this.#ingest = new Ingest(config, { store: bench.store, clock: bench.clock, facts: this });
  }

  async append(records: readonly LogAppend[]): Promise<void> {
    await this.#bench.log.append(records);
    this.#waiting += records.length;
  }

  /** Samples that were stored; it may be a batch more than `enough`. */
  async consume(enough = Infinity): Promise<number> {
    this.#samples = 0;
    this.#enough = enough;
    this.#done = new AbortController();
    if (this.#waiting > 0) await this.#ingest.run(this.#consumer, this.#done.signal);
    return this.#samples;
  }

  event<N extends FactName>(name: N, fields: FactFields<N>): void {
    const counts = fields as Readonly<Record<string, number>>;
    if (name === 'samplesInserted') this.#samples += counts['count'] ?? 0;
    if (name === 'batchCommitted') this.#waiting -= counts['records'] ?? 0;
    if (this.#waiting === 0 || this.#samples >= this.#enough) this.#done.abort();
  }
}
