/**
 * The store: a port with two real sides, a ClickHouse server and chDB in this process. Same migrations,
 * same statements on both. Stages own their SQL; this port only carries it.
 *
 * - Parameters are always bound (`{name:Type}` in the statement), never spliced.
 * - Integers of 64 bits and more come back as decimal strings.
 * - An insert that resolved is in the store (it survives the process; a power failure is covered by
 *   replaying the log). An insert that rejected may have landed all the same.
 * - Operating faults are `MeteringError`s with a code; nobody looks at message texts.
 */
export type ParameterValue = string | number | bigint | boolean | readonly ParameterValue[];
export type Parameters = Readonly<Record<string, ParameterValue>>;

export interface ReadOptions {
  /** The engine gives up after this time (`QUERY_TIMEOUT`). */
  readonly timeoutMs?: number;
}

/** Rows as columns of a ClickHouse `Native` block, built by the writer; see `native-block.ts`. */
export interface BlockInsert {
  readonly table: string;
  /** Target columns, in the order of `select`. */
  readonly columns: readonly string[];
  /** Structure of the block, e.g. `t Int64, value Int64`. */
  readonly structure: string;
  /** Expressions over the block's columns (and parameters), one per target column. */
  readonly select: readonly string[];
  /** Over columns and parameters: what it is false for is not inserted. Sub-queries are read once, first. */
  readonly where?: string;
  readonly parameters?: Parameters;
  readonly block: readonly Uint8Array[];
}

export interface UsageStore {
  /** A SELECT without FORMAT; rows as objects. For results that fit in memory. */
  rows<Row>(sql: string, parameters?: Parameters, options?: ReadOptions): Promise<readonly Row[]>;
  /** A SELECT without FORMAT, as RowBinary, in chunks of whatever size (a row may straddle two). */
  rowBinary(sql: string, parameters?: Parameters, options?: ReadOptions): AsyncIterable<Uint8Array>;
  /** DDL, INSERT ... SELECT and the like: one statement, no result. */
  command(sql: string, parameters?: Parameters): Promise<void>;
  /** Insert objects (JSONEachRow); bigints are written as integers. No rows, no call. */
  insert(table: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<void>;
  /** Insert one Native block: the hot path. */
  insertBlock(insert: BlockInsert): Promise<void>;
  close(): Promise<void>;
}
