import { crc32c } from './crc32c.ts';
import { encodeRecords } from './encode-records.ts';
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
const FIRST_TIME_AT = 27;
const MAX_TIME_AT = 35;
const PRODUCER_AT = 43;
const COUNT_AT = 57;
const MAGIC = 2;
const CODEC_BITS = 0x7;

/**
 * Records of one batch that are read. Each takes some 500 bytes of memory, however small it is: as much in
 * all as the bytes that a batch may unpack to. No sender has a reason to come near it.
 */
const MAX_RECORDS = 250_000;

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
  return {
    records: batch.readInt32BE(COUNT_AT),
    lastOffsetDelta: batch.readInt32BE(LAST_DELTA_AT),
    isIntact: batch.readUInt32BE(CRC_AT) === crc32c(batch.subarray(ATTRIBUTES_AT)),
  };
}

export interface NewBatch {
  /** Codec and other bits. */
  readonly attributes: number;
  readonly records: number;
  readonly lastOffsetDelta: number;
  readonly firstTimestampMs: bigint;
  readonly maxTimestampMs: bigint;
  /** Of an idempotent producer; -1 for any other. */
  readonly producer: { readonly id: bigint; readonly epoch: number; readonly firstSequence: number };
}

/** A batch as a producer sends it: the broker fills in offset and epoch. */
export function batchOf(batch: NewBatch, packed: Buffer): Buffer {
  const out = Buffer.allocUnsafeSlow(HEADER_BYTES + packed.length);
  out.fill(0, 0, HEADER_BYTES);
  out.writeInt32BE(out.length - COUNTED_FROM, LENGTH_AT);
  out[MAGIC_AT] = MAGIC;
  out.writeInt16BE(batch.attributes, ATTRIBUTES_AT);
  out.writeInt32BE(batch.lastOffsetDelta, LAST_DELTA_AT);
  out.writeBigInt64BE(batch.firstTimestampMs, FIRST_TIME_AT);
  out.writeBigInt64BE(batch.maxTimestampMs, MAX_TIME_AT);
  out.writeBigInt64BE(batch.producer.id, PRODUCER_AT);
  out.writeInt16BE(batch.producer.epoch, PRODUCER_AT + 8);
  out.writeInt32BE(batch.producer.firstSequence, PRODUCER_AT + 10);
  out.writeInt32BE(batch.records, COUNT_AT);
  packed.copy(out, HEADER_BYTES);
  out.writeUInt32BE(crc32c(out.subarray(ATTRIBUTES_AT)), CRC_AT);
  return out;
}

/** True where these bytes of an answer begin with a batch. */
export function isBatch(bytes: Buffer): boolean {
  return bytes[MAGIC_AT] === MAGIC;
}

/** The batch that begins here; undefined where the answer ends before it does. */
export function batchAt(bytes: Buffer, at: number): Buffer | undefined {
  if (bytes.length - at < HEADER_BYTES) return undefined;
  const length = COUNTED_FROM + bytes.readInt32BE(at + LENGTH_AT);
  if (length < HEADER_BYTES) throw new Undecodable('a batch that is shorter than its own header');
  return bytes.length - at < length ? undefined : bytes.subarray(at, at + length);
}

/**
 * The batch itself, or where it holds more records than are read, another in its place: the same but for its
 * records, of which only the first and the last are there, to be put in quarantine with the reason. It has
 * the newest time of the batch: readers know by the newest time they saw that a log is still the same.
 */
export function withinBounds(batch: Buffer): Buffer {
  const count = batch.readInt32BE(COUNT_AT);
  if (count <= MAX_RECORDS) return batch;
  const header = headerOf(batch.subarray(HEADER_BYTES));
  checkPlaces(header);
  const advice = 'let its sender put more into a record, or fewer records into a batch';
  const reason = `a batch of ${count} records, of which ${MAX_RECORDS} are read at most; ${advice}`;
  const deltas = [...new Set([0, header.lastOffsetDelta])];
  const made = Buffer.concat([batch.subarray(0, HEADER_BYTES), recordsAt(deltas, reason)]);
  made.writeInt32BE(made.length - COUNTED_FROM, LENGTH_AT);
  made.writeInt16BE(made.readInt16BE(ATTRIBUTES_AT) & ~CODEC_BITS, ATTRIBUTES_AT);
  made.copy(made, FIRST_TIME_AT, MAX_TIME_AT, MAX_TIME_AT + 8);
  made.writeInt32BE(deltas.length, COUNT_AT);
  made.writeUInt32BE(crc32c(made.subarray(ATTRIBUTES_AT)), CRC_AT);
  return made;
}

/**
 * Records in place of those that cannot be unpacked, as many and up to the same offset, so that each is put
 * in quarantine with the reason and the partition goes on.
 */
export function recordsInPlace(header: BatchHeader, reason: string): Buffer {
  checkPlaces(header);
  const { records, lastOffsetDelta } = header;
  const deltas = Array.from({ length: records }, (_, index) =>
    index === records - 1 ? lastOffsetDelta : index,
  );
  return recordsAt(deltas, reason);
}

/** Damage may be in these two as well, and a reader that went too far would pass over good records. */
function checkPlaces({ records, lastOffsetDelta, isIntact }: BatchHeader): void {
  if (!isIntact && lastOffsetDelta !== records - 1)
    throw new Undecodable('a damaged batch that does not say how many records it holds');
}

function recordsAt(offsetDeltas: readonly number[], reason: string): Buffer {
  const text = Buffer.from(reason, 'utf8');
  const value = Buffer.concat([NEVER_A_MESSAGE, text]);
  const headers = [[Buffer.from(UNREADABLE_HEADER, 'utf8'), text]] as const;
  return encodeRecords(
    offsetDeltas.map((offsetDelta) => ({ offsetDelta, timestampDelta: 0, key: null, value, headers })),
  );
}
