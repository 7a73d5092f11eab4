/** Stable ids of things by their identity; the same on every machine, for ever. */
import { createHash } from 'node:crypto';

/** 128 bits, as the 16 bytes of a series id. */
export function hash128(identity: string): Uint8Array {
  // A copy lies on the heap; a part of the digest would keep memory of its own beside it.
  const id = new Uint8Array(16);
  id.set(createHash('sha256').update(identity).digest().subarray(0, id.length));
  return id;
}

/** 64 bits, never 0 (0 stands for "none"). */
export function hash64(identity: string): bigint {
  const value = createHash('sha256').update(identity).digest().readBigUInt64LE(0);
  return value === 0n ? 1n : value;
}
