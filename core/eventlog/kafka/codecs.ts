import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';

import kafkajs from 'kafkajs';

import { unpackLz4 } from './lz4.ts';
import { headerOf, recordsInPlace, type BatchHeader } from './record-batch.ts';
import { unpackSnappy } from './snappy.ts';
import { Undecodable } from './undecodable.ts';

const { CompressionCodecs, CompressionTypes } = kafkajs;

/** Codec numbers that Kafka has not given out. */
const UNKNOWN_CODECS = [5, 6, 7];

type Unpack = (packed: Buffer, maxBytes: number) => Promise<Buffer> | Buffer;
type Pack = (plain: Buffer) => Promise<Buffer>;

interface Codec {
  readonly name: string;
  readonly unpack: Unpack;
  readonly pack?: Pack;
}

/** Samples with their labels are packed to about this part of themselves. */
const RATIO = 16;
const MIN_CHUNK_BYTES = 1024;
const MAX_CHUNK_BYTES = 256 * 1024;

const gunzipped = promisify(gunzip);
const unzstd = promisify(zstdDecompress);

const CODECS: ReadonlyMap<number, Codec> = new Map<number, Codec>([
  // Not packed, but held against its checksum like the others, which the library does not do.
  [CompressionTypes.None, { name: 'not packed', unpack: (plain) => plain }],
  [
    CompressionTypes.GZIP,
    {
      name: 'gzip',
      unpack: (packed, maxBytes) =>
        bounded(maxBytes, (maxOutputLength) =>
          gunzipped(packed, { maxOutputLength, chunkSize: chunkBytes(packed) }),
        ),
      pack: promisify<Buffer, Buffer>(gzip),
    },
  ],
  [CompressionTypes.Snappy, { name: 'snappy', unpack: unpackSnappy }],
  [CompressionTypes.LZ4, { name: 'lz4', unpack: unpackLz4 }],
  [
    CompressionTypes.ZSTD,
    {
      name: 'zstd',
      unpack: (packed, maxBytes) =>
        bounded(maxBytes, (maxOutputLength) =>
          unzstd(packed, { maxOutputLength, chunkSize: chunkBytes(packed) }),
        ),
      pack: promisify<Buffer, Buffer>(zstdCompress),
    },
  ],
  ...UNKNOWN_CODECS.map((number): [number, Codec] => [number, unknownCodec(number)]),
]);

/**
 * Teaches the client library every codec. A batch that cannot be unpacked (damaged, too large, of a codec
 * nobody knows) never stops a consumer: records in its place say why. The library keeps codecs for the whole
 * process, so the bound is the process's as well.
 */
export function registerCodecs(maxUnpackedBytes: number): void {
  const registry = CompressionCodecs as Record<number, () => unknown>;
  for (const [number, { name, unpack, pack }] of CODECS) {
    const codec = {
      compress: ({ buffer }: { readonly buffer: Buffer }) => pack?.(buffer),
      decompress: (packed: Buffer) => unpackBatch(packed, { name, unpack, maxUnpackedBytes }),
    };
    registry[number] = () => codec;
  }
}

async function unpackBatch(
  packed: Buffer,
  { name, unpack, maxUnpackedBytes }: Codec & { readonly maxUnpackedBytes: number },
): Promise<Buffer> {
  const header = headerOf(packed);
  if (!header.isIntact) return recordsInPlace(header, `${name}: the checksum of the batch does not fit`);
  try {
    return checked(header, await unpack(packed, maxUnpackedBytes));
  } catch (error) {
    if (!(error instanceof Undecodable)) throw error;
    return recordsInPlace(header, `${name}: ${error.message}`);
  }
}

/** A record takes seven bytes at least; with fewer, decoding would run over the end. */
function checked({ records }: BatchHeader, plain: Buffer): Buffer {
  if (plain.length < records * 7) throw new Undecodable('unpacks to fewer records than it says');
  return plain;
}

/**
 * What a batch unpacks to is gathered in pieces of this size, each a turn of the thread pool. Of a small
 * batch they are small, for records that wait hold the whole piece.
 */
function chunkBytes(packed: Buffer): number {
  return Math.min(MAX_CHUNK_BYTES, Math.max(MIN_CHUNK_BYTES, RATIO * packed.length));
}

async function bounded(maxBytes: number, unpack: (maxBytes: number) => Promise<Buffer>): Promise<Buffer> {
  try {
    return await unpack(maxBytes);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no stream of its kind';
    const isTooLarge = code === 'ERR_BUFFER_TOO_LARGE';
    throw new Undecodable(isTooLarge ? `unpacks to more than ${maxBytes} bytes` : code);
  }
}

function unknownCodec(number: number): Codec {
  return {
    name: `codec ${number}`,
    unpack: () => {
      throw new Undecodable('is not known; let the producer use gzip, zstd, snappy or lz4');
    },
  };
}
