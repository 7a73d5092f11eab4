/**
 * Rows as columns in ClickHouse's `Native` format: what `insertBlock` sends.
 *
 * A block is: number of columns, number of rows (varints); then per column its name, its type (both with
 * a varint length) and its values one after the other, little-endian. The values of fixed-width columns
 * are the caller's own memory, not a copy: leave the arrays alone until the insert has settled.
 */
import { invariant } from '../../core/runtime/errors.ts';

/** Bytes of one value. */
const WIDTHS = {
  UInt8: 1,
  UInt16: 2,
  UInt32: 4,
  UInt64: 8,
  Int8: 1,
  Int16: 2,
  Int32: 4,
  Int64: 8,
  UInt128: 16,
  Int128: 16,
  'FixedString(16)': 16,
} as const;

export type FixedType = keyof typeof WIDTHS;

export interface FixedColumn {
  readonly name: string;
  readonly type: FixedType;
  /** At least `rows` values; what lies behind them is not sent, so arrays can be kept and refilled. */
  readonly data: ArrayBufferView;
}

export interface StringColumn {
  readonly name: string;
  readonly type: 'String';
  readonly data: readonly (string | Uint8Array)[];
}

export type Column = FixedColumn | StringColumn;

/** The block's bytes in parts, in order. */
export function nativeBlock(rows: number, columns: readonly Column[]): Uint8Array[] {
  const parts: Uint8Array[] = [Buffer.concat([varint(columns.length), varint(rows)])];
  for (const column of columns) {
    parts.push(Buffer.concat([lengthPrefixed(column.name), lengthPrefixed(column.type)]));
    if (rows > 0) parts.push(column.type === 'String' ? strings(rows, column) : fixed(rows, column));
  }
  return parts;
}

/** The block's structure as SQL, for `BlockInsert.structure`. */
export function blockStructure(columns: readonly Column[]): string {
  return columns.map(({ name, type }) => `${name} ${type}`).join(', ');
}

function fixed(rows: number, column: FixedColumn): Buffer {
  const { name, data } = column;
  const bytes = rows * WIDTHS[column.type];
  invariant(data.byteLength >= bytes, `column ${name} holds ${data.byteLength} of ${bytes} bytes`);
  return Buffer.from(data.buffer, data.byteOffset, bytes);
}

function strings(rows: number, column: StringColumn): Buffer {
  const { name, data } = column;
  invariant(data.length >= rows, `column ${name} holds ${data.length} of ${rows} strings`);
  return Buffer.concat(data.slice(0, rows).flatMap((value) => lengthPrefixedParts(value)));
}

function lengthPrefixed(value: string): Buffer {
  return Buffer.concat(lengthPrefixedParts(value));
}

function lengthPrefixedParts(value: string | Uint8Array): Uint8Array[] {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return [varint(bytes.byteLength), bytes];
}

/** Seven bits a byte, the lowest first; the high bit says that more follow. */
function varint(value: number): Buffer {
  invariant(Number.isSafeInteger(value) && value >= 0, 'a length is a whole number');
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Signed 128-bit integers as a column. */
export function int128Column(name: string, values: readonly bigint[]): FixedColumn {
  const words = new BigUint64Array(values.length * 2);
  values.forEach((value, i) => {
    words[i * 2] = BigInt.asUintN(64, value);
    words[i * 2 + 1] = BigInt.asUintN(64, value >> 64n);
  });
  return { name, type: 'Int128', data: words };
}
