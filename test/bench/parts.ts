/** The parts of (a) on their own, each beside another way to do the same. */
import { RecordReader } from '../../aggregator/ingest/record-reader.ts';
import type { SampleColumns } from '../../aggregator/ingest/sample-columns.ts';
import { blockStructure, nativeBlock, type Column } from '../../aggregator/store/native-block.ts';
import type { BlockInsert } from '../../aggregator/store/usage-store.ts';
import { MEASURED_METERS } from '../../core/metering/catalogue.ts';
import { owningHour } from '../../core/metering/hour.ts';
import { publishedMetricsData } from '../support/published-otlp.ts';
import { best, measure, type Figure } from './measure.ts';
import { asLogged, INGEST_CONFIG, SCRAPE_MS, type Workbench } from './workbench.ts';

const DECODE_ROUNDS = 20;
const INSERT_ROUNDS = 10;
/** Protobufjs takes its time; a few records tell enough. */
const PROTOBUFJS_ROUNDS = 2;
/** Rounds in one batch: about as many bytes as the aggregator reads at once. */
const BATCH_RECORDS = 40;

export async function* decodeFigures({ records, hour }: Workbench): AsyncGenerator<Figure> {
  const rounds = Array.from({ length: DECODE_ROUNDS }, (_, i) =>
    asLogged(records.scrape(hour + (i + 1) * SCRAPE_MS), i * BATCH_RECORDS),
  );
  const bytes = rounds.flat().reduce((sum, record) => sum + record.value.length, 0);
  const reader = new RecordReader(INGEST_CONFIG);
  reader.read(rounds[0] ?? []);
  const ours = await best(3, async () =>
    rounds.reduce((sum, round) => sum + reader.read(round).samples.length, 0),
  );
  const megabytes = Math.round(bytes / 1e6);
  yield { name: `  decode and admit (${megabytes} MB)`, count: ours.result, of: 'samples', measured: ours };

  const some = rounds.slice(0, PROTOBUFJS_ROUNDS).flat();
  const theirs = await best(
    3,
    async () => some.map(({ value }) => publishedMetricsData.decode(value)).length,
  );
  const count = PROTOBUFJS_ROUNDS * records.seriesCount;
  yield { name: '    beside it: protobufjs, decoding alone', count, of: 'samples', measured: theirs };
}

/** Into tables of their own, alike in everything: what is inserted there is no sample of anybody. */
export async function* insertFigures({ store, records, hour }: Workbench): AsyncGenerator<Figure> {
  for (const table of ['bench_block', 'bench_json']) await store.command(`CREATE TABLE ${table} AS samples`);
  const batches = Array.from({ length: INSERT_ROUNDS }, (_, i) => {
    const round = asLogged(records.scrape(hour + (i + 1) * SCRAPE_MS), i * BATCH_RECORDS);
    return new RecordReader(INGEST_CONFIG).read(round).samples;
  });
  const count = batches.reduce((sum, samples) => sum + samples.length, 0);
  const blocks = batches.map(blockInsert);
  const block = await measure(() => eachOf(blocks, (insert) => store.insertBlock(insert)));
  yield { name: '  insert as Native blocks', count, of: 'samples', measured: block };

  const rows = batches.map(jsonRows);
  const json = await measure(() => eachOf(rows, (batch) => store.insert('bench_json', batch)));
  yield { name: '    beside it: the same as JSONEachRow', count, of: 'samples', measured: json };
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (const item of items) await work(item);
}

function blockInsert(samples: SampleColumns): BlockInsert {
  const { t, value, start, offset, target, series, meter } = samples.columns();
  const columns: Column[] = [
    { name: 't', type: 'Int64', data: t },
    { name: 'value', type: 'Int64', data: value },
    { name: 'start', type: 'Int64', data: start },
    { name: 'offset', type: 'Int64', data: offset },
    { name: 'target', type: 'UInt64', data: target },
    { name: 'series', type: 'FixedString(16)', data: series },
    { name: 'meter', type: 'UInt8', data: meter },
  ];
  const into = {
    hour: "toDateTime(intDiv(t - 1, 3600000) * 3600, 'UTC')",
    cluster: "'bench'",
    meter: '{meters:Array(String)}[meter + 1]',
    series: 'series',
    t: 't',
    start: 'start',
    target: 'target',
    version: 'toUInt64(value + 1)',
    topic: "'usage.bench'",
    partition: '0',
    offset: 'offset',
  };
  return {
    table: 'bench_block',
    columns: Object.keys(into),
    structure: blockStructure(columns),
    select: Object.values(into),
    parameters: { meters: MEASURED_METERS.map(({ name }) => name) },
    block: nativeBlock(samples.length, columns),
  };
}

/** JSON cannot carry 16 bytes of an id: as many hexadecimal digits of it cost the same. */
const ID_BYTES = 16;

/** The same samples as objects, the way one would insert them without a block format. */
function jsonRows(samples: SampleColumns): Record<string, unknown>[] {
  const { t, value, start, offset, target, series, meter } = samples.columns();
  return Array.from({ length: samples.length }, (_, i) => ({
    hour: owningHour(Number(t[i])) / 1000,
    cluster: 'bench',
    meter: MEASURED_METERS[meter[i] ?? 0]?.name,
    series: Buffer.from(series.subarray(i * ID_BYTES, (i + 0.5) * ID_BYTES)).toString('hex'),
    t: t[i],
    start: start[i],
    target: target[i],
    version: (value[i] ?? 0n) + 1n,
    topic: 'usage.bench',
    partition: 0,
    offset: offset[i],
  }));
}
