import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodedRows, fixedRows, RowCursor } from '../../../../aggregator/store/row-binary.ts';

interface Row {
  readonly name: string;
  readonly t: number;
  readonly value: bigint;
}

function encode({ name, t, value }: Row): Buffer {
  const text = Buffer.from(name);
  const lengths: number[] = [];
  let rest = text.length;
  for (; rest >= 0x80; rest >>= 7) lengths.push((rest & 0x7f) | 0x80);
  const fixed = Buffer.alloc(24);
  fixed.writeBigInt64LE(BigInt(t), 0);
  fixed.writeBigUInt64LE(BigInt.asUintN(64, value), 8);
  fixed.writeBigInt64LE(value >> 64n, 16);
  return Buffer.concat([Buffer.of(...lengths, rest), text, fixed]);
}

function decode(cursor: RowCursor): Row {
  return { name: cursor.string(), t: cursor.int64AsNumber(), value: cursor.int128() };
}

/** Cuts bytes at the given places. */
async function* chunksOf(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (const [at, place] of places.slice(1).entries()) yield bytes.subarray(places[at], place);
}

async function collect<T>(batches: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const batch of batches) all.push(...batch);
  return all;
}

const rowArbitrary: fc.Arbitrary<Row> = fc.record({
  name: fc.string({ unit: 'binary', maxLength: 200 }),
  t: fc.maxSafeInteger(),
  value: fc.bigInt({ min: -(2n ** 127n), max: 2n ** 127n - 1n }),
});

describe('decodedRows', () => {
  test('rows come out as they went in, wherever the chunks are cut', async () => {
    const cases = fc.asyncProperty(fc.array(rowArbitrary), fc.array(fc.nat()), async (rows, cuts) => {
      const bytes = Buffer.concat(rows.map(encode));
      expect(await collect(decodedRows(chunksOf(bytes, cuts), decode))).toEqual(rows);
    });
    await fc.assert(cases, { numRuns: 200 });
  });

  test('a stream that ends inside a row is a fault, not a shorter result', async () => {
    const bytes = encode({ name: 'abc', t: 1, value: 2n });
    for (let length = 1; length < bytes.length; length += 1) {
      const rows = collect(decodedRows(chunksOf(bytes.subarray(0, length), []), decode));
      await expect(rows).rejects.toMatchObject({ code: 'METER_STORE_UNAVAILABLE', retryable: true });
    }
  });

  test('a decoder that reads nothing is a bug, not an endless loop', async () => {
    const rows = collect(decodedRows(chunksOf(Buffer.of(1), []), () => null));
    await expect(rows).rejects.toThrow('invariant broken');
  });
});

describe('fixedRows', () => {
  test('batches hold whole rows in order, wherever the chunks are cut', async () => {
    const cases = fc.asyncProperty(fc.nat({ max: 60 }), fc.array(fc.nat()), async (rows, cuts) => {
      const bytes = Buffer.from(Uint8Array.from({ length: rows * 12 }, (_, at) => at));
      const seen: Buffer[] = [];
      for await (const batch of fixedRows(chunksOf(bytes, cuts), 12)) {
        expect(batch.bytes.byteLength).toBe(batch.rows * 12);
        expect(batch.view.getUint8(0)).toBe(batch.bytes[0]);
        seen.push(Buffer.from(batch.bytes));
      }
      expect(Buffer.concat(seen).equals(bytes)).toBe(true);
    });
    await fc.assert(cases, { numRuns: 200 });
  });

  test('a stream that ends inside a row is a fault', async () => {
    const read = async (): Promise<void> => {
      for await (const { rows } of fixedRows(chunksOf(Buffer.alloc(25), []), 12)) expect(rows).toBe(2);
    };
    await expect(read()).rejects.toMatchObject({ code: 'METER_STORE_UNAVAILABLE' });
  });
});

describe('RowCursor', () => {
  test('reads every width, signed and not', () => {
    const cursor = new RowCursor(
      Buffer.from('fffe0102ff04030201ff000000000000ffabcd'.replace('ff04', '04'), 'hex'),
    );
    expect([cursor.uint8(), cursor.int8(), cursor.uint16(), cursor.uint32()]).toEqual([
      255, -2, 0x0201, 0x01020304,
    ]);
    expect(cursor.uint64()).toBe(0xff000000000000ffn);
    expect(Buffer.from(cursor.fixed(2)).toString('hex')).toBe('abcd');
    expect([cursor.atEnd, cursor.isShort]).toEqual([true, false]);
  });

  test('an Int64 that no number can hold is a bug where a number is asked for', () => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(2n ** 53n);
    expect(() => new RowCursor(bytes).int64AsNumber()).toThrow('invariant broken');
    expect(new RowCursor(bytes).int64()).toBe(2n ** 53n);
  });
});
