/** Protobuf fields from parts that are bytes already; objects are encoded by core/otlp/encode.ts. */
import { LEN, tag, VARINT } from './message-reader.ts';

/** The header of a length-delimited field; its content follows. */
export function fieldHeader(field: number, length: number): Buffer {
  return Buffer.concat([varint(tag(field, LEN)), varint(length)]);
}

export function bytesField(field: number, content: Uint8Array): Buffer {
  return Buffer.concat([fieldHeader(field, content.length), content]);
}

/** Nothing for "", as every encoder of proto3 does. */
export function textField(field: number, text: string): Buffer {
  return text === '' ? Buffer.alloc(0) : bytesField(field, Buffer.from(text, 'utf8'));
}

/** Nothing for 0, as every encoder of proto3 does. */
export function varintField(field: number, value: number): Buffer {
  return value === 0 ? Buffer.alloc(0) : Buffer.concat([varint(tag(field, VARINT)), varint(value)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
