/** Protobuf fields from parts that are bytes already; objects are encoded by core/otlp/encode.ts. */
import { LEN, tag, VARINT } from './message-reader.ts';

/** A field that is all there is of a message, or stands beside few others. */
export function bytesField(field: number, content: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(frameLength(field, content.length));
  writeBytes(out, 0, field, content);
  return out;
}

/** Nothing for "", as every encoder of proto3 does. */
export function textField(field: number, text: string): Buffer {
  return text === '' ? Buffer.alloc(0) : bytesField(field, Buffer.from(text, 'utf8'));
}

/** Nothing for 0, as every encoder of proto3 does. */
export function varintField(field: number, value: number): Buffer {
  if (value === 0) return Buffer.alloc(0);
  const out = Buffer.allocUnsafe(varintLength(tag(field, VARINT)) + varintLength(value));
  writeVarint(out, writeVarint(out, 0, tag(field, VARINT)), value);
  return out;
}

/** Bytes of a length-delimited field with so much content. */
export function frameLength(field: number, length: number): number {
  return varintLength(tag(field, LEN)) + varintLength(length) + length;
}

/** A length-delimited field; where it ends. */
export function writeBytes(out: Uint8Array, at: number, field: number, content: Uint8Array): number {
  const begin = writeHeader(out, at, { field, length: content.length });
  out.set(content, begin);
  return begin + content.length;
}

/** What stands before the content of a length-delimited field; where the content begins. */
export function writeHeader(
  out: Uint8Array,
  at: number,
  { field, length }: { readonly field: number; readonly length: number },
): number {
  return writeVarint(out, writeVarint(out, at, tag(field, LEN)), length);
}

/** 0 <= value < 2^53; where it ends. */
export function writeVarint(out: Uint8Array, at: number, value: number): number {
  let rest = value;
  let to = at;
  while (rest >= 0x80) {
    out[to++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[to++] = rest;
  return to;
}

export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}
