/**
 * The settings that decide what usage is. They are pinned at a close; every other setting only decides how it
 * is found.
 */
export interface MeteringSettings {
  /** Label of `kube_namespace_labels` that names the tenant. */
  readonly tenantLabel: string;
  readonly platformNamespaces: readonly string[];
  /** A gauge holds its value at most this long. */
  readonly maxHoldMs: number;
  /** How far back a scrape may lie that proves a birth; how long a period stays open after its end. */
  readonly latenessMs: number;
  readonly maxCores: number;
  readonly maxLinkBytesPerSecond: number;
  /** The pod-side interface whose bytes count. */
  readonly networkInterface: string;
  /** Samples older than this, judged by the log's own time, are quarantined. */
  readonly rawRetentionMs: number;
  /**
   * Usage by the hour, and what it is made from beside samples, is kept this long; older hours stay as they
   * are.
   */
  readonly hoursRetentionMs: number;
}

/** A sample further ahead of its record's log timestamp than this is rejected. */
export const FUTURE_TOLERANCE_MS = 600_000;

/** Tenants that are not organizations. */
export const PLATFORM_TENANT = 'platform';
export const UNATTRIBUTED_TENANT = 'unattributed';
