/**
 * Remote write's messages as they are sent: `prometheus.WriteRequest` (1.0) and
 * `io.prometheus.write.v2.Request` (2.0), after decompression.
 *
 * Output: series with their samples, or why the message as a whole cannot be used; never an exception. A
 * series that breaks a rule of its own (labels that repeat, a reference to no symbol) keeps its counts and
 * gets a problem, so that the others can be written. Native histograms and exemplars are counted, not read:
 * no usage is in them. Metadata is passed over: the catalogue knows the kinds. Sizes have limits before
 * anything is made of them: memory is a small multiple of the message.
 */
import { I64, LEN, MessageReader, tag, VARINT } from '../protobuf/message-reader.ts';
import { LabelSet, type LabelLimits, type SeriesLabels } from './label-set.ts';
import { readSymbols, type Symbols } from './symbols.ts';

export type WriteVersion = '1.0' | '2.0';

export interface WriteLimits extends LabelLimits {
  readonly series: number;
  /** Samples, histograms and exemplars together. */
  readonly samples: number;
}

export interface PushedSample {
  readonly timeMs: number;
  /** Undefined: a staleness marker. */
  readonly value: number | undefined;
  /** Undefined: not told. */
  readonly startMs: number | undefined;
}

export interface PushedSeries extends SeriesLabels {
  readonly samples: readonly PushedSample[];
  readonly histograms: number;
  readonly exemplars: number;
}

export type DecodedWrite =
  | { readonly ok: true; readonly series: readonly PushedSeries[] }
  | { readonly ok: false; readonly reason: 'malformed' | 'too_large'; readonly detail: string };

/** The NaN by which Prometheus says that a series has ended. */
const STALE_HIGH = 0x7ff00000;
const STALE_LOW = 2;

export function decodeWriteRequest(
  message: Uint8Array,
  version: WriteVersion,
  limits: WriteLimits,
): DecodedWrite {
  if (version === '1.0') return readAll(message, { ...FIELDS_1, limits, symbols: undefined });
  const symbols = readSymbols(message, limits.series * limits.labels);
  if (symbols === 'malformed') return malformed('the message ends early or is no Request');
  if (symbols === 'too_many') return tooLarge('more symbols than its series may have labels');
  if (symbols.textOf(0) !== '') return malformed('the first symbol has to be the empty string');
  return readAll(message, { ...FIELDS_2, limits, symbols });
}

/** Where the two versions keep what. */
interface Fields {
  readonly series: number;
  readonly labels: number;
  readonly exemplars: number;
  readonly histograms: number;
  /** Of a sample. */
  readonly start: number;
  /** Of a series: one start for all its samples, in earlier drafts of 2.0. */
  readonly created: number;
}

/** No field has this number. */
const NONE = -1;
const FIELDS_1: Fields = { series: 1, labels: 1, exemplars: 3, histograms: 4, start: NONE, created: NONE };
const FIELDS_2: Fields = { series: 5, labels: 1, exemplars: 4, histograms: 3, start: 3, created: 6 };
const SAMPLES = 2;

interface Reading extends Fields {
  readonly limits: WriteLimits;
  /** Undefined: labels are sent as they are. */
  readonly symbols: Symbols | undefined;
}

function malformed(detail: string): DecodedWrite {
  return { ok: false, reason: 'malformed', detail };
}

function tooLarge(detail: string): DecodedWrite {
  return { ok: false, reason: 'too_large', detail };
}

function readAll(message: Uint8Array, reading: Reading): DecodedWrite {
  const { limits } = reading;
  const reader = new MessageReader(message);
  const end = message.byteLength;
  const series: PushedSeries[] = [];
  let left = limits.samples;
  while (reader.more(end)) {
    const found = reader.varint();
    if (found !== tag(reading.series, LEN)) {
      if (found >>> 3 === reading.series) reader.fail();
      else reader.skip(found, end);
      continue;
    }
    if (series.length === limits.series) return tooLarge(`more than ${limits.series} series`);
    const one = readSeries(reader, reader.frame(end), { ...reading, samplesLeft: left });
    left -= one.samples.length + one.histograms + one.exemplars;
    if (left < 0) return tooLarge(`more than ${limits.samples} samples`);
    series.push(one);
  }
  return reader.isBad ? malformed('the message ends early or is of another kind') : { ok: true, series };
}

