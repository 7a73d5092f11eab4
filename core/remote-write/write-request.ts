/**
 * Remote write's messages as they are sent: `prometheus.WriteRequest` (1.0) and
 * `io.prometheus.write.v2.Request` (2.0), after decompression.
 *
 * Output: series with their samples, one after the other, or why the message as a whole cannot be used; never
 * an exception. A series that breaks a rule of its own (labels that repeat, a reference to no symbol) keeps
 * its counts and gets a problem, so that the others can be written. Labels and values stay in the message, as
 * places: nothing is decoded that nobody asks for. Native histograms and exemplars are counted, not read: no
 * usage is in them. Metadata is passed over: the catalogue knows the kinds.
 */
import { I64, LEN, MessageReader, tag, VARINT, type Frame } from '../protobuf/message-reader.ts';
import { Labels, type LabelLimits } from './labels.ts';
import { readSymbols, type Symbols } from './symbols.ts';
import { isText } from './text.ts';

export type WriteVersion = '1.0' | '2.0';

export interface WriteLimits extends LabelLimits {
  readonly series: number;
  /** Samples, histograms and exemplars together. */
  readonly samples: number;
}

export interface PushedSample {
  readonly timeMs: number;
  /** Where the eight bytes of its value stand; undefined: it is 0. */
  readonly valueAt: number | undefined;
  /** It says that the series has ended, and has no value. */
  readonly isStale: boolean;
  /** Undefined: not told. */
  readonly startMs: number | undefined;
}

/** Stands until the next series is read. */
export interface PushedSeries {
  readonly labels: Labels;
  readonly samples: readonly PushedSample[];
  readonly histograms: number;
  readonly exemplars: number;
}

export type ReadWrite =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: 'malformed' | 'too_large'; readonly detail: string };

/** The NaN by which Prometheus says that a series has ended. */
const STALE_HIGH = 0x7ff00000;
const STALE_LOW = 2;

