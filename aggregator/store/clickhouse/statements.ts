/** The SQL around a stage's SQL, the same for both drivers. */
import type { BlockInsert, ReadOptions } from '../usage-store.ts';

/** A result of `rows` is held in memory as a whole; more than this is a question for `rowBinary`. */
export const MAX_ROWS_RESULT_BYTES = 256 * 1024 * 1024;

/**
 * Settings that make both sides give the same answers; none of them ever varies, because chDB keeps what
 * was set for one statement for all later ones of its connection.
 */
export const CONSTANT_SETTINGS = {
  // Sums of usage pass 2^53 within a day; as JSON numbers they would be rounded.
  output_format_json_quote_64bit_integers: 1,
  output_format_json_quote_decimals: 1,
  output_format_json_quote_denormals: 1,
  // An insert that resolved is stored; buffered inserts are stored some time later.
  async_insert: 0,
  // Unmatched rows of a join are 0 and '', never NULL.
  join_use_nulls: 0,
  // A misspelt column must fail, not vanish.
  input_format_skip_unknown_fields: 0,
  // Late samples may lie on any number of days.
  max_partitions_per_insert_block: 0,
  // Lists of series ids travel as parameters.
  max_query_size: 64 * 1024 * 1024,
} as const;

type InlineSettings = Readonly<Record<string, string | number>>;

/** Settings behind FORMAT hold for this statement only, on a server and on chDB alike. */
function read(sql: string, format: string, settings: InlineSettings): string {
  const assignments = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  return `${sql}\nFORMAT ${format} SETTINGS ${assignments.join(', ')}`;
}

function timeLimit(options: ReadOptions): InlineSettings {
  return { max_execution_time: (options.timeoutMs ?? 0) / 1000 };
}

export function rowsStatement(sql: string, options: ReadOptions): string {
  return read(sql, 'JSONEachRow', { max_result_bytes: MAX_ROWS_RESULT_BYTES, ...timeLimit(options) });
}

export function rowBinaryStatement(sql: string, options: ReadOptions): string {
  // Blocks bounded by rows, not by the default megabyte: a third more rows per second at 40 bytes a row.
  return read(sql, 'RowBinary', { preferred_block_size_bytes: 16_000_000, ...timeLimit(options) });
}

/** `source` is where the block comes from: `input(...)` on a server, `file(...)` on chDB. */
export function blockInsertStatement(insert: BlockInsert, source: string): string {
  const { table, columns, select, where } = insert;
  const condition = where === undefined ? '' : ` WHERE ${where}`;
  const selected = `SELECT ${select.join(', ')} FROM ${source}${condition}`;
  return `INSERT INTO ${table} (${columns.join(', ')}) ${selected}`;
}

/** One JSON document per line to one array: a single parse is twice as fast as one per row. */
export function parseRows(lines: string): readonly unknown[] {
  return JSON.parse(`[${lines.trimEnd().replaceAll('\n', ',')}]`) as unknown[];
}

/** Integer columns take quoted integers, and a quoted one has no 2^53. */
export function serializeRows(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const exact = (_name: string, value: unknown): unknown =>
    typeof value === 'bigint' ? value.toString() : value;
  return rows.map((row) => `${JSON.stringify(row, exact)}\n`).join('');
}

/** A statement's head for messages: enough to find it, never its data. */
export function headOf(sql: string): string {
  const line = sql.trim().replace(/\s+/g, ' ');
  return line.length <= 80 ? line : `${line.slice(0, 79)}…`;
}
