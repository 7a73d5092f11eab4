import kafkajs from 'kafkajs';

import { invariant } from '../../runtime/errors.ts';
import { batchOf } from './record-batch.ts';
import { encodeRecords, type PlacedRecord } from './encode-records.ts';
import { libraryModule, replaceModule } from './library-modules.ts';

const RECORD = 'recordBatch/record/v0';
/** Who encodes batches. */
const REQUESTS = ['v3', 'v4', 'v5', 'v6', 'v7'].map((version) => `requests/produce/${version}/request`);
const NOT_PACKED: number = kafkajs.CompressionTypes.None;
const CODEC_BITS = 0x7;
const TRANSACTIONAL = 0x10;

type Content = Buffer | string | null | undefined;

/** A record as the library tells it, once it has its place in a batch. */
export interface ToldRecord {
  readonly offsetDelta: number;
  readonly timestampDelta: number;
  readonly key?: Content;
  readonly value: Content;
  readonly headers?: Readonly<Record<string, Content | readonly Content[]>>;
}

/** A batch as the library tells it; timestamps are texts, ids what it takes for 64 bits. */
interface ToldBatch {
  readonly compression: number;
  readonly records: readonly ToldRecord[];
  readonly firstTimestamp: string | number;
  readonly maxTimestamp: string | number;
  readonly lastOffsetDelta: number;
  readonly transactional: boolean;
  readonly producerId: { toString(): string };
  readonly producerEpoch: number;
  readonly firstSequence: number;
}

/** What the library writes into a request, of one of its encoders. */
interface Encoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
  size(): number;
}

let isOwn = false;

/**
 * Has batches written at their size. By itself the library lets a buffer of zeros grow by doubling, once for
 * each record and once more for all of them: some three times their bytes, for the garbage collector to see
 * to. The bytes are the same.
 */
export function ownBatches(): void {
  // The library is one for the whole process.
  if (isOwn) return;
  isOwn = true;
  const record = libraryModule(RECORD) as { readonly length: number };
  const batches = libraryModule('recordBatch/v0') as { RecordBatch: (told: ToldBatch) => Promise<Encoded> };
  const isKnown = record.length === 1 && batches.RecordBatch.length === 1;
  invariant(isKnown, 'the client library encodes batches as its pinned version');
  batches.RecordBatch = encodeBatch;
  replaceModule(RECORD, (told: ToldRecord) => told, REQUESTS);
}

export async function encodeBatch(told: ToldBatch): Promise<Encoded> {
  const { compression, records, transactional, producerId, producerEpoch, firstSequence } = told;
  const plain = encodeRecords(records.map(placedOf));
  const attributes = (compression & CODEC_BITS) | (transactional ? TRANSACTIONAL : 0);
  const packed = compression === NOT_PACKED ? plain : await pack(compression, plain);
  const bytes = batchOf(
    {
      attributes,
      records: records.length,
      lastOffsetDelta: told.lastOffsetDelta,
      firstTimestampMs: BigInt(told.firstTimestamp),
      maxTimestampMs: BigInt(told.maxTimestamp),
      producer: { id: BigInt(String(producerId)), epoch: producerEpoch, firstSequence },
    },
    packed,
  );
  return { buf: bytes, buffer: bytes, size: () => bytes.length };
}

async function pack(compression: number, buffer: Buffer): Promise<Buffer> {
  const codecs = kafkajs.CompressionCodecs as Record<number, (() => Codec) | undefined>;
  const codec = codecs[compression]?.();
  invariant(codec !== undefined, `codec ${compression} is registered`);
  return await codec.compress({ buffer });
}

interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
}

function placedOf({ offsetDelta, timestampDelta, key, value, headers = {} }: ToldRecord): PlacedRecord {
  const named = Object.entries(headers).flatMap(([name, content]) =>
    [content].flat().map((one) => [Buffer.from(name), bytesOf(one)] as const),
  );
  return { offsetDelta, timestampDelta, key: bytesOf(key), value: bytesOf(value), headers: named };
}

function bytesOf(content: Content): Buffer | null {
  if (typeof content === 'string') return Buffer.from(content);
  return content ?? null;
}
