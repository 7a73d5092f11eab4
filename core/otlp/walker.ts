/**
 * Reads OTLP MetricsData (protobuf) in place: no objects, no strings but the metric names. A visitor is shown
 * each point through one reused cursor; the bytes of a point's attributes are hashed as they pass, so that a
 * reader can look up what they mean and decode them only when it meets them for the first time.
 *
 * A message that is not well-formed (truncated, a known field of another wire type, a length beyond its
 * frame) yields `false`; what was shown of it until then must be taken back. Unknown fields are skipped.
 * Fields may come in any order: the Collector writes them last to first.
 */
const LEN = 2;
const I64 = 1;
const I32 = 5;
const VARINT = 0;

const tag = (field: number, wire: number): number => (field << 3) | wire;

/**
 * Where the kinds of points keep what: NumberDataPoint, Histogram-, ExponentialHistogram-, SummaryDataPoint.
 */
interface PointShape {
  readonly attributes: number;
  readonly flags: number;
  /** Field 4 is a count (an integer), not a double. */
  readonly counts: boolean;
}

const NUMBER: PointShape = { attributes: 7, flags: 8, counts: false };
const HISTOGRAM: PointShape = { attributes: 9, flags: 10, counts: true };
const EXPONENTIAL: PointShape = { attributes: 1, flags: 10, counts: true };
const SUMMARY: PointShape = { attributes: 7, flags: 8, counts: true };

/** Metric's data fields by number. */
const SHAPES: Readonly<Record<number, PointShape>> = {
  5: NUMBER,
  7: NUMBER,
  9: HISTOGRAM,
  10: EXPONENTIAL,
  11: SUMMARY,
};

const DELTA = 1;
export const NO_RECORDED_VALUE = 1;

export type ValueKind = 'none' | 'double' | 'integer';

/** One point, valid only during the visitor's call. 64-bit fields are given as unsigned halves. */
export class PointCursor {
  timeLow = 0;
  timeHigh = 0;
  startLow = 0;
  startHigh = 0;
  kind: ValueKind = 'none';
  double = 0;
  /** Bits of the double or of the integer. */
  valueLow = 0;
  valueHigh = 0;
  flags = 0;
  /** 128 bits over the attributes' bytes, seeded by `seed` of the walker. */
  hash0 = 0;
  hash1 = 0;
  hash2 = 0;
  hash3 = 0;
}

export interface OtlpVisitor {
  /** The resource that the next metrics belong to: the bytes of its message. */
  resource(message: Uint8Array): void;
  /** False: the points of this metric are not wanted. `counts`: its points are read as their counts. */
  metric(name: string, counts: boolean, delta: boolean): boolean;
  point(cursor: PointCursor): void;
}

export class OtlpWalker {
  readonly #visitor: OtlpVisitor;
  readonly #seed: Int32Array;
  readonly #cursor = new PointCursor();
  #bytes: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;
  #bad = false;
  #attributes = { tag: 0, from: 0, to: 0 };

  /** `seed`: four random 32-bit integers, so that nobody outside can prepare colliding labels. */
  constructor(visitor: OtlpVisitor, seed: Int32Array) {
    this.#visitor = visitor;
    this.#seed = seed;
  }

