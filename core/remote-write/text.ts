import { isUtf8 } from 'node:buffer';

/** Are these bytes UTF-8? Most are ASCII, and told at once. */
export function isText(bytes: Buffer, begin: number, end: number): boolean {
  for (let at = begin; at < end; at++) {
    if ((bytes[at] ?? 0) >= 0x80) return isUtf8(bytes.subarray(at, end));
  }
  return true;
}
