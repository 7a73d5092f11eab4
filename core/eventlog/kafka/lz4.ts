import { Undecodable } from './undecodable.ts';

/**
 * The LZ4 frame format, read-only, as Kafka's producers write it: blocks of literals and of copies from what
 * came before. Checksums are passed over, because the record batch around it has one of its own.
 * A block `30 61 62 63` is three literals, `abc`; `14 61 0100` is `a` and then 8 copies of it.
 */
const MAGIC = 0x184d2204;
const MAGIC_BYTES = 4;
const CHECKSUM_BYTES = 4;
const CONTENT_SIZE_BYTES = 8;
const DICTIONARY_BYTES = 4;
const STORED_FLAG = 0x80000000;
const SHORTEST_COPY = 4;
/** A length of four bits that says: more follows. */
const LONG = 15;
const MORE = 255;

interface Frame {
  readonly hasBlockChecksums: boolean;
  readonly blocksAt: number;
}

export function unpackLz4(bytes: Buffer, maxBytes: number): Buffer {
  const frame = readHeader(bytes);
  const output = new Output(maxBytes);
  for (let at = frame.blocksAt; ;) {
    const header = uint32(bytes, at);
    at += 4;
    if (header === 0) return output.content();
    const length = (header & ~STORED_FLAG) >>> 0;
    const block = slice(bytes, at, length);
    if (header >= STORED_FLAG) output.literals(block, 0, block.length);
    else unpackBlock(block, output);
    at += length + (frame.hasBlockChecksums ? CHECKSUM_BYTES : 0);
  }
}

function readHeader(bytes: Buffer): Frame {
  if (uint32(bytes, 0) !== MAGIC) throw new Undecodable('not an lz4 frame');
  const [flags = 0] = slice(bytes, MAGIC_BYTES, 3);
  if (flags >> 6 !== 1) throw new Undecodable('an lz4 frame of another version');
  const size = (flags & 0x08) === 0 ? 0 : CONTENT_SIZE_BYTES;
  const dictionary = (flags & 0x01) === 0 ? 0 : DICTIONARY_BYTES;
  // Flags, block descriptor and header checksum are a byte each.
  return { hasBlockChecksums: (flags & 0x10) !== 0, blocksAt: MAGIC_BYTES + 3 + size + dictionary };
}

function unpackBlock(block: Buffer, output: Output): void {
  let at = 0;
  const longer = (length: number): number => {
    if (length < LONG) return length;
    for (let byte = MORE; byte === MORE; length += byte) {
      if (at >= block.length) throw new Undecodable('an lz4 block ends in a length');
      byte = block[at++] ?? 0;
    }
    return length;
  };
  while (at < block.length) {
    const token = block[at++] ?? 0;
    const literals = longer(token >> 4);
    if (at + literals > block.length) throw new Undecodable('an lz4 block ends in literals');
    output.literals(block, at, literals);
    at += literals;
    if (at === block.length) return;
    if (at + 2 > block.length) throw new Undecodable('an lz4 block ends in an offset');
    const distance = block.readUInt16LE(at);
    at += 2;
    output.copy(distance, longer(token & LONG) + SHORTEST_COPY);
  }
}

/** What is unpacked so far; grows by doubling, never beyond its bound. */
class Output {
  readonly #maxBytes: number;
  #bytes = Buffer.allocUnsafe(64 * 1024);
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  literals(from: Buffer, at: number, length: number): void {
    this.#reserve(length);
    from.copy(this.#bytes, this.#length, at, at + length);
    this.#length += length;
  }

  /** Byte by byte, because a copy may reach into what it writes itself. */
  copy(distance: number, length: number): void {
    if (distance === 0 || distance > this.#length) throw new Undecodable('an lz4 copy from before the start');
    this.#reserve(length);
    const bytes = this.#bytes;
    const end = this.#length + length;
    for (let to = this.#length; to < end; to++) bytes[to] = bytes[to - distance] ?? 0;
    this.#length = end;
  }

  content(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(length: number): void {
    const needed = this.#length + length;
    if (needed > this.#maxBytes) throw new Undecodable(`unpacks to more than ${this.#maxBytes} bytes`);
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, Math.min(this.#bytes.length * 2, this.#maxBytes)));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

function uint32(bytes: Buffer, at: number): number {
  return slice(bytes, at, 4).readUInt32LE(0);
}

function slice(bytes: Buffer, at: number, length: number): Buffer {
  if (at + length > bytes.length) throw new Undecodable('an lz4 frame that is cut off');
  return bytes.subarray(at, at + length);
}