/** Each series goes to `take`; of a message that cannot be used, those before the place where that shows. */
export function readWriteRequest(
  message: Uint8Array,
  { version, limits }: { readonly version: WriteVersion; readonly limits: WriteLimits },
  take: (series: PushedSeries) => void,
): ReadWrite {
  if (version === '1.0') return readAll(message, { ...FIELDS_1, limits, symbols: undefined }, take);
  const symbols = readSymbols(message, limits.series * limits.labels);
  if (symbols === 'malformed') return malformed('the message ends early or is no Request');
  if (symbols === 'too_many') return tooLarge('more symbols than its series may have labels');
  if (symbols.count === 0 || symbols.end(0) > symbols.begin(0))
    return malformed('the first symbol has to be the empty string');
  return readAll(message, { ...FIELDS_2, limits, symbols }, take);
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
/** Of a label that is not told: empty. */
const NOWHERE: Frame = { begin: 0, end: 0 };

interface Reading extends Fields {
  readonly limits: WriteLimits;
  /** Undefined: labels are sent as they are. */
  readonly symbols: Symbols | undefined;
}

function malformed(detail: string): ReadWrite {
  return { ok: false, reason: 'malformed', detail };
}

function tooLarge(detail: string): ReadWrite {
  return { ok: false, reason: 'too_large', detail };
}

function readAll(message: Uint8Array, reading: Reading, take: (series: PushedSeries) => void): ReadWrite {
  const { limits } = reading;
  const reader = new MessageReader(message);
  const series = new SeriesReader(reader, reading);
  const end = message.byteLength;
  let count = 0;
  let left = limits.samples;
  while (reader.more(end)) {
    const found = reader.varint();
    if (found !== tag(reading.series, LEN)) {
      if (found >>> 3 === reading.series) reader.fail();
      else reader.skip(found, end);
      continue;
    }
    if (count++ === limits.series) return tooLarge(`more than ${limits.series} series`);
    const one = series.read(reader.frame(end), left);
    left -= one.samples.length + one.histograms + one.exemplars;
    if (left < 0) return tooLarge(`more than ${limits.samples} samples`);
    if (!reader.isBad) take(one);
  }
  return reader.isBad ? malformed('the message ends early or is of another kind') : { ok: true };
}

class SeriesReader {
  readonly #reader: MessageReader;
  readonly #reading: Reading;
  readonly #labels: Labels;
  /** The reference to a name that waits for that of its value. */
  #pending = NONE;

  constructor(reader: MessageReader, reading: Reading) {
    this.#reader = reader;
    this.#reading = reading;
    this.#labels = new Labels(reader.bytes, reading.limits);
  }

  read(end: number, samplesLeft: number): PushedSeries {
    const reader = this.#reader;
    const reading = this.#reading;
    const samples: PushedSample[] = [];
    let createdMs = 0;
    let histograms = 0;
    let exemplars = 0;
    this.#labels.clear();
    this.#pending = NONE;
    // One above the limit is enough to tell.
    while (samples.length + histograms + exemplars <= samplesLeft && reader.more(end)) {
      const found = reader.varint();
      const field = found >>> 3;
      if (found === tag(SAMPLES, LEN)) {
        samples.push(readSample(reader, reader.frame(end), reading.start));
      } else if (field === reading.labels) this.#readLabels(found, end);
      else if (found === tag(reading.created, VARINT)) createdMs = reader.int64();
      else {
        if (field === SAMPLES) reader.fail();
        if (field === reading.histograms) histograms++;
        if (field === reading.exemplars) exemplars++;
        reader.skip(found, end);
      }
    }
    if (this.#pending !== NONE) this.#labels.fail('bad_label');
    this.#labels.done();
    return {
      labels: this.#labels,
      samples: createdMs === 0 ? samples : samples.map((sample) => startedAt(sample, createdMs)),
      histograms,
      exemplars,
    };
  }

  #readLabels(found: number, end: number): void {
    const reader = this.#reader;
    const { symbols, labels } = this.#reading;
    if (symbols === undefined) this.#readLabel(found, end);
    else if (found === tag(labels, VARINT)) this.#refer(symbols, reader.varint());
    else if (found === tag(labels, LEN)) {
      // Packed, as encoders write them; a decoder has to take them one by one, too.
      const to = reader.frame(end);
      while (reader.more(to)) this.#refer(symbols, reader.varint());
    } else reader.fail();
  }

  /** References come in pairs: a name, then its value. */
  #refer(symbols: Symbols, reference: number): void {
    const name = this.#pending;
    this.#pending = name === NONE ? reference : NONE;
    if (name === NONE) return;
    const ofName = { begin: symbols.begin(name), end: symbols.end(name) };
    const ofValue = { begin: symbols.begin(reference), end: symbols.end(reference) };
    if (!this.#labels.fits(ofName.end - ofName.begin, ofValue.end - ofValue.begin)) return;
    if (symbols.isText(name) && symbols.isText(reference)) this.#labels.add(ofName, ofValue);
    else this.#labels.fail('bad_label');
  }

  #readLabel(found: number, end: number): void {
    const reader = this.#reader;
    if ((found & 7) !== LEN) {
      reader.fail();
      return;
    }
    const to = reader.frame(end);
    let name: Frame = NOWHERE;
    let value: Frame = NOWHERE;
    while (reader.more(to)) {
      const inner = reader.varint();
      if (inner === tag(1, LEN)) name = placeOf(reader, to);
      else if (inner === tag(2, LEN)) value = placeOf(reader, to);
      else if (inner >>> 3 === 1 || inner >>> 3 === 2) reader.fail();
      else reader.skip(inner, to);
    }
    if (reader.isBad || !this.#labels.fits(name.end - name.begin, value.end - value.begin)) return;
    const { bytes } = reader;
    if (isText(bytes, name.begin, name.end) && isText(bytes, value.begin, value.end))
      this.#labels.add(name, value);
    else this.#labels.fail('bad_label');
  }
}

/** Moves past the frame that begins here. */
function placeOf(reader: MessageReader, end: number): Frame {
  const to = reader.frame(end);
  const begin = reader.at;
  reader.at = to;
  return { begin, end: to };
}

/** A start of the sample's own wins over that of its series. */
function startedAt(sample: PushedSample, createdMs: number): PushedSample {
  return sample.startMs === undefined ? { ...sample, startMs: createdMs } : sample;
}

function readSample(reader: MessageReader, end: number, startField: number): PushedSample {
  let valueAt: number | undefined;
  let timeMs = 0;
  let startMs = 0;
  while (reader.more(end)) {
    const found = reader.varint();
    if (found === tag(1, I64)) valueAt = reader.fixed64(end);
    else if (found === tag(2, VARINT)) timeMs = reader.int64();
    else if (found === tag(startField, VARINT)) startMs = reader.int64();
    else if (found >>> 3 === 1 || found >>> 3 === 2) reader.fail();
    else reader.skip(found, end);
  }
  const isStale = valueAt !== undefined && !reader.isBad && isStaleAt(reader.view, valueAt);
  return { timeMs, valueAt, isStale, startMs: startMs === 0 ? undefined : startMs };
}

function isStaleAt(view: DataView, at: number): boolean {
  return view.getUint32(at + 4, true) === STALE_HIGH && view.getUint32(at, true) === STALE_LOW;
}
