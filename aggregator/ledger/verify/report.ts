/** What came of it, and for people: what was compared, line by line, and then what differs. */
import type { CheckName, CheckResult } from './check.ts';

export interface VerifyReport {
  /** `2026-10` */
  readonly period: string;
  /** Whether all that could be compared is equal. */
  readonly equal: boolean;
  /** How much of the period was made from samples. */
  readonly verified: 'from samples' | 'partly from samples' | 'ledger only';
  /** Hours of clusters that the period knows. */
  readonly hours: { readonly fromSamples: number; readonly ledgerOnly: number; readonly inMotion: number };
  /** Samples that were read. */
  readonly samples: number;
  readonly checks: readonly CheckResult[];
  /** What was not verified and why, in words. */
  readonly reservations: readonly string[];
}

/** 0: all of it is equal. 1: something differs, or could not be judged yet. */
export function verifyStatus(report: VerifyReport): 0 | 1 {
  return report.equal && report.hours.inMotion === 0 ? 0 : 1;
}

const MEANINGS: Readonly<Record<CheckName, string>> = {
  parts: 'stored parts, closings and coverage, as the samples give them',
  details: 'usage broken down, hour by hour, as parts give it',
  usage: 'hours of the ledger, value and hash, as the samples give them',
  coverage: 'coverage in the ledger, as the scrapes give it',
  corrections: 'corrections, as the ledger gives them',
  statements: 'hashes and bytes of statements, as the ledger gives them',
  close: 'hashes of closes, from the first to this one',
};

export function renderVerifyReport(report: VerifyReport): string {
  const { checks } = report;
  const width = Math.max(...checks.map(({ compared }) => grouped(compared).length));
  return [
    headline(report),
    '',
    ...checks.map((check) => checkLine(check, width)),
    ...(report.reservations.length > 0
      ? ['', ...report.reservations.map((line) => `Not verified: ${line}.`)]
      : []),
    ...checks.flatMap(differenceLines),
    '',
  ].join('\n');
}

function headline({ period, equal, verified, hours, samples }: VerifyReport): string {
  if (!equal)
    return `${period}: NOT what was billed from what is stored. Runbook: docs/runbooks/period-mismatch.md`;
  const made = `${grouped(samples)} samples in ${grouped(hours.fromSamples)} hours`;
  switch (verified) {
    case 'from samples':
      return `${period}: equal, from ${made} to the close`;
    case 'partly from samples':
      return `${period}: equal as far as it could be verified: from ${made}`;
    case 'ledger only':
      return `${period}: equal from ledger to close; its ${grouped(hours.ledgerOnly)} hours have no samples`;
  }
}

function checkLine({ name, compared, differing }: CheckResult, width: number): string {
  const verdict = compared === 0 ? 'none' : differing === 0 ? 'equal' : `${grouped(differing)} DIFFER`;
  return `  ${name.padEnd(12)} ${grouped(compared).padStart(width)}  ${verdict.padEnd(9)}  ${MEANINGS[name]}`;
}

function differenceLines({ name, differing, differences }: CheckResult): string[] {
  if (differing === 0) return [];
  const more = differing - differences.length;
  return [
    '',
    `${name}:`,
    ...differences.flatMap(({ what, recomputed, stored }) => [
      `  ${what}`,
      `    recomputed  ${recomputed}`,
      `    stored      ${stored}`,
    ]),
    ...(more > 0 ? [`  and ${grouped(more)} more`] : []),
  ];
}

function grouped(value: number): string {
  return value.toLocaleString('en-US');
}
