/**
 * Reads what `rowBinary` yields: rows one after the other without separators, integers little-endian,
 * strings with a varint length. A chunk may end anywhere, so the unfinished row is carried to the next.
 *
 * - `fixedRows`: rows of one width, in batches of whole rows, read in place: the fast way.
 * - `decodedRows`: rows with strings, decoded through a cursor.
 *
 * A stream that ends inside a row was cut off: it is a fault, never a shorter result.
 */
import { invariant, MeteringError } from '../../core/runtime/errors.ts';

type Chunks = AsyncIterable<Uint8Array>;

const EMPTY = new Uint8Array(0);

export interface FixedRows {
  readonly rows: number;
  /** Exactly `rows` rows. Valid until the next batch is asked for. */
  readonly bytes: Uint8Array;
  /** The same bytes; little-endian reads need `true` as last argument. */
  readonly view: DataView;
}

/** 40-byte rows: `for (let at = 0; at < view.byteLength; at += 40) view.getBigInt64(at + 16, true)`. */
export async function* fixedRows(chunks: Chunks, rowBytes: number): AsyncGenerator<FixedRows, void> {
  invariant(Number.isInteger(rowBytes) && rowBytes > 0, 'a row has a width');
  let carried: Uint8Array = EMPTY;
  for await (const chunk of chunks) {
    const bytes = joined(carried, chunk);
    const whole = bytes.byteLength - (bytes.byteLength % rowBytes);
    carried = bytes.subarray(whole);
    if (whole > 0) yield batch(bytes.subarray(0, whole), whole / rowBytes);
  }
  if (carried.byteLength > 0) throw cutOff();
}

function batch(bytes: Uint8Array, rows: number): FixedRows {
  return { rows, bytes, view: viewOf(bytes) };
}

/** `decode` reads one row off the cursor; it may be called again for a row that straddles two chunks. */
export async function* decodedRows<Row>(
  chunks: Chunks,
  decode: (cursor: RowCursor) => Row,
): AsyncGenerator<readonly Row[], void> {
  let carried: Uint8Array = EMPTY;
  for await (const chunk of chunks) {
    const cursor = new RowCursor(joined(carried, chunk));
    const rows: Row[] = [];
    while (!cursor.atEnd) {
      const row = decode(cursor);
      if (cursor.isShort) break;
      cursor.finishRow();
      rows.push(row);
    }
    carried = cursor.unfinished();
    if (rows.length > 0) yield rows;
  }
  if (carried.byteLength > 0) throw cutOff();
}

/**
 * Reads values in column order. Past the end of the bytes every read gives zeros or nothing and the cursor
 * turns `short`: the row is then read again with more bytes, so decoding needs no exceptions.
 */
export class RowCursor {
  readonly #bytes: Buffer;
  #rowStart = 0;
  #at = 0;
  #short = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  get isShort(): boolean {
    return this.#short;
  }

  finishRow(): void {
    invariant(this.#at > this.#rowStart, 'a row was read');
    this.#rowStart = this.#at;
  }

  unfinished(): Uint8Array {
    return this.#bytes.subarray(this.#rowStart);
  }

  uint8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#bytes.readUInt8(at);
  }

  int8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#bytes.readInt8(at);
  }

  uint16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#bytes.readUInt16LE(at);
  }

  uint32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#bytes.readUInt32LE(at);
  }

  uint64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#bytes.readBigUInt64LE(at);
  }

  int64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#bytes.readBigInt64LE(at);
  }

  /** An Int64 that is a time or a count: a number, and a bug if it would not be exact. */
  int64AsNumber(): number {
    const at = this.#take(8);
    if (at < 0) return 0;
    const value = this.#bytes.readInt32LE(at + 4) * 2 ** 32 + this.#bytes.readUInt32LE(at);
    invariant(Number.isSafeInteger(value), 'the integer fits a number');
    return value;
  }

  int128(): bigint {
    const at = this.#take(16);
    return at < 0 ? 0n : (this.#bytes.readBigInt64LE(at + 8) << 64n) | this.#bytes.readBigUInt64LE(at);
  }

  /** FixedString(length), as a view on the chunk: copy what is kept. */
  fixed(length: number): Uint8Array {
    const at = this.#take(length);
    return at < 0 ? EMPTY : this.#bytes.subarray(at, at + length);
  }

  string(): string {
    const length = this.#varint();
    const at = this.#take(length);
    return at < 0 ? '' : this.#bytes.toString('utf8', at, at + length);
  }

  /** A String that is no text, as a view on the chunk: copy what is kept. */
  bytes(): Uint8Array {
    return this.fixed(this.#varint());
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      invariant(scale <= 2 ** 49, 'a length has at most 8 bytes');
      const byte = this.uint8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  /** The offset of the next `length` bytes, or -1 when they are not all there. */
  #take(length: number): number {
    const at = this.#at;
    if (this.#short || at + length > this.#bytes.length) {
      this.#short = true;
      return -1;
    }
    this.#at = at + length;
    return at;
  }
}

function joined(carried: Uint8Array, chunk: Uint8Array): Uint8Array {
  return carried.byteLength === 0 ? chunk : Buffer.concat([carried, chunk]);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function cutOff(): MeteringError {
  return new MeteringError('METER_STORE_UNAVAILABLE', 'the result ended in the middle of a row', {
    retryable: true,
  });
}
