import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { I32, I64, LEN, MessageReader, tag, VARINT } from '../../../../core/protobuf/message-reader.ts';
import { bytesField, textField, varintField } from '../../../../core/protobuf/message-writer.ts';

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

/** Reads every field of a message and passes over it. */
function isSound(message: Uint8Array): boolean {
  const reader = new MessageReader(message);
  while (reader.more(message.length)) reader.skip(reader.varint(), message.length);
  return !reader.isBad;
}

describe('integers', () => {
  it('are exact as far as a number is, and the nearest number beyond', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const bytes = varint(value);
        const reader = new MessageReader(bytes);
        expect([reader.int64(), reader.at, reader.isBad]).toEqual([Number(value), bytes.length, false]);
      }),
    );
  });

  it.each([-1n, 0n, 127n, 128n, 2n ** 49n - 1n, 2n ** 49n, 1_790_000_000_000n, -(2n ** 63n)])(
    '%s',
    (value) => {
      expect(new MessageReader(varint(value)).int64()).toBe(Number(value));
    },
  );

  it.each([
    ['that do not end', [0xff, 0xff]],
    ['of more than ten bytes', Array.from({ length: 11 }, () => 0x80)],
  ])('%s are bad', (_, bytes) => {
    const reader = new MessageReader(Uint8Array.from(bytes));
    expect([reader.varint(), reader.isBad, reader.more(100)]).toEqual([0, true, false]);
  });
});

describe('fields', () => {
  it('of every kind are passed over', () => {
    const fields = [
      Buffer.concat([Buffer.from([tag(1, VARINT)]), varint(300n)]),
      Buffer.from([tag(2, I64), 1, 2, 3, 4, 5, 6, 7, 8]),
      Buffer.from([tag(3, LEN), 2, 9, 9]),
      Buffer.from([tag(4, I32), 1, 2, 3, 4]),
    ];
    expect(isSound(Buffer.concat(fields))).toBe(true);
    for (const field of fields) expect(isSound(field.subarray(0, -1))).toBe(false);
  });

  it.each([
    ['number 0', [0x02, 0x00]],
    ['a group', [0x0b, 0x0c]],
    ['a frame beyond its end', [0x0a, 0x05, 0x00]],
    ['a frame of nearly 2^64 bytes', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
  ])('with %s are bad', (_, bytes) => {
    expect(isSound(Uint8Array.from(bytes))).toBe(false);
  });

  it('are read within a part of a larger buffer', () => {
    const whole = Buffer.from([0xff, 0x09, 1, 0, 0, 0, 0, 0, 0, 0xf0, 0xff]);
    const message = whole.subarray(1, 10);
    const reader = new MessageReader(message);
    expect(reader.varint()).toBe(tag(1, I64));
    expect(reader.view.getUint32(reader.fixed64(message.length), true)).toBe(1);
    expect([reader.at, reader.isBad]).toEqual([9, false]);
    expect([reader.fixed64(message.length), reader.isBad]).toEqual([0, true]);
  });
});

describe('written fields', () => {
  it('are read as they were meant; what is empty is not written', () => {
    const message = Buffer.concat([
      varintField(1, 300),
      textField(2, 'é'),
      bytesField(3, Buffer.alloc(200, 7)),
    ]);
    const reader = new MessageReader(message);
    expect([reader.varint(), reader.varint()]).toEqual([tag(1, VARINT), 300]);
    expect([reader.varint(), reader.take(message.length).toString()]).toEqual([tag(2, LEN), 'é']);
    expect([reader.varint(), reader.take(message.length)]).toEqual([tag(3, LEN), Buffer.alloc(200, 7)]);
    expect([reader.more(message.length), reader.isBad]).toEqual([false, false]);
    expect([varintField(1, 0), textField(2, '')]).toEqual([Buffer.alloc(0), Buffer.alloc(0)]);
  });
});
