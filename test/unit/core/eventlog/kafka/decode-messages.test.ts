import { createRequire } from 'node:module';

import { beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { registerCodecs } from '../../../../../core/eventlog/kafka/codecs.ts';
import { boundAnswers } from '../../../../../core/eventlog/kafka/decode-messages.ts';
import { UNREADABLE_HEADER } from '../../../../../core/eventlog/kafka/record-batch.ts';
import { batchOf, int32, ZSTD } from '../../../../support/kafka/batches.ts';

const MAX_RECORDS = 250_000;

interface Message {
  readonly offset: string;
  readonly timestamp: string;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, Buffer>>;
}

interface Decoded {
  readonly responses: readonly {
    readonly partitions: readonly { readonly partition: number; readonly messages: readonly Message[] }[];
  }[];
}

/** The answer to a fetch, one buffer of batches for each partition. */
function answerOf(partitions: readonly Buffer[]): Buffer {
  const parts = partitions.flatMap((batches, partition) => [
    int32(partition),
    Buffer.alloc(2 + 8 + 8 + 8),
    int32(0),
    int32(-1),
    int32(batches.length),
    batches,
  ]);
  const topic = Buffer.concat([Buffer.from([0, 1]), Buffer.from('t'), int32(partitions.length), ...parts]);
  return Buffer.concat([Buffer.alloc(4 + 2 + 4), int32(1), topic]);
}

/** By the library, as it decodes what a broker of today sends. */
async function decode(partitions: readonly Buffer[]): Promise<readonly (readonly Message[])[]> {
  const response = createRequire(import.meta.url)('kafkajs/src/protocol/requests/fetch/v11/response') as {
    decode(bytes: Buffer): Promise<Decoded>;
  };
  const { responses } = await response.decode(answerOf(partitions));
  return (responses[0]?.partitions ?? []).map(({ messages }) => messages);
}

async function countsOf(partitions: readonly Buffer[]): Promise<readonly number[]> {
  return (await decode(partitions)).map(({ length }) => length);
}

describe('an answer of a broker', () => {
  const small = (firstOffset: number): Buffer => batchOf({ firstOffset, records: 10, bytes: 744 });
  const three = Buffer.concat([small(0), small(10), small(20)]);

  beforeAll(() => registerCodecs(10_000_000));
  beforeEach(() => boundAnswers(10_000_000));

  test('is given whole while it is within the bound', async () => {
    const [first, second] = await decode([three, small(7)]);
    expect(first?.map(({ offset }) => Number(offset))).toEqual(Array.from({ length: 30 }, (_, n) => n));
    expect(second?.map(({ offset }) => Number(offset))).toEqual(Array.from({ length: 10 }, (_, n) => 7 + n));
  });

  test.each([
    ['1', 1, [10, 0, 0]],
    ['a batch', 10_000, [10, 0, 0]],
    ['a little more', 10_001, [20, 0, 0]],
    ['what the first partition has', 30_000, [30, 0, 0]],
    ['into the second one', 30_001, [30, 10, 0]],
  ])('ends with the batch that reaches the bound: %s', async (_, bound, counts) => {
    boundAnswers(bound);
    expect(await countsOf([three, three, three])).toEqual(counts);
    expect(await countsOf([small(0)])).toEqual([10]);
  });

  test('is counted as it unpacks, not as it is sent', async () => {
    const bombs = Array.from({ length: 5 }, (_, n) =>
      batchOf({ firstOffset: n, records: 1, bytes: 8_000_000, codec: ZSTD }),
    );
    expect(await countsOf([Buffer.concat(bombs)])).toEqual([2]);
  });

  test('may end within a batch, and may be empty', async () => {
    for (const length of [1, 60, 61, 100, small(0).length - 1]) {
      const cut = Buffer.concat([small(0), small(10).subarray(0, length)]);
      expect(await countsOf([cut, Buffer.alloc(0), small(0)])).toEqual([10, 0, 10]);
    }
  });

  test('may hold a batch of more records than a call takes arguments', async () => {
    boundAnswers(1_000_000_000);
    expect(await countsOf([batchOf({ firstOffset: 0, records: 200_000, bytes: 10 })])).toEqual([200_000]);
  });

  test('has the first and the last record in place of far too many, which say why, and what follows', async () => {
    boundAnswers(1_000_000_000);
    const records = MAX_RECORDS + 1;
    for (const codec of [0, ZSTD]) {
      const large = batchOf({ firstOffset: 5, records, bytes: 0, codec, times: [1_000, 9_000] });
      const [messages = []] = await decode([Buffer.concat([large, small(5 + records)])]);
      expect(messages.map(({ offset }) => Number(offset))).toEqual([
        5,
        5 + MAX_RECORDS,
        ...Array.from({ length: 10 }, (_, n) => 5 + records + n),
      ]);
      const reason =
        'a batch of 250001 records, of which 250000 are read at most; ' +
        'let its sender put more into a record, or fewer records into a batch';
      for (const { headers, value, timestamp } of messages.slice(0, 2)) {
        expect([headers[UNREADABLE_HEADER]?.toString(), value.toString()]).toEqual([
          reason,
          `\u0007${reason}`,
        ]);
        // The newest of the batch: by it a log is known to be the same.
        expect(timestamp).toBe('9000');
      }
    }
  });

  test('with a damaged batch that claims to hold far too many stops the reader', async () => {
    const damaged = batchOf({ firstOffset: 0, records: 2, bytes: 10 });
    damaged.writeInt32BE(MAX_RECORDS + 1, 57);
    await expect(decode([damaged])).rejects.toMatchObject({
      name: 'Undecodable',
      message: 'a damaged batch that does not say how many records it holds',
    });
    const short = batchOf({ firstOffset: 0, records: 2, bytes: 10 });
    short.writeInt32BE(-12, 8);
    await expect(decode([short])).rejects.toMatchObject({ name: 'Undecodable' });
  });
});