  /** True: the message is well-formed and was shown completely. */
  walk(message: Uint8Array): boolean {
    this.#bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
    this.#view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    this.#at = 0;
    this.#bad = false;
    const end = message.byteLength;
    while (this.#more(end)) {
      if (this.#isMessage(this.#varint(), 1)) this.#resourceMetrics(this.#frame(end));
    }
    return !this.#bad;
  }

  /**
   * The attributes of the point being shown, as [key bytes.., value message bytes..]; for the first meeting
   * only.
   */
  *attributes(): Generator<Uint8Array> {
    const { tag: attributeTag, from, to } = this.#attributes;
    let at = from;
    while (at < to) {
      const [found, afterTag] = varintAt(this.#bytes, at);
      const wire = found & 7;
      if (wire === LEN) {
        const [length, begin] = varintAt(this.#bytes, afterTag);
        if (found === attributeTag) yield this.#bytes.subarray(begin, begin + length);
        at = begin + length;
      } else if (wire === VARINT) {
        at = varintAt(this.#bytes, afterTag)[1];
      } else {
        at = afterTag + (wire === I64 ? 8 : 4);
      }
    }
  }

  #resourceMetrics(end: number): void {
    const begin = this.#at;
    let resource: Uint8Array = this.#bytes.subarray(begin, begin);
    while (this.#more(end)) {
      if (this.#isMessage(this.#varint(), 1)) resource = this.#take(this.#frame(end));
    }
    if (this.#bad) return;
    this.#visitor.resource(resource);
    this.#at = begin;
    while (this.#more(end)) {
      if (this.#isMessage(this.#varint(), 2)) this.#scopeMetrics(this.#frame(end));
    }
  }

  #scopeMetrics(end: number): void {
    while (this.#more(end)) {
      if (this.#isMessage(this.#varint(), 2)) this.#metric(this.#frame(end));
    }
  }

  #metric(end: number): void {
    const begin = this.#at;
    let name = '';
    while (this.#more(end)) {
      if (!this.#isMessage(this.#varint(), 1)) continue;
      const to = this.#frame(end);
      name = this.#bytes.toString('utf8', this.#at, to);
      this.#at = to;
    }
    this.#at = begin;
    while (this.#more(end)) {
      const found = this.#varint();
      const shape = SHAPES[found >>> 3];
      if (shape === undefined) this.#skip(found);
      else if ((found & 7) !== LEN) this.#bad = true;
      else this.#data(name, shape, this.#frame(end));
    }
  }

  #data(name: string, shape: PointShape, end: number): void {
    const begin = this.#at;
    let temporality = 0;
    while (this.#more(end)) {
      const found = this.#varint();
      if (found === tag(2, VARINT)) temporality = this.#varint();
      else if (found >>> 3 === 2) this.#bad = true;
      else this.#skip(found);
    }
    if (this.#bad) return;
    const wanted = this.#visitor.metric(name, shape.counts, temporality === DELTA);
    this.#at = begin;
    while (this.#more(end)) {
      if (this.#isMessage(this.#varint(), 1)) this.#point(shape, this.#frame(end), wanted);
    }
  }

  #point(shape: PointShape, end: number, wanted: boolean): void {
    const cursor = this.#cursor;
    this.#attributes.from = this.#at;
    this.#attributes.to = end;
    this.#attributes.tag = tag(shape.attributes, LEN);
    this.#reset(cursor, shape);
    while (this.#more(end)) this.#field(shape, cursor, end);
    if (!this.#bad && wanted) this.#visitor.point(cursor);
  }

  #field(shape: PointShape, cursor: PointCursor, end: number): void {
    const found = this.#varint();
    switch (found >>> 3) {
      case shape.attributes:
        if ((found & 7) !== LEN) this.#bad = true;
        else this.#hash(cursor, this.#frame(end));
        return;
      case 2:
        if (!this.#fixed64(found, end)) return;
        cursor.startLow = this.#view.getUint32(this.#at - 8, true);
        cursor.startHigh = this.#view.getUint32(this.#at - 4, true);
        return;
      case 3:
        if (!this.#fixed64(found, end)) return;
        cursor.timeLow = this.#view.getUint32(this.#at - 8, true);
        cursor.timeHigh = this.#view.getUint32(this.#at - 4, true);
        return;
      case 4:
        if (this.#fixed64(found, end)) this.#value(cursor, shape.counts ? 'integer' : 'double');
        return;
      case 6:
        if (shape.counts) this.#skip(found);
        else if (this.#fixed64(found, end)) this.#value(cursor, 'integer');
        return;
      case shape.flags:
        if ((found & 7) === VARINT) cursor.flags = this.#varint();
        else this.#bad = true;
        return;
      default:
        this.#skip(found);
    }
  }

  #value(cursor: PointCursor, kind: 'double' | 'integer'): void {
    cursor.kind = kind;
    cursor.valueLow = this.#view.getUint32(this.#at - 8, true);
    cursor.valueHigh = this.#view.getUint32(this.#at - 4, true);
    if (kind === 'double') cursor.double = this.#view.getFloat64(this.#at - 8, true);
  }

  #reset(cursor: PointCursor, shape: PointShape): void {
    cursor.timeLow = cursor.timeHigh = cursor.startLow = cursor.startHigh = cursor.flags = 0;
    cursor.valueLow = cursor.valueHigh = 0;
    // Protobuf writes no zeros: a count that is not there is 0, but a number that is not there is none.
    cursor.kind = shape.counts ? 'integer' : 'none';
    const seed = this.#seed;
    cursor.hash0 = seed[0] ?? 0;
    cursor.hash1 = seed[1] ?? 0;
    cursor.hash2 = seed[2] ?? 0;
    cursor.hash3 = seed[3] ?? 0;
  }

  /** Four murmur-like lanes over the words of one attribute, its length included. Moves past it. */
  #hash(cursor: PointCursor, to: number): void {
    if (this.#bad) return;
    const bytes = this.#bytes;
    let { hash0, hash1, hash2, hash3 } = cursor;
    let at = this.#at;
    let word = to - at;
    for (;;) {
      hash0 = (Math.imul(rotate(hash0 ^ Math.imul(word, 0xcc9e2d51), 13), 5) + 0x561ccd1b) | 0;
      hash1 = (Math.imul(rotate(hash1 ^ Math.imul(word, 0x1b873593), 17), 5) + 0x0bcaa747) | 0;
      hash2 = (Math.imul(rotate(hash2 ^ Math.imul(word, 0x38b34ae5), 11), 5) + 0x96cd1c35) | 0;
      hash3 = (Math.imul(rotate(hash3 ^ Math.imul(word, 0xa1e38b93), 19), 5) + 0x32ac3b17) | 0;
      if (at >= to) break;
      word = wordAt(bytes, at, to);
      at += 4;
    }
    cursor.hash0 = hash0;
    cursor.hash1 = hash1;
    cursor.hash2 = hash2;
    cursor.hash3 = hash3;
    this.#at = to;
  }

  /** True while there are fields to read in this frame; a frame that was overrun is malformed. */
  #more(end: number): boolean {
    if (this.#bad) return false;
    if (this.#at > end) this.#bad = true;
    return this.#at < end;
  }

  /**
   * Is this the wanted sub-message? A field of that number with another wire type is malformed; others are
   * skipped.
   */
  #isMessage(found: number, field: number): boolean {
    if (found === tag(field, LEN)) return true;
    if (found >>> 3 === field) this.#bad = true;
    else this.#skip(found);
    return false;
  }

  /** The end of the length-delimited field at the cursor. */
  #frame(end: number): number {
    const to = this.#varint() + this.#at;
    if (to <= end) return to;
    this.#bad = true;
    return this.#at;
  }

  #take(to: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#at, to);
    this.#at = to;
    return taken;
  }

  #fixed64(found: number, end: number): boolean {
    if ((found & 7) !== I64 || this.#at + 8 > end) {
      this.#bad = true;
      return false;
    }
    this.#at += 8;
    return true;
  }

  #skip(found: number): void {
    const wire = found & 7;
    if (found >>> 3 === 0) this.#bad = true;
    else if (wire === VARINT) this.#varint();
    else if (wire === I64) this.#at += 8;
    else if (wire === I32) this.#at += 4;
    else if (wire === LEN) this.#at = this.#frame(this.#bytes.length);
    else this.#bad = true;
  }

  /**
   * An unsigned varint of at most ten bytes. No field here needs more than 32 bits: a larger one reads as
   * 2^32 - 1.
   */
  #varint(): number {
    const bytes = this.#bytes;
    let value = 0;
    for (let factor = 1; factor < 2 ** 70; factor *= 128) {
      const byte = bytes[this.#at++];
      if (byte === undefined) break;
      if (byte < 0x80) return Math.min(value + byte * factor, 0xffffffff);
      value += (byte & 0x7f) * factor;
    }
    this.#bad = true;
    return 0;
  }
}

/** A varint of a message that was walked before; [value, offset behind it]. */
function varintAt(bytes: Uint8Array, from: number): [number, number] {
  let value = 0;
  let at = from;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[at++] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return [value, at];
  }
}

function wordAt(bytes: Uint8Array, at: number, to: number): number {
  const b0 = bytes[at] ?? 0;
  if (at + 4 <= to) {
    return b0 | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
  }
  const b1 = at + 1 < to ? (bytes[at + 1] ?? 0) : 0;
  const b2 = at + 2 < to ? (bytes[at + 2] ?? 0) : 0;
  return b0 | (b1 << 8) | (b2 << 16);
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
