/**
 * A statement as one table, which CSV and Parquet are written from: lines, then corrections, coverage and
 * waivers, each in its order, told apart by `record`. PURE. A column holds something only in the records it
 * says; every record carries period, tenant and the statement's hash, so that files of many statements can be
 * put together.
 */
import type { CorrectionLine, CoverageLine, Statement, StatementLine, WaiverLine } from '../statement.ts';
import { statementHash } from './canonical.ts';
import { flagNames, isComplete } from './json.ts';
import { inOrder } from './order.ts';
import { definitionOf, toBillionths } from './presented.ts';

/**
 * How a value is written: `wide` is an integer of up to 38 digits, `billionths` a decimal of nine digits
 * after the point, `instant` ms since the epoch.
 */
export type ColumnType = 'text' | 'wide' | 'integer' | 'billionths' | 'instant' | 'boolean';

export interface StatementColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** Set in every record. */
  readonly always?: true;
}

/** The order is kept and names are never given a second meaning: readers rely on both. */
export const COLUMNS = [
  { name: 'record', type: 'text', always: true },
  { name: 'period', type: 'text', always: true },
  { name: 'tenant', type: 'text', always: true },
  { name: 'cluster', type: 'text', always: true },
  { name: 'namespace', type: 'text' },
  { name: 'meter', type: 'text' },
  { name: 'hour', type: 'instant' },
  { name: 'quantity', type: 'wide' },
  { name: 'unit', type: 'text' },
  { name: 'presented_quantity', type: 'billionths' },
  { name: 'presented_unit', type: 'text' },
  { name: 'before', type: 'wide' },
  { name: 'after', type: 'wide' },
  { name: 'hours', type: 'integer' },
  { name: 'missing_ms', type: 'wide' },
  { name: 'samples', type: 'integer' },
  { name: 'flags', type: 'integer' },
  { name: 'flag_names', type: 'text' },
  { name: 'covered_ms', type: 'integer' },
  { name: 'expected_ms', type: 'integer' },
  { name: 'complete', type: 'boolean' },
  { name: 'correction_id', type: 'text' },
  { name: 'hours_hash', type: 'text' },
  { name: 'reason', type: 'text' },
  { name: 'approved_by', type: 'text' },
  { name: 'statement_hash', type: 'text', always: true },
] as const satisfies readonly StatementColumn[];

interface Values {
  readonly text: string;
  readonly wide: bigint;
  readonly integer: bigint;
  readonly billionths: bigint;
  readonly instant: number;
  readonly boolean: boolean;
}

type Column = (typeof COLUMNS)[number];
/** Absent is what the record has nothing to say about. */
export type StatementRecord = {
  readonly [Each in Column as Each['name']]?: Values[Each['type']];
};
export type RecordValue = Values[ColumnType] | undefined;

export function recordsOf(statement: Statement): StatementRecord[] {
  const { period, tenant, lines, corrections, coverage, waivers } = inOrder(statement);
  const ofAll = { period, tenant, statement_hash: statementHash(statement) };
  return [
    ...lines.map(lineRecord),
    ...corrections.map(correctionRecord),
    ...coverage.map(coverageRecord),
    ...waivers.map(waiverRecord),
  ].map((record) => ({ ...record, ...ofAll }));
}

function quantities(quantity: bigint, meter: string): StatementRecord {
  const definition = definitionOf(meter);
  return {
    ...{ quantity, unit: definition.unit },
    ...{ presented_quantity: toBillionths(quantity, definition), presented_unit: definition.presented.unit },
  };
}

function lineRecord(line: StatementLine): StatementRecord {
  const { meter, cluster, namespace, quantity, hours, missingMs, samples, flags, hoursHash } = line;
  return {
    ...{ record: 'line', meter, cluster, namespace, ...quantities(quantity, meter), hours: BigInt(hours) },
    ...{ missing_ms: missingMs, samples, flags: BigInt(flags), flag_names: flagNames(flags).join(' ') },
    hours_hash: hoursHash,
  };
}

function correctionRecord({ id, hour, before, after, ...key }: CorrectionLine): StatementRecord {
  const { meter, cluster, namespace } = key;
  return {
    ...{ record: 'correction', meter, cluster, namespace, hour, ...quantities(after - before, meter) },
    ...{ before, after, correction_id: id },
  };
}

function coverageRecord(line: CoverageLine): StatementRecord {
  const { meter, cluster, coveredMs, expectedMs } = line;
  const complete = isComplete(line);
  return { record: 'coverage', meter, cluster, covered_ms: coveredMs, expected_ms: expectedMs, complete };
}

function waiverRecord({ cluster, reason, approvedBy }: WaiverLine): StatementRecord {
  return { record: 'waiver', cluster, reason, approved_by: approvedBy };
}
