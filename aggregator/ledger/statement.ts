/**
 * What a tenant is billed from: the lines of one period, and the corrections of earlier ones that this
 * period's close fixed. PURE. A statement is a function of the samples below the cut, the settings and the
 * closes before it: no offset, revision or time of writing stands in it, so that any machine gets the same
 * bytes.
 */

/** One cluster, namespace and meter over the whole period, in the meter's base unit. */
export interface StatementLine {
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly quantity: bigint;
  /** Hours of the period that have something to say about this line. */
  readonly hours: number;
  readonly missingMs: bigint;
  readonly samples: bigint;
  /** Union over the hours, see `conversion/flags.ts`. */
  readonly flags: number;
  /** SHA-256 (hex) over the hours in order, quarters included: what `verify` recomputes. */
  readonly hoursHash: string;
}

/** Of an hour of an earlier, closed period: its value at this cut minus its value at the cut before. */
export interface CorrectionLine {
  /** Deterministic: made of the closing period and the key. */
  readonly id: string;
  /** Start of the corrected hour, ms. */
  readonly hour: number;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly before: bigint;
  readonly after: bigint;
}

/** How much of the period was seen of a cluster, for a meter. */
export interface CoverageLine {
  readonly cluster: string;
  readonly meter: string;
  readonly coveredMs: bigint;
  readonly expectedMs: bigint;
}

/** An operator let the period close although the cluster was silent. */
export interface WaiverLine {
  readonly cluster: string;
  readonly reason: string;
  readonly approvedBy: string;
}

export interface Statement {
  /** `2026-10`; a calendar month, UTC. */
  readonly period: string;
  readonly tenant: string;
  readonly ruleVersion: number;
  /** SHA-256 of the settings that were pinned. */
  readonly settingsHash: string;
  /** Of the close before this one; '' for the first. */
  readonly previousCloseHash: string;
  readonly waivers: readonly WaiverLine[];
  readonly coverage: readonly CoverageLine[];
  /** Sorted by meter, cluster, namespace. */
  readonly lines: readonly StatementLine[];
  /** Sorted by hour, meter, cluster, namespace. */
  readonly corrections: readonly CorrectionLine[];
}

/** What a statement would say if its period were closed now. */
export type ProvisionalStatement = Pick<
  Statement,
  'period' | 'tenant' | 'coverage' | 'lines' | 'corrections'
>;
