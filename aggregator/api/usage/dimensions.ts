import {
  MAX_CLUSTER,
  MAX_DESTINATION,
  MAX_NAMESPACE,
  MAX_STORAGE_CLASS,
  MAX_TENANT,
  MAX_WORKLOAD,
} from '../../../core/metering/names.ts';

/** What usage can be told apart by. */
export type Dimension = KeyDimension | DetailDimension;

/** Of the ledger's key. */
export type KeyDimension = 'tenant' | 'cluster' | 'namespace';

/** Finer than the ledger: '' where it is not known, or the meter has none. */
export type DetailDimension = 'workload' | 'destination' | 'storageClass';

export const KEY_DIMENSIONS: readonly KeyDimension[] = ['tenant', 'cluster', 'namespace'];
export const DETAIL_DIMENSIONS: readonly DetailDimension[] = ['workload', 'destination', 'storageClass'];
export const DIMENSIONS: readonly Dimension[] = [...KEY_DIMENSIONS, ...DETAIL_DIMENSIONS];

/** Characters of the longest value that there can be. */
export const LONGEST: Readonly<Record<Dimension, number>> = {
  tenant: MAX_TENANT,
  cluster: MAX_CLUSTER,
  namespace: MAX_NAMESPACE,
  workload: MAX_WORKLOAD,
  destination: MAX_DESTINATION,
  storageClass: MAX_STORAGE_CLASS,
};

export function isDetail(dimension: Dimension): dimension is DetailDimension {
  return DETAIL_DIMENSIONS.some((one) => one === dimension);
}

/** Values that a row may have; an absent dimension is not filtered. */
export type Filters = Readonly<Partial<Record<Dimension, readonly string[]>>>;

/** Whether they name something finer than the ledger's key. */
export function isOfDetails(filters: Filters): boolean {
  return DETAIL_DIMENSIONS.some((dimension) => filters[dimension] !== undefined);
}

export type Group = Readonly<Partial<Record<Dimension, string>>>;

/** Unambiguous, and in the order of the values: no name holds a NUL. */
export function keyOf<Name extends string>(
  groupBy: readonly Name[],
  group: Readonly<Partial<Record<Name, string>>>,
): string {
  return groupBy.map((name) => group[name] ?? '').join('\0');
}

/** Keys as the store orders them: by the bytes of UTF-8, which is the order of their code points. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = rankOf(a.charCodeAt(i)) - rankOf(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Halves of a pair stand for code points beyond those of all other code units. */
function rankOf(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
