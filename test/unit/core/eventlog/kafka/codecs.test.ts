import { gzipSync, zstdCompressSync } from 'node:zlib';

import kafkajs from 'kafkajs';
import { compress as snappy } from 'snappyjs';
import { beforeAll, describe, expect, test } from 'vitest';

import { registerCodecs } from '../../../../../core/eventlog/kafka/codecs.ts';
import { crc32c } from '../../../../../core/eventlog/kafka/crc32c.ts';

const MAX_BYTES = 100_000;
const { None, GZIP, Snappy, LZ4, ZSTD } = kafkajs.CompressionTypes;

/** What a codec makes of these packed records, behind the header that Kafka puts before them. */
function unpack(
  codec: number,
  packed: Buffer,
  header: { records?: number; lastDelta?: number } = {},
): Promise<Buffer> {
  const { records = 1, lastDelta = records - 1 } = header;
  const head = Buffer.alloc(61);
  head.writeInt32BE(49 + packed.length, 8);
  head[16] = 2;
  head.writeInt16BE(codec, 21);
  head.writeInt32BE(lastDelta, 23);
  head.writeInt32BE(records, 57);
  const batch = Buffer.concat([head, packed]);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return unpackBatch(codec, batch);
}

function unpackBatch(codec: number, batch: Buffer): Promise<Buffer> {
  return codecOf(codec).decompress(batch.subarray(61));
}

/** As the library looks it up. */
function codecOf(number: number): { decompress: (packed: Buffer) => Promise<Buffer> } {
  const registry = kafkajs.CompressionCodecs as Record<number, () => ReturnType<typeof codecOf>>;
  return registry[number]!();
}

/** Lengths that the records say they have, and what their values hold. */
function reasons(records: Buffer): string[] {
  return [...records.toString('latin1').matchAll(/\x07([ -~]+?)\x02/g)].map(([, reason = '']) => reason);
}

function lz4Frame(blocks: readonly Buffer[], flags = 0x60): Buffer {
  const length = (size: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(size);
    return bytes;
  };
  const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, flags, 0x40, 0x00]);
  return Buffer.concat([head, ...blocks.flatMap((block) => [length(block.length), block]), length(0)]);
}

function xerial(blocks: readonly Buffer[]): Buffer {
  const head = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  const parts = blocks.flatMap((block) => {
    const packed = snappy(block);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(packed.length);
    return [length, packed];
  });
  return Buffer.concat([head, ...parts]);
}

beforeAll(() => registerCodecs(MAX_BYTES));

describe('crc32c', () => {
  test('has the check value of its definition', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(0))).toBe(0);
  });
});

describe('unpacking', () => {
  const plain = Buffer.from('usage of a pod, usage of a pod, usage of a pod');

  test.each([
    ['none', None, plain],
    ['gzip', GZIP, gzipSync(plain)],
    ['a block of snappy', Snappy, snappy(plain)],
    ["xerial's stream of snappy", Snappy, xerial([plain.subarray(0, 20), plain.subarray(20)])],
    ['zstd', ZSTD, zstdCompressSync(plain)],
    [
      'lz4, stored',
      LZ4,
      Buffer.concat([lz4Frame([]).subarray(0, 7), Buffer.from([46, 0, 0, 0x80]), plain, Buffer.alloc(4)]),
    ],
  ])('%s gives what was packed', async (_, codec, packed) => {
    expect((await unpack(codec, packed)).toString()).toBe(plain.toString());
  });

  test('lz4 copies may reach into what they write, and lengths go on in further bytes', async () => {
    const repeated = Buffer.from([0x1f, 0x61, 0x01, 0x00, 0xff, 0x05, 0x30, 0x62, 0x63, 0x64]);
    const text = (await unpack(LZ4, lz4Frame([repeated]))).toString();
    expect(text).toBe(`${'a'.repeat(1 + 15 + 255 + 5 + 4)}bcd`);
  });

  test('lz4 checksums of blocks, content size and dictionary are stepped over', async () => {
    const frame = lz4Frame([Buffer.from('70757361676531 32'.replace(' ', ''), 'hex')], 0x79);
    const extra = Buffer.concat([
      frame.subarray(0, 6),
      Buffer.alloc(12),
      frame.subarray(6, 7 + 4 + 8),
      Buffer.alloc(4),
      Buffer.alloc(4),
    ]);
    expect((await unpack(LZ4, extra)).toString()).toBe('usage12');
  });
});

