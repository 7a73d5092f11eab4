/** Keys, order and groups, as every rule needs them. */
export function key(...parts: readonly (string | bigint)[]): string {
  return JSON.stringify(parts.map(String));
}

export function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function largest(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => (a > b ? a : b));
}

export function grouped<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  return Map.groupBy(items, keyOf);
}
