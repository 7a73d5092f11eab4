const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * The partition of a key: 32-bit FNV-1a, its halves folded together, modulo the partitions. It never
 * changes for a topic, because a series whose records moved to another partition would lose their order.
 * The key `a` hashes to 0xe40c292c; 0xe40c ^ 0x292c = 0xcd20, which of 4 partitions is 0.
 */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  let hash = FNV_OFFSET;
  for (const byte of key) hash = Math.imul(hash ^ byte, FNV_PRIME);
  // Small moduli see only the low bits, which are the weakest ones of this hash.
  return ((hash >>> 16) ^ (hash & 0xffff)) % partitions;
}
