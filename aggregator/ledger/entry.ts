/**
 * What stands in the ledger. An entry's id is made of what it says and of its revision, so the same decision
 * written twice (a crash between the insert and its acknowledgement) is recognised; the order of entries is
 * given by the store.
 */
import { hash } from 'node:crypto';
import type { Period } from '../../core/metering/period.ts';

export const ENTRY_KINDS = ['usage', 'correction', 'coverage', 'period', 'breach', 'erasure'] as const;

export type EntryKind = (typeof ENTRY_KINDS)[number];

/** Base units, by quarter of the hour. */
export type Quarters = readonly [bigint, bigint, bigint, bigint];

/** Whose usage, or coverage, of which hour. */
export interface EntryKey {
  /** Start of the hour, ms; for entries about a period its start. */
  readonly hour: number;
  readonly cluster: string;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: string;
}

/** What is known of a key's hour. */
export interface HourValue {
  readonly quarters: Quarters;
  readonly missingMs: bigint;
  readonly samples: bigint;
  readonly flags: number;
  readonly coveredMs: bigint;
  readonly expectedMs: bigint;
}

export interface LedgerEntry extends EntryKey, HourValue {
  /** 16 bytes. */
  readonly id: Buffer;
  readonly kind: EntryKind;
  /** The period that the entry is dated to. */
  readonly period: Period;
  readonly revision: number;
  /** A correction as a close fixed it. */
  readonly final: boolean;
  /** Of a correction: the value at the last close. */
  readonly before: Quarters;
  /** 16 bytes: what the value was made from. */
  readonly inputHash: Buffer;
  readonly body: string;
}

/** Of the metering rule that made the values: changed together with what METERING.md says. */
export const RULE_VERSION = 1;

export const NO_QUARTERS: Quarters = [0n, 0n, 0n, 0n];
export const NOTHING: HourValue = {
  quarters: NO_QUARTERS,
  missingMs: 0n,
  samples: 0n,
  flags: 0,
  coveredMs: 0n,
  expectedMs: 0n,
};

/** What a store, or a sum, gives of each; what is absent is 0. */
export function quartersFrom([q0 = 0, q1 = 0, q2 = 0, q3 = 0]: readonly (string | number)[]): Quarters {
  return [BigInt(q0), BigInt(q1), BigInt(q2), BigInt(q3)];
}

export function quantityOf(quarters: Quarters): bigint {
  return quarters[0] + quarters[1] + quarters[2] + quarters[3];
}

export function sameQuarters(a: Quarters, b: Quarters): boolean {
  return a.every((quarter, i) => quarter === b[i]);
}

/** The first 16 bytes of a SHA-256 over the fields; a field cannot run into the next. */
export function fingerprint(...fields: readonly (string | number | bigint)[]): Buffer {
  return hash('sha256', JSON.stringify(fields.map(String)), 'buffer').subarray(0, 16);
}

/** The key as one string. */
export function keyText({ hour, cluster, tenant, namespace, meter }: EntryKey): string {
  return JSON.stringify([hour, cluster, tenant, namespace, meter]);
}

/** Of one revision of a key. Two processes that settle the same hour from the same samples give the same. */
export function revisionId(kind: EntryKind, key: EntryKey, revision: number, inputHash: Buffer): Buffer {
  return fingerprint(kind, keyText(key), revision, inputHash.toString('hex'));
}

/** Of a correction fixed by a close: the same under any replay of samples and closes. */
export function correctionId(closing: Period, key: EntryKey): Buffer {
  return fingerprint('correction', closing, keyText(key));
}