interface SeriesReading extends Reading {
  readonly samplesLeft: number;
}

function readSeries(reader: MessageReader, end: number, reading: SeriesReading): PushedSeries {
  const labels = new LabelSet(reading.limits);
  const samples: PushedSample[] = [];
  let createdMs = 0;
  let histograms = 0;
  let exemplars = 0;
  while (reader.more(end)) {
    const found = reader.varint();
    const field = found >>> 3;
    if (found === tag(SAMPLES, LEN)) {
      const sample = readSample(reader, reader.frame(end), reading.start);
      // One above the limit is enough to tell.
      if (samples.length <= reading.samplesLeft) samples.push(sample);
    } else if (field === reading.labels) readLabels(reader, { found, end, reading, labels });
    else if (found === tag(reading.created, VARINT)) createdMs = reader.int64();
    else {
      if (field === SAMPLES) reader.fail();
      if (field === reading.histograms) histograms++;
      if (field === reading.exemplars) exemplars++;
      reader.skip(found, end);
    }
  }
  return {
    ...labels.done(),
    samples: createdMs === 0 ? samples : samples.map((sample) => startedAt(sample, createdMs)),
    histograms,
    exemplars,
  };
}

/** A start of the sample's own wins over that of its series. */
function startedAt(sample: PushedSample, createdMs: number): PushedSample {
  return sample.startMs === undefined ? { ...sample, startMs: createdMs } : sample;
}

function readSample(reader: MessageReader, end: number, startField: number): PushedSample {
  let value: number | undefined = 0;
  let timeMs = 0;
  let startMs = 0;
  while (reader.more(end)) {
    const found = reader.varint();
    if (found === tag(1, I64)) value = readValue(reader, end);
    else if (found === tag(2, VARINT)) timeMs = reader.int64();
    else if (found === tag(startField, VARINT)) startMs = reader.int64();
    else if (found >>> 3 === 1 || found >>> 3 === 2) reader.fail();
    else reader.skip(found, end);
  }
  return { timeMs, value, startMs: startMs === 0 ? undefined : startMs };
}

function readValue(reader: MessageReader, end: number): number | undefined {
  const begin = reader.fixed64(end);
  if (reader.isBad) return undefined;
  const isStale =
    reader.view.getUint32(begin + 4, true) === STALE_HIGH && reader.view.getUint32(begin, true) === STALE_LOW;
  return isStale ? undefined : reader.view.getFloat64(begin, true);
}

interface LabelReading {
  readonly found: number;
  readonly end: number;
  readonly reading: Reading;
  readonly labels: LabelSet;
}

function readLabels(reader: MessageReader, { found, end, reading, labels }: LabelReading): void {
  const { symbols } = reading;
  if (symbols === undefined) readLabel(reader, { found, end, labels });
  else if (found === tag(reading.labels, VARINT)) labels.refer(symbols, reader.varint());
  else if (found === tag(reading.labels, LEN)) {
    // Packed, as encoders write them; a decoder has to take them one by one, too.
    const to = reader.frame(end);
    while (reader.more(to)) labels.refer(symbols, reader.varint());
  } else reader.fail();
}

function readLabel(reader: MessageReader, { found, end, labels }: Omit<LabelReading, 'reading'>): void {
  if ((found & 7) !== LEN) {
    reader.fail();
    return;
  }
  const to = reader.frame(end);
  let name: Buffer = EMPTY;
  let value: Buffer = EMPTY;
  while (reader.more(to)) {
    const inner = reader.varint();
    if (inner === tag(1, LEN)) name = reader.take(to);
    else if (inner === tag(2, LEN)) value = reader.take(to);
    else if (inner >>> 3 === 1 || inner >>> 3 === 2) reader.fail();
    else reader.skip(inner, to);
  }
  labels.add(name, value);
}

const EMPTY = Buffer.alloc(0);
