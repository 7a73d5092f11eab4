/**
 * A statement as Parquet: the rows of the CSV with types, for DuckDB, ClickHouse or Spark. PURE. Base
 * quantities and missing milliseconds are DECIMAL(38,0): 64 bits overflow at 3.3 GiB-months, and 38 digits
 * hold four thousand million series at 2^63 - 1 bytes through all of a month. Presented quantities are
 * DECIMAL(38,9), which is less of nothing but plain counts, and still 10^29 of those. What does not fit is
 * refused, never cut. Rows and schema are stable; the bytes are those of one version of the writer, so the
 * hash to hold on to is in the rows and in the metadata.
 */
import { parquetWriteBuffer, type SchemaElement } from 'hyparquet-writer';
import { invariant } from '../../../core/runtime/errors.ts';
import type { Statement } from '../statement.ts';
import { statementHash } from './canonical.ts';
import { FRACTION_DIGITS } from './presented.ts';
import { COLUMNS, recordsOf, type ColumnType, type RecordValue, type StatementColumn } from './records.ts';

const DIGITS = 38;
const WIDEST = 10n ** BigInt(DIGITS) - 1n;
const MAX_INT64 = (1n << 63n) - 1n;

type Element = Omit<SchemaElement, 'name' | 'repetition_type'>;
const decimal = (scale: number): Element => ({
  ...{ type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16, converted_type: 'DECIMAL', precision: DIGITS, scale },
});

const ELEMENTS: Readonly<Record<ColumnType, Element>> = {
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  wide: decimal(0),
  billionths: decimal(FRACTION_DIGITS),
  integer: { type: 'INT64' },
  instant: { type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' },
  boolean: { type: 'BOOLEAN' },
};

const COLUMN_LIST: readonly StatementColumn[] = COLUMNS;
const SCHEMA: SchemaElement[] = [
  { name: 'statement', num_children: COLUMN_LIST.length },
  ...COLUMN_LIST.map(({ name, type, always }) => ({
    ...{ name, repetition_type: always === true ? ('REQUIRED' as const) : ('OPTIONAL' as const) },
    ...ELEMENTS[type],
  })),
];

export function renderParquet(statement: Statement): Uint8Array {
  const records = recordsOf(statement);
  const buffer = parquetWriteBuffer({
    schema: SCHEMA,
    columnData: COLUMNS.map(({ name, type }) => ({
      ...{ name, data: records.map((record) => stored(record[name], type)) },
    })),
    kvMetadata: metadata(statement),
    createdBy: 'gh0stcloud-metering',
  });
  return new Uint8Array(buffer);
}

function metadata(statement: Statement): { key: string; value: string }[] {
  const { period, tenant, ruleVersion, settingsHash, previousCloseHash } = statement;
  const about = {
    period,
    tenant,
    ruleVersion,
    settingsHash,
    previousCloseHash,
    hash: statementHash(statement),
  };
  return Object.entries(about).map(([key, value]) => ({
    key: `gh0stcloud.metering.${key}`,
    value: String(value),
  }));
}

/** A value as the writer takes it: unscaled decimals as bigint, timestamps as bigint of ms. */
function stored(value: RecordValue, type: ColumnType): string | bigint | boolean | null {
  if (value === undefined) return null;
  if (typeof value === 'number') return BigInt(value);
  if (typeof value === 'bigint') {
    const most = type === 'integer' ? MAX_INT64 : WIDEST;
    invariant(value <= most && value >= -most, `${value} fits its Parquet column`);
  }
  return value;
}
