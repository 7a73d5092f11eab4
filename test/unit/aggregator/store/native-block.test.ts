import { describe, expect, test } from 'vitest';
import { blockStructure, nativeBlock, type Column } from '../../../../aggregator/store/native-block.ts';

const hex = (parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString('hex');

describe('nativeBlock', () => {
  test('writes counts, then name, type and values of each column', () => {
    const columns: Column[] = [
      { name: 'n', type: 'UInt16', data: Uint16Array.of(1, 0x0203) },
      { name: 's', type: 'String', data: ['é', ''] },
    ];
    expect(hex(nativeBlock(2, columns))).toBe(
      // 2 columns, 2 rows; "n" "UInt16" 0100 0302; "s" "String" 2 bytes c3a9, 0 bytes
      '0202' + '016e' + '0655496e743136' + '01000302' + '0173' + '06537472696e67' + '02c3a900',
    );
  });

  test('the rows take two bytes of a varint from 128 on', () => {
    const [head] = nativeBlock(300, [{ name: 'a', type: 'UInt8', data: new Uint8Array(300) }]);
    expect(Buffer.from(head ?? []).toString('hex')).toBe('01ac02');
  });

  test('values of fixed width are the memory of the caller, not a copy', () => {
    const data = new BigInt64Array(4);
    const parts = nativeBlock(3, [{ name: 't', type: 'Int64', data }]);
    expect(parts.at(-1)?.buffer).toBe(data.buffer);
    expect(parts.at(-1)?.byteLength).toBe(24);
  });

  test('an array that starts inside its buffer is taken from where it starts', () => {
    const data = Uint32Array.of(1, 2, 3, 4).subarray(2);
    expect(hex(nativeBlock(2, [{ name: 'a', type: 'UInt32', data }]).slice(-1))).toBe('0300000004000000');
  });

  test('no rows are a block without values', () => {
    const columns: Column[] = [{ name: 'a', type: 'UInt8', data: new Uint8Array(9) }];
    expect(hex(nativeBlock(0, columns))).toBe('01' + '00' + '0161' + '0555496e7438');
  });

  test.each<Column>([
    { name: 'id', type: 'FixedString(16)', data: new Uint8Array(31) },
    { name: 'id', type: 'String', data: ['one'] },
  ])('a column that is too short is a bug: $type', (column) => {
    expect(() => nativeBlock(2, [column])).toThrow('invariant broken: column id holds');
  });

  test('the structure names every column with its type', () => {
    const data = new Uint8Array(16);
    const columns: Column[] = [
      { name: 'series', type: 'FixedString(16)', data },
      { name: 't', type: 'Int64', data },
    ];
    expect(blockStructure(columns)).toBe('series FixedString(16), t Int64');
  });
});
