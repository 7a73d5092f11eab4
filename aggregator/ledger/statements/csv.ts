/**
 * A statement as CSV (RFC 4180: CRLF, a header), for spreadsheets and `cut`. PURE. Numbers are written as
 * numbers, negative ones with their minus; what a record has nothing to say about is empty.
 *
 * A spreadsheet takes a field that begins with `=`, `+`, `-`, `@`, TAB or CR for a formula. Names out of
 * Kubernetes cannot begin so, but a cluster's name and the words of a waiver are an operator's: such text
 * gets an apostrophe before it, which spreadsheets take for "this is text". Whoever needs the text to the
 * letter reads JSON or Parquet.
 */
import { csv, type CsvField } from '../../../core/runtime/csv.ts';
import type { Statement } from '../statement.ts';
import { instant } from './canonical.ts';
import { decimalText } from './presented.ts';
import { COLUMNS, recordsOf, type ColumnType, type RecordValue } from './records.ts';

export function renderCsv(statement: Statement): string {
  const header = COLUMNS.map(({ name }) => name);
  const rows = recordsOf(statement).map((record) =>
    COLUMNS.map(({ name, type }) => field(record[name], type)),
  );
  return csv(header, rows);
}

/** Text that no spreadsheet takes for a formula. */
export function plainText(text: string): string {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

function field(value: RecordValue, type: ColumnType): CsvField {
  if (typeof value === 'string') return plainText(value);
  if (type === 'billionths' && typeof value === 'bigint') return decimalText(value);
  if (type === 'instant' && typeof value === 'number') return instant(value);
  return value;
}
