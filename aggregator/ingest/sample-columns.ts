/**
 * The samples of a batch as columns of typed arrays, ready to become a Native block. 64-bit numbers are
 * written as halves, so no bigint is made on the way.
 */
const FIRST_CAPACITY = 1 << 14;
const MEDIAN_OF = 101;

export interface SampleFields {
  readonly t: number;
  readonly start: number;
  readonly target: bigint;
  readonly meter: number;
  readonly cluster: number;
  readonly topic: number;
  readonly partition: number;
  readonly offset: bigint;
}

export class SampleColumns {
  length = 0;
  #capacity: number;
  #t: BigInt64Array;
  #value: BigInt64Array;
  #start: BigInt64Array;
  #offset: BigInt64Array;
  #target: BigUint64Array;
  #series: Uint8Array;
  #meter: Uint8Array;
  #cluster: Uint16Array;
  #topic: Uint16Array;
  #partition: Uint16Array;
  #words: Words;

  /** With room for as many samples as are expected; more of them cost copies. */
  constructor(expected = 0) {
    const n = Math.max(FIRST_CAPACITY, expected);
    this.#capacity = n;
    this.#t = new BigInt64Array(n);
    this.#value = new BigInt64Array(n);
    this.#start = new BigInt64Array(n);
    this.#offset = new BigInt64Array(n);
    this.#target = new BigUint64Array(n);
    this.#series = new Uint8Array(n * 16);
    this.#meter = new Uint8Array(n);
    this.#cluster = new Uint16Array(n);
    this.#topic = new Uint16Array(n);
    this.#partition = new Uint16Array(n);
    this.#words = wordsOf(this.#t, this.#value, this.#start);
  }

  /** `value` is a safe integer, -1 for a marker, or a bigint below 2^63. */
  push(fields: SampleFields, series: Uint8Array, value: number | bigint): void {
    if (this.length === this.#capacity) this.#grow();
    const i = this.length++;
    const { t, start } = this.#words;
    put(t, i, fields.t);
    put(start, i, fields.start);
    if (typeof value === 'number') put(this.#words.value, i, value);
    else this.#value[i] = value;
    this.#target[i] = fields.target;
    this.#offset[i] = fields.offset;
    this.#series.set(series, i * 16);
    this.#meter[i] = fields.meter;
    this.#cluster[i] = fields.cluster;
    this.#topic[i] = fields.topic;
    this.#partition[i] = fields.partition;
  }

  /** Take back what came after the first `length` samples. */
  truncate(length: number): void {
    this.length = length;
  }

  /** Of some samples spread over the batch, the time of the one in the middle; undefined: there is none. */
  medianTime(): number | undefined {
    const count = Math.min(this.length, MEDIAN_OF);
    const some = Array.from(
      { length: count },
      (_, i) => this.#t[Math.floor((i * this.length) / count)] ?? 0n,
    );
    const median = some.sort((a, b) => Number(a - b))[Math.floor(count / 2)];
    return median === undefined ? undefined : Number(median);
  }

  /** The columns, cut to length; valid until the next push. */
  columns(): {
    t: BigInt64Array;
    value: BigInt64Array;
    start: BigInt64Array;
    offset: BigInt64Array;
    target: BigUint64Array;
    series: Uint8Array;
    meter: Uint8Array;
    cluster: Uint16Array;
    topic: Uint16Array;
    partition: Uint16Array;
  } {
    const n = this.length;
    return {
      t: this.#t.subarray(0, n),
      value: this.#value.subarray(0, n),
      start: this.#start.subarray(0, n),
      offset: this.#offset.subarray(0, n),
      target: this.#target.subarray(0, n),
      series: this.#series.subarray(0, n * 16),
      meter: this.#meter.subarray(0, n),
      cluster: this.#cluster.subarray(0, n),
      topic: this.#topic.subarray(0, n),
      partition: this.#partition.subarray(0, n),
    };
  }

  #grow(): void {
    this.#capacity *= 2;
    const n = this.#capacity;
    this.#t = grown(this.#t, new BigInt64Array(n));
    this.#value = grown(this.#value, new BigInt64Array(n));
    this.#start = grown(this.#start, new BigInt64Array(n));
    this.#offset = grown(this.#offset, new BigInt64Array(n));
    this.#target = grown(this.#target, new BigUint64Array(n));
    this.#series = grown(this.#series, new Uint8Array(n * 16));
    this.#meter = grown(this.#meter, new Uint8Array(n));
    this.#cluster = grown(this.#cluster, new Uint16Array(n));
    this.#topic = grown(this.#topic, new Uint16Array(n));
    this.#partition = grown(this.#partition, new Uint16Array(n));
    this.#words = wordsOf(this.#t, this.#value, this.#start);
  }
}

interface Words {
  readonly t: Int32Array;
  readonly value: Int32Array;
  readonly start: Int32Array;
}

function wordsOf(t: BigInt64Array, value: BigInt64Array, start: BigInt64Array): Words {
  const words = (column: BigInt64Array): Int32Array => new Int32Array(column.buffer);
  return { t: words(t), value: words(value), start: words(start) };
}

/** A safe integer as two's complement halves, little-endian. */
function put(words: Int32Array, i: number, value: number): void {
  words[2 * i] = value | 0;
  words[2 * i + 1] = Math.floor(value / 4294967296);
}

function grown<A extends { set(from: A): void }>(from: A, to: A): A {
  to.set(from);
  return to;
}