describe('what cannot be unpacked becomes as many unreadable records, with the reason', () => {
  const zeros = Buffer.alloc(2 * MAX_BYTES);
  const tooLarge = `unpacks to more than ${MAX_BYTES} bytes`;

  test.each([
    ['a bomb of gzip', GZIP, gzipSync(zeros), `gzip: ${tooLarge}`],
    ['a bomb of zstd', ZSTD, zstdCompressSync(zeros), `zstd: ${tooLarge}`],
    ['a bomb of snappy', Snappy, snappy(zeros), `snappy: ${tooLarge}`],
    [
      'a bomb of blocks of snappy',
      Snappy,
      xerial([zeros.subarray(MAX_BYTES), zeros.subarray(MAX_BYTES)]),
      'snappy: unpacks to more than 0 bytes',
    ],
    [
      'a bomb of lz4',
      LZ4,
      lz4Frame([Buffer.concat([Buffer.from([0x1f, 0, 1, 0]), Buffer.alloc(800, 0xff), Buffer.from([0])])]),
      `lz4: ${tooLarge}`,
    ],
    ['no gzip', GZIP, Buffer.from('nothing'), 'gzip: Z_DATA_ERROR'],
    ['no zstd', ZSTD, Buffer.from('nothing at all'), 'zstd: ZSTD_error_prefix_unknown'],
    ['no snappy', Snappy, Buffer.from('nothing'), 'snappy: not snappy'],
    [
      'a cut stream of snappy',
      Snappy,
      xerial([zeros.subarray(0, 100)]).subarray(0, 20),
      'snappy: a snappy stream that is cut off',
    ],
    ['no lz4', LZ4, Buffer.from('nothing'), 'lz4: not an lz4 frame'],
    [
      'an lz4 copy from before the start',
      LZ4,
      lz4Frame([Buffer.from([0x10, 0x61, 2, 0])]),
      'lz4: an lz4 copy from before the start',
    ],
    ['an lz4 of another version', LZ4, lz4Frame([], 0xa0), 'lz4: an lz4 frame of another version'],
    [
      'fewer bytes than the records take',
      None,
      Buffer.alloc(13),
      'not packed: unpacks to fewer records than it says',
    ],
    [
      'a codec that nobody knows',
      6,
      Buffer.alloc(50),
      'codec 6: is not known; let the producer use gzip, zstd, snappy or lz4',
    ],
  ])('%s', async (_, codec, packed, reason) => {
    expect(reasons(await unpack(codec, packed, { records: 2 }))).toEqual([reason, reason]);
  });

  test('every lz4 frame that is cut off is refused, and none is read beyond its end', async () => {
    const frame = lz4Frame([Buffer.from([0x1f, 0x61, 0x01, 0x00, 0xff, 0x05, 0x30, 0x62, 0x63, 0x64])]);
    for (let length = 0; length < frame.length; length++) {
      const [reason] = reasons(await unpack(LZ4, frame.subarray(0, length)));
      expect(reason).toMatch(/^lz4: (an lz4 frame that is cut off|not an lz4 frame)$/);
    }
  });

  test('a batch whose checksum does not fit, whichever of its bits has turned', async () => {
    const packed = zstdCompressSync(Buffer.from('a value that is not to change'));
    const head = Buffer.alloc(61);
    head.writeInt32BE(49 + packed.length, 8);
    head[16] = 2;
    head.writeInt32BE(1, 57);
    const batch = Buffer.concat([head, packed]);
    batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
    expect((await unpackBatch(ZSTD, batch)).toString()).toBe('a value that is not to change');
    for (let at = 61; at < batch.length; at++) {
      const turned = Buffer.from(batch);
      turned[at] = (turned[at] ?? 0) ^ 0x10;
      expect(reasons(await unpackBatch(ZSTD, turned))).toEqual([
        'zstd: the checksum of the batch does not fit',
      ]);
    }
  });

  test('the last of them stands at the last offset of the batch, though compaction left fewer', async () => {
    const records = await unpack(GZIP, Buffer.from('nothing'), { records: 2, lastDelta: 70 });
    // Length, attributes, time and then the offset: 0, and 70 in zigzag.
    const first = records.readUInt16BE(0);
    expect(first).toBeGreaterThan(0);
    expect(records.includes(Buffer.from([0, 0, 0x00, 0x01]))).toBe(true);
    expect(records.includes(Buffer.from([0, 0, 0x8c, 0x01, 0x01]))).toBe(true);
  });

  test.each([
    ['no header before them', (batch: Buffer) => Buffer.from(batch.subarray(61).toString('hex'), 'hex')],
    ['another format', (batch: Buffer) => Object.assign(Buffer.from(batch), { 16: 1 })],
    ['a count that cannot be', (batch: Buffer) => Object.assign(Buffer.from(batch), { 57: 0x70 })],
    [
      'a last offset that does not fit a damaged count',
      (batch: Buffer) => Object.assign(Buffer.from(batch), { 60: 9 }),
    ],
  ])('where the header itself is of no use the reader is stopped: %s', async (name, change) => {
    const packed = gzipSync(Buffer.from('a value'));
    const head = Buffer.alloc(61);
    head.writeInt32BE(49 + packed.length, 8);
    head[16] = 2;
    head.writeInt32BE(1, 57);
    const batch = change(Buffer.concat([head, packed]));
    const alone = Buffer.from(new Uint8Array(batch).buffer);
    const unpacking =
      name === 'no header before them' ? codecOf(GZIP).decompress(alone) : unpackBatch(GZIP, alone);
    await expect(unpacking).rejects.toMatchObject({ name: 'Undecodable', retriable: false });
  });
});
