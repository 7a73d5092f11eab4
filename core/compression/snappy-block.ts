/**
 * Snappy's block format, as remote write compresses its bodies. Input: a block from anywhere. Output: its
 * content, or why there is none; never an exception. Guarantee: nothing is allocated beyond `maxBytes`, work
 * is linear in the block, and a block whose elements do not give exactly the length that it announces is
 * corrupt: nothing is cut and nothing is filled up.
 *
 * `05 10 68 65 6c 6c 6f` is `hello`: its length, a literal of five bytes, the bytes.
 */
export type Uncompressed =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly reason: 'corrupt' | 'too_large' };

/** An element of three bytes gives 64 at most, so no block stands for more than this times its size. */
const MAX_EXPANSION = 22;
const MAX_LENGTH_BYTES = 5;
/** Literals up to this length have it in their tag; above, in one to four bytes that follow. */
const LONGEST_SHORT_LITERAL = 60;

const CORRUPT: Uncompressed = { ok: false, reason: 'corrupt' };

/** `roomFor` gives at least so many bytes; without it they are the caller's own. */
export function uncompressSnappy(
  block: Uint8Array,
  maxBytes: number,
  roomFor = (bytes: number): Buffer => Buffer.allocUnsafe(bytes),
): Uncompressed {
  const [length, begin] = announcedLength(block);
  if (length < 0) return CORRUPT;
  if (length > maxBytes) return { ok: false, reason: 'too_large' };
  if (length > block.length * MAX_EXPANSION) return CORRUPT;
  const out = roomFor(length).subarray(0, length);
  return fill(out, block, begin) ? { ok: true, bytes: out } : CORRUPT;
}

/** The length of the content, and where its elements begin; -1 where there is none within 32 bits. */
function announcedLength(block: Uint8Array): readonly [length: number, begin: number] {
  let length = 0;
  for (let at = 0; at < MAX_LENGTH_BYTES; at++) {
    const byte = block[at] ?? 0x80;
    length += (byte & 0x7f) * 128 ** at;
    if (byte < 0x80) return [length <= 0xffffffff ? length : -1, at + 1];
  }
  return [-1, 0];
}

function fill(out: Buffer, block: Uint8Array, begin: number): boolean {
  let to = 0;
  let at = begin;
  while (at < block.length) {
    const tag = block[at++] ?? 0;
    if ((tag & 3) === 0) {
      const short = (tag >>> 2) + 1;
      const extra = Math.max(0, short - LONGEST_SHORT_LITERAL);
      const length = extra === 0 ? short : littleEndian(block, at, extra) + 1;
      at += extra;
      if (at + length > block.length || to + length > out.length) return false;
      copyLiteral(out, to, { block, at, length });
      at += length;
      to += length;
    } else {
      const length = (tag & 3) === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
      const bytes = (tag & 3) === 3 ? 4 : tag & 3;
      const offset = littleEndian(block, at, bytes) + ((tag & 3) === 1 ? (tag >>> 5) * 256 : 0);
      at += bytes;
      if (at > block.length || offset === 0 || offset > to || to + length > out.length) return false;
      repeat(out, to, { offset, length });
      to += length;
    }
  }
  return to === out.length;
}

/** Bytes that are not there read as 0; whoever asks checks the end. */
function littleEndian(block: Uint8Array, at: number, bytes: number): number {
  let value = 0;
  for (let i = 0; i < bytes; i++) value += (block[at + i] ?? 0) * 256 ** i;
  return value;
}

/** Most are a few bytes, for which a loop is faster than a view. */
function copyLiteral(
  out: Buffer,
  to: number,
  { block, at, length }: { readonly block: Uint8Array; readonly at: number; readonly length: number },
): void {
  if (length > LONGEST_SHORT_LITERAL) out.set(block.subarray(at, at + length), to);
  else for (let i = 0; i < length; i++) out[to + i] = block[at + i] ?? 0;
}

/** A copy may reach into what it is writing: that is how a run is compressed. */
function repeat(out: Buffer, to: number, copy: { readonly offset: number; readonly length: number }): void {
  const { offset, length } = copy;
  if (offset >= length) out.copyWithin(to, to - offset, to - offset + length);
  else for (let i = to; i < to + length; i++) out[i] = out[i - offset] ?? 0;
}
