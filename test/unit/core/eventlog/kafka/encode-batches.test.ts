/** Batches are the library's own, byte for byte; packed ones unpack to the same records. */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { expect, test } from 'vitest';
import { registerCodecs } from '../../../../../core/eventlog/kafka/codecs.ts';
import {
  encodeBatch,
  ownBatches,
  type ToldRecord,
} from '../../../../../core/eventlog/kafka/encode-batches.ts';

const require = createRequire(import.meta.url);
const PROTOCOL = 'kafkajs/src/protocol';
type Encoder = { readonly buffer: Buffer; size(): number };
interface Read {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
}

const batches = require(`${PROTOCOL}/recordBatch/v0`) as {
  readonly RecordBatch: (told: unknown) => Promise<Encoder>;
};
// As they are before anything is changed in them.
const theirs = {
  record: require(`${PROTOCOL}/recordBatch/record/v0`) as (told: ToldRecord) => Encoder,
  batch: batches.RecordBatch,
  decode: require(`${PROTOCOL}/recordBatch/v0/decoder`) as (
    bytes: unknown,
  ) => Promise<{ readonly records: readonly Read[] }>,
  Decoder: require(`${PROTOCOL}/decoder`) as new (bytes: Buffer) => unknown,
};
const CREATED = 1_790_000_000_000;
const bytes = fc.uint8Array({ maxLength: 300 }).map((content) => Buffer.from(content));
const content = fc.option(bytes, { nil: null });
/** The library cannot read one that every object has, such as `toString`. */
const name = fc.string({ maxLength: 9, unit: 'grapheme' }).map((text) => `h-${text}`);
const someRecords = fc
  .array(
    fc.record({
      timestampDelta: fc.oneof(
        fc.integer({ min: -100, max: 100 }),
        fc.integer({ min: 0, max: 2 ** 40 }),
        fc.integer({ min: 0, max: 70_000 }),
      ),
      key: content,
      value: content,
      headers: fc.dictionary(name, bytes, { maxKeys: 3, noNullPrototype: true }),
    }),
    { minLength: 1, maxLength: 70 },
  )
  .map((records): ToldRecord[] => records.map((record, offsetDelta) => ({ ...record, offsetDelta })));

function told(records: readonly ToldRecord[], compression: number) {
  return {
    compression,
    ...{ firstTimestamp: String(CREATED), maxTimestamp: String(CREATED + 5), transactional: false },
    ...{ lastOffsetDelta: records.length - 1, producerId: '-1', producerEpoch: 0, firstSequence: 0 },
    records,
  };
}

test('what is not packed is what the library writes', async () => {
  await fc.assert(
    fc.asyncProperty(someRecords, async (records) => {
      const batch = told(records, kafkajs.CompressionTypes.None);
      const expected = await theirs.batch({ ...batch, records: records.map(theirs.record) });
      const { buf, buffer, size } = await encodeBatch(batch);
      expect(buffer.equals(expected.buffer)).toBe(true);
      expect(buf).toBe(buffer);
      expect(size()).toBe(expected.size());
    }),
  );
});

test('so are texts, several headers of a name, and what is not there', async () => {
  const records: ToldRecord[] = [
    {
      ...{ offsetDelta: 0, timestampDelta: 0, key: 'kéy', value: 'ünïcode' },
      headers: { one: 'text', more: ['a', Buffer.from('b')] },
    },
    { offsetDelta: 1, timestampDelta: 1, value: '' },
    { offsetDelta: 2, timestampDelta: 1, key: null, value: null, headers: {} },
  ];
  const batch = told(records, kafkajs.CompressionTypes.None);
  const expected = await theirs.batch({ ...batch, records: records.map(theirs.record) });
  expect((await encodeBatch(batch)).buffer.equals(expected.buffer)).toBe(true);
});

test('so are a transaction and its producer', async () => {
  const records = [{ offsetDelta: 0, timestampDelta: 0, key: null, value: Buffer.from('a') }];
  const batch = {
    ...told(records, kafkajs.CompressionTypes.None),
    ...{ transactional: true, producerId: '4096', producerEpoch: 3, firstSequence: 77 },
  };
  const expected = await theirs.batch({ ...batch, records: records.map(theirs.record) });
  expect((await encodeBatch(batch)).buffer.equals(expected.buffer)).toBe(true);
});

test.each(['GZIP', 'ZSTD'] as const)(
  'what is packed by %s is read by the library as it was',
  async (name) => {
    registerCodecs(1_000_000);
    await fc.assert(
      fc.asyncProperty(someRecords, async (records) => {
        const { buffer } = await encodeBatch(told(records, kafkajs.CompressionTypes[name]));
        const { records: read } = await theirs.decode(new theirs.Decoder(buffer));
        const seen = read.map(({ offset, timestamp, key, value, headers }) => ({
          ...{ offsetDelta: Number(offset), timestampDelta: Number(timestamp) - CREATED },
          ...{ key, value, headers: { ...headers } },
        }));
        expect(seen).toEqual(records);
      }),
      { numRuns: 25 },
    );
  },
);

test('a codec that nobody registered is a bug here', async () => {
  await expect(encodeBatch(told([], 99))).rejects.toThrow('codec 99 is registered');
});

test('the library writes by it, however often it is told, and its requests are as before', async () => {
  const request = (): ((told: unknown) => { encode(): Promise<Encoder> }) =>
    require(`${PROTOCOL}/requests/produce/v7/request`) as never;
  const topicData = [
    {
      topic: 'usage.north',
      partitions: [
        {
          partition: 2,
          firstSequence: 0,
          messages: [
            {
              key: Buffer.from('k'),
              value: Buffer.alloc(70_000, 7),
              timestamp: String(CREATED),
              headers: {},
            },
            {
              key: null,
              value: Buffer.from('b'),
              timestamp: String(CREATED + 9),
              headers: { a: Buffer.from('1') },
            },
          ],
        },
      ],
    },
  ];
  const asked = { acks: -1, timeout: 1_000, compression: kafkajs.CompressionTypes.None, topicData };
  const before = await request()(asked).encode();
  ownBatches();
  ownBatches();
  expect(batches.RecordBatch).toBe(encodeBatch);
  const after = await request()(asked).encode();
  expect(after.buffer.equals(before.buffer)).toBe(true);
});
