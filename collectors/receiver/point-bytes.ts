/**
 * Samples of a remote write -> OTLP NumberDataPoints, one behind the other. Labels are copied from message to
 * point without being decoded, for this is done to every label of every sample.
 *
 * `{pod="web-0"} 7 @1790000000000` is time, value and one attribute: `19 …8 bytes… 21 …8 bytes… 3a 0e 0a 03
 * pod 12 07 0a 05 web-0`.
 */
import { frameLength, writeVarint } from '../../core/protobuf/message-writer.ts';
import { I64, LEN, tag, VARINT } from '../../core/protobuf/message-reader.ts';
import { FLAG_NO_RECORDED_VALUE } from '../../core/otlp/metrics-data.ts';
import type { Labels } from '../../core/remote-write/labels.ts';
import type { PushedSample } from '../../core/remote-write/write-request.ts';
import { Scratch } from '../../core/runtime/scratch.ts';

/** Labels that have a place of their own, by index; -1: there is none. */
export interface Named {
  readonly name: number;
  readonly job: number;
  readonly instance: number;
  readonly cluster: number;
}

const NANOS_PER_MS = 1_000_000n;
const START = tag(2, I64);
const TIME = tag(3, I64);
const VALUE = tag(4, I64);
const ATTRIBUTE = tag(7, LEN);
const FLAGS = tag(8, VARINT);
const KEY = tag(1, LEN);
const ANY_VALUE = tag(2, LEN);
const STRING = tag(1, LEN);
/** What a point has beside its attributes at most: start, time, and value or flags, with their tags. */
export const FIELD_BYTES = 27;
const INITIAL_BYTES = 64 * 1024;
/** One request is written at a time, and copied into records before the next. */
const SCRATCH = new Scratch(8 * 1024 * 1024);
/** Below this a loop is faster than a call. */
const LONG_TEXT = 40;

export class PointBytes {
  readonly #source: Buffer;
  readonly #maxBytes: number;
  #bytes: Buffer;
  #view: DataView;
  #at = 0;
  #isFull = false;
  /** Attributes of the series: where they were written first, and how long they are. */
  #labels: { readonly labels: Labels; readonly named: Named } | undefined;
  #attributesAt = 0;
  #attributesLength = 0;

  constructor(source: Buffer, maxBytes: number) {
    this.#source = source;
    this.#maxBytes = maxBytes;
    this.#bytes = SCRATCH.take(INITIAL_BYTES);
    this.#view = viewOf(this.#bytes);
  }

  /** All points; another one after each that was written, and only until those of another request are. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** There were more than fit: points are missing. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Samples of this series may follow. What its labels take in each point. */
  begin(labels: Labels, named: Named): number {
    let length = 0;
    for (let i = 0; i < labels.count; i++) {
      if (isAttribute(named, i)) length += frameLength(7, keyValueLength(labels, i));
    }
    this.#labels = { labels, named };
    this.#attributesLength = length;
    return length;
  }

  /** Adds begin and end of the point. */
  write({ timeMs, valueAt, isStale, startMs = 0 }: PushedSample, places: number[]): void {
    if (!this.#reserve(FIELD_BYTES + this.#attributesLength)) return;
    const begin = this.#at;
    // A start after its sample says nothing; before 1970 neither.
    if (startMs > 0 && startMs <= timeMs) this.#time(START, startMs);
    this.#time(TIME, timeMs);
    if (!isStale) this.#value(valueAt);
    this.#attributes();
    if (isStale) {
      this.#at = writeVarint(this.#bytes, writeVarint(this.#bytes, this.#at, FLAGS), FLAG_NO_RECORDED_VALUE);
    }
    places.push(begin, this.#at);
  }

  #time(field: number, timeMs: number): void {
    this.#bytes[this.#at] = field;
    this.#view.setBigUint64(this.#at + 1, BigInt(timeMs) * NANOS_PER_MS, true);
    this.#at += 9;
  }

  /** Bit by bit, whatever number it is or is not. */
  #value(valueAt: number | undefined): void {
    this.#bytes[this.#at++] = VALUE;
    if (valueAt === undefined) this.#bytes.fill(0, this.#at, this.#at + 8);
    else this.#copy(valueAt, valueAt + 8, this.#at);
    this.#at += 8;
  }

  #attributes(): void {
    const told = this.#labels;
    if (told === undefined) {
      const from = this.#attributesAt;
      this.#bytes.copyWithin(this.#at, from, from + this.#attributesLength);
      this.#at += this.#attributesLength;
      return;
    }
    this.#attributesAt = this.#at;
    const { labels, named } = told;
    for (let i = 0; i < labels.count; i++) if (isAttribute(named, i)) this.#attribute(labels, i);
    this.#labels = undefined;
  }

  #attribute(labels: Labels, index: number): void {
    const out = this.#bytes;
    const nameBegin = labels.nameBegin(index);
    const nameEnd = labels.nameEnd(index);
    const valueBegin = labels.valueBegin(index);
    const valueEnd = labels.valueEnd(index);
    let at = this.#at;
    out[at++] = ATTRIBUTE;
    at = writeVarint(out, at, keyValueLength(labels, index));
    out[at++] = KEY;
    at = writeVarint(out, at, nameEnd - nameBegin);
    at = this.#copy(nameBegin, nameEnd, at);
    out[at++] = ANY_VALUE;
    at = writeVarint(out, at, frameLength(1, valueEnd - valueBegin));
    out[at++] = STRING;
    at = writeVarint(out, at, valueEnd - valueBegin);
    this.#at = this.#copy(valueBegin, valueEnd, at);
  }

  /** From the message; where the copy ends. */
  #copy(begin: number, end: number, at: number): number {
    const source = this.#source;
    const out = this.#bytes;
    if (end - begin > LONG_TEXT) return at + source.copy(out, at, begin, end);
    let to = at;
    for (let from = begin; from < end; from++) out[to++] = source[from] ?? 0;
    return to;
  }

  #reserve(bytes: number): boolean {
    const needed = this.#at + bytes;
    if (needed > this.#maxBytes) {
      this.#isFull = true;
      return false;
    }
    if (needed <= this.#bytes.length) return true;
    const grown = SCRATCH.take(Math.min(this.#maxBytes, Math.max(needed, 2 * this.#bytes.length)));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
    this.#view = viewOf(grown);
    return true;
  }
}

function isAttribute({ name, job, instance }: Named, index: number): boolean {
  return index !== name && index !== job && index !== instance;
}

function keyValueLength(labels: Labels, index: number): number {
  const name = labels.nameEnd(index) - labels.nameBegin(index);
  const value = labels.valueEnd(index) - labels.valueBegin(index);
  return frameLength(1, name) + frameLength(2, frameLength(1, value));
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
