import type { Period } from '../../../core/metering/period.ts';

export interface Load {
  readonly tenants: number;
  readonly meters: readonly string[];
  readonly namespaces: number;
  /** The newest month, which is open until `nowMs`. */
  readonly open: Period;
  readonly nowMs: number;
}

/** Tenants are `tenant-0000` and so on. */
export function tenantName(i: number): string {
  return `tenant-${String(i).padStart(4, '0')}`;
}
