/**
 * The store on a ClickHouse server, over HTTP with the official client.
 *
 * Input: a URL and who asks. Output: the `UsageStore` port. Guarantee: an insert that resolved is in the
 * server's table; one that rejected may be there all the same, and repeating it is harmless by design of
 * the tables. A crash on this side leaves nothing to clean up.
 *
 * - Answers are sent only once they are complete (`wait_end_of_query`; the server buffers them, on its
 *   disk when they are large): a failure half-way would otherwise end up as bytes among the rows.
 * - Parameters travel in the URL, which the server bounds at 1 MiB; those of `rows` in the body when long.
 */
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ClickHouseClient } from '@clickhouse/client';
import { MeteringError } from '../../../core/runtime/errors.ts';
import type { BlockInsert, Parameters, ReadOptions, UsageStore } from '../usage-store.ts';
import { storeFault, type Operation } from './faults.ts';
import { stringLiteral } from './literals.ts';
import * as statements from './statements.ts';

const DEFAULT_DATABASE = 'metering';
const DEFAULT_MAX_CONNECTIONS = 10;
/** An insert of a day's hour or a roll-up answers late; a server that is gone is noticed by its socket. */
const DEFAULT_REQUEST_TIMEOUT_MS = 600_000;
const DATABASE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export interface ClickHouseConfig {
  /** e.g. `https://clickhouse.metering.svc:8443`. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  /** Default `metering`; made when it is missing. */
  readonly database?: string;
  /** Statements on the way at once. Default 10. */
  readonly maxConnections?: number;
  /** Longest silence of the server. Default 10 minutes. */
  readonly requestTimeoutMs?: number;
  /** gzip on the wire: for a server across a WAN; on a LAN it costs more than it saves. Default off. */
  readonly compression?: boolean;
}

export class ClickHouseStore implements UsageStore {
  readonly #client: ClickHouseClient;
  #closed = false;

  private constructor(client: ClickHouseClient) {
    this.#client = client;
  }

  static async open(config: ClickHouseConfig): Promise<ClickHouseStore> {
    const database = config.database ?? DEFAULT_DATABASE;
    if (!DATABASE_NAME.test(database)) {
      throw new MeteringError('METER_CONFIG_INVALID', `${database} is no name for a database`);
    }
    try {
      await makeDatabase(config, database);
      return new ClickHouseStore(await connect(config, database));
    } catch (error) {
      throw storeFault(error, `open the store on ${config.url}`, 'open');
    }
  }

  async rows<Row>(sql: string, parameters?: Parameters, options: ReadOptions = {}): Promise<readonly Row[]> {
    return this.#ask(statements.headOf(sql), 'read', async () => {
      const result = await this.#client.query({
        query: sql,
        format: 'JSONEachRow',
        clickhouse_settings: {
          wait_end_of_query: 1,
          max_result_bytes: String(statements.MAX_ROWS_RESULT_BYTES),
          max_execution_time: (options.timeoutMs ?? 0) / 1000,
        },
        ...bound(parameters),
      });
      return statements.parseRows(await result.text()) as readonly Row[];
    });
  }

  async *rowBinary(
    sql: string,
    parameters?: Parameters,
    options: ReadOptions = {},
  ): AsyncGenerator<Uint8Array, void> {
    try {
      this.#refuseWhenClosed();
      const { stream } = await this.#client.exec({
        query: statements.rowBinaryStatement(sql, options),
        clickhouse_settings: { wait_end_of_query: 1 },
        ...bound(parameters),
      });
      for await (const chunk of stream) yield chunk as Uint8Array;
    } catch (error) {
      throw storeFault(error, statements.headOf(sql), 'read');
    }
  }

  async command(sql: string, parameters?: Parameters): Promise<void> {
    await this.#ask(statements.headOf(sql), 'write', () =>
      this.#client.command({
        query: sql,
        clickhouse_settings: { wait_end_of_query: 1 },
        ...bound(parameters),
      }),
    );
  }

  async insert(table: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    if (rows.length === 0) return;
    const body = [Buffer.from(statements.serializeRows(rows))];
    await this.#send(`insert into ${table}`, `INSERT INTO ${table} FORMAT JSONEachRow`, body);
  }

  async insertBlock(insert: BlockInsert): Promise<void> {
    const source = `input(${stringLiteral(insert.structure)}) FORMAT Native`;
    const sql = statements.blockInsertStatement(insert, source);
    await this.#send(`insert a block into ${insert.table}`, sql, insert.block, insert.parameters);
  }

  /** Ends what is under way: its outcome is then unknown. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#client.close();
  }

  async #send(
    doing: string,
    query: string,
    body: readonly Uint8Array[],
    parameters?: Parameters,
  ): Promise<void> {
    await this.#ask(doing, 'write', async () => {
      const { stream } = await this.#client.exec({
        query,
        values: Readable.from(body, { objectMode: false }),
        clickhouse_settings: { wait_end_of_query: 1 },
        ...bound(parameters),
      });
      // The answer is empty, but the insert is over only when it has ended.
      await finished(stream.resume());
    });
  }

  async #ask<Result>(doing: string, operation: Operation, work: () => Promise<Result>): Promise<Result> {
    try {
      this.#refuseWhenClosed();
      return await work();
    } catch (error) {
      throw storeFault(error, doing, operation);
    }
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new MeteringError('METER_STORE_UNAVAILABLE', 'the store is closed');
  }
}

function bound(parameters: Parameters | undefined): { query_params?: Record<string, unknown> } {
  return parameters === undefined ? {} : { query_params: parameters };
}

async function connect(config: ClickHouseConfig, database?: string): Promise<ClickHouseClient> {
  const { createClient, ClickHouseLogLevel } = await import('@clickhouse/client');
  const compressed = config.compression ?? false;
  return createClient({
    url: config.url,
    ...(config.username === undefined ? {} : { username: config.username }),
    ...(config.password === undefined ? {} : { password: config.password }),
    ...(database === undefined ? {} : { database }),
    application: 'gh0stcloud-metering',
    request_timeout: config.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS,
    max_open_connections: config.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
    compression: { request: compressed, response: compressed },
    use_multipart_params_auto: true,
    clickhouse_settings: {
      ...serverSettings(),
      // A reader that stopped listening should not keep the server busy.
      cancel_http_readonly_queries_on_client_close: 1,
    },
    // Faults are thrown with a code; whoever catches them logs them, once.
    log: { level: ClickHouseLogLevel.OFF },
  });
}

/** The client wants 64-bit settings as strings. */
function serverSettings(): Record<string, string | number> {
  const { max_query_size, ...flags } = statements.CONSTANT_SETTINGS;
  return { ...flags, max_query_size: String(max_query_size) };
}

/** Asked for first, so that a user without the right to make databases can work in one that is there. */
async function makeDatabase(config: ClickHouseConfig, database: string): Promise<void> {
  const client = await connect(config);
  try {
    const found = await client.query({
      query: 'SELECT 1 FROM system.databases WHERE name = {database:String}',
      query_params: { database },
      format: 'JSONEachRow',
    });
    if ((await found.json()).length > 0) return;
    await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${database} ENGINE = Atomic` });
  } finally {
    await client.close();
  }
}
