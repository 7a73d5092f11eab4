/**
 * Reads protobuf fields in place. Whoever reads asks `more` before each field and ends when it says no; after
 * anything that is not well-formed (truncated, a length beyond its frame, a wire type that nobody uses)
 * `isBad` is true, `more` says no, and what was read until then must not be used.
 */
export const VARINT = 0;
export const I64 = 1;
export const LEN = 2;
export const I32 = 5;

/** Ten bytes of seven bits carry 64. */
const MAX_VARINT_BYTES = 10;
/** So many bytes of a varint are an exact number. */
const EXACT_VARINT_BYTES = 7;

/** Field number and wire type, as they stand before a field. */
export function tag(field: number, wire: number): number {
  return field * 8 + wire;
}

/** Where something lies in a message. */
export interface Frame {
  readonly begin: number;
  readonly end: number;
}

export class MessageReader {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Where the next field begins. */
  at: number;
  #bad = false;

  constructor(message: Uint8Array) {
    this.bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
    this.view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    this.at = 0;
  }

  get isBad(): boolean {
    return this.#bad;
  }

  /** Is there another field in the frame that ends here? */
  more(end: number): boolean {
    if (this.at > end) this.#bad = true;
    return !this.#bad && this.at < end;
  }

  fail(): void {
    this.#bad = true;
  }

  /** Reads from there on, whatever was read before. */
  begin(at: number): void {
    this.at = at;
    this.#bad = false;
  }

  /** The end of the frame whose length stands here; moves to its begin. */
  frame(end: number): number {
    const to = this.varint() + this.at;
    if (to <= end) return to;
    this.#bad = true;
    return this.at;
  }

  /** The frame that begins here, as it is; moves past it. */
  take(end: number): Buffer {
    const to = this.frame(end);
    const taken = this.bytes.subarray(this.at, to);
    this.at = to;
    return taken;
  }

  /** Moves past eight bytes and says where they begin. */
  fixed64(end: number): number {
    const begin = this.at;
    this.at += 8;
    if (this.at <= end) return begin;
    this.#bad = true;
    return 0;
  }

  /** Past the field whose tag was read. */
  skip(found: number, end: number): void {
    const wire = found & 7;
    if (found < 8) this.#bad = true;
    else if (wire === VARINT) this.varint();
    else if (wire === I64) this.at += 8;
    else if (wire === I32) this.at += 4;
    else if (wire === LEN) this.at = this.frame(end);
    else this.#bad = true;
  }

  /** Unsigned: exact below 2^49, above it at least the nearest number. */
  varint(): number {
    const { bytes } = this;
    // Most are one byte long.
    const first = bytes[this.at] ?? 0x80;
    if (first < 0x80) {
      this.at++;
      return first;
    }
    const last = Math.min(bytes.length, this.at + MAX_VARINT_BYTES);
    let value = 0;
    let scale = 1;
    while (this.at < last) {
      const byte = bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    this.#bad = true;
    return 0;
  }

  /** Signed, 64 bits: exact up to 2^53, above it the nearest number. */
  int64(): number {
    const begin = this.at;
    const value = this.varint();
    if (this.at - begin <= EXACT_VARINT_BYTES) return value;
    let bits = 0n;
    for (let at = this.at - 1; at >= begin; at--) bits = (bits << 7n) | BigInt((this.bytes[at] ?? 0) & 0x7f);
    return Number(BigInt.asIntN(64, bits));
  }
}
