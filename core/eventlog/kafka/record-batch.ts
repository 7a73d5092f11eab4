import { crc32c } from './crc32c.ts';
import { Undecodable } from './undecodable.ts';

/**
 * The header that Kafka puts before the records of a batch. Its checksum is over everything from the
 * attributes on, as sent; the client library does not look at it.
 */
const HEADER_BYTES = 61;
const LENGTH_AT = 8;
const COUNTED_FROM = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_DELTA_AT = 23;
const COUNT_AT = 57;
const MAGIC = 2;

/** More records than this a batch does not claim to hold unless its header is damaged as well. */
const MAX_RECORDS = 1_000_000;

/** A record that stands for one that could not be unpacked carries the reason under this name. */
export const UNREADABLE_HEADER = 'gh0stmeter-unreadable';
/** No protobuf message begins with it, nor JSON: whoever decodes the value has to refuse it. */
const NEVER_A_MESSAGE = Buffer.from([0x07]);

export interface BatchHeader {
  readonly records: number;
  readonly lastOffsetDelta: number;
  readonly isIntact: boolean;
}

/**
 * The header of the batch that these packed records end. The client library hands a codec a view into the
 * broker's answer, so the header lies right before it; where it does not, nothing can be said.
 */
export function headerOf(packed: Buffer): BatchHeader {
  const start = packed.byteOffset - HEADER_BYTES;
  if (start < 0) throw new Undecodable('packed records without the header of their batch');
  const batch = Buffer.from(packed.buffer, start, HEADER_BYTES + packed.length);
  const length = batch.readInt32BE(LENGTH_AT);
  if (batch[MAGIC_AT] !== MAGIC || length !== batch.length - COUNTED_FROM)
    throw new Undecodable('packed records of another format than Kafka has had since 0.11');
  const records = batch.readInt32BE(COUNT_AT);
  if (records > MAX_RECORDS) throw new Undecodable(`a batch that claims to hold ${records} records`);
  return {
    records,
    lastOffsetDelta: batch.readInt32BE(LAST_DELTA_AT),
    isIntact: batch.readUInt32BE(CRC_AT) === crc32c(batch.subarray(ATTRIBUTES_AT)),
  };
}

/**
 * Records in place of those that cannot be unpacked, as many and up to the same offset, so that each is put
 * in quarantine with the reason and the partition goes on.
 */
export function recordsInPlace(header: BatchHeader, reason: string): Buffer {
  const { records, lastOffsetDelta, isIntact } = header;
  // Damage may be in these two as well, and a reader that went too far would pass over good records.
  if (!isIntact && lastOffsetDelta !== records - 1)
    throw new Undecodable('a damaged batch that does not say how many records it holds');
  const text = Buffer.from(reason, 'utf8');
  const value = Buffer.concat([NEVER_A_MESSAGE, text]);
  const name = Buffer.from(UNREADABLE_HEADER, 'utf8');
  const made = Array.from({ length: records }, (_, index) => {
    const offsetDelta = index === records - 1 ? lastOffsetDelta : index;
    const record = Buffer.concat([
      // Attributes, and no distance from the batch's first timestamp.
      Buffer.from([0, 0]),
      varint(offsetDelta),
      varint(-1),
      ...[varint(value.length), value],
      ...[varint(1), varint(name.length), name, varint(text.length), text],
    ]);
    return Buffer.concat([varint(record.length), record]);
  });
  return Buffer.concat(made);
}

/** Zigzag, then seven bits a byte: 1 is 02, -1 is 01, 64 is 8001. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = ((value << 1) ^ (value >> 31)) >>> 0;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}
