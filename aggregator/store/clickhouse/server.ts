/**
 * The store on a ClickHouse server, over HTTP with the official client.
 *
 * Input: a URL and who asks. Output: the `UsageStore` port. Guarantee: an insert that resolved is in the
 * server's table; one that rejected may be there all the same, and repeating it is harmless by design of
 * the tables. A crash on this side leaves nothing to clean up.
 *
 * - Answers are sent only once they are complete (`wait_end_of_query`; the server buffers them, on its
 *   disk when they are large): a failure half-way would otherwise end up as bytes among the rows.
 * - A statement that the server is silent about, and does not run, is given up (silence.ts).
 * - Parameters travel in the URL, which the server bounds at 1 MiB; those of `rows` in the body when long.
 *   Of one of them it takes 128 KiB: longer lists are bound in pieces (long-lists.ts).
 */
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import type { ClickHouseClient } from '@clickhouse/client';
import { SystemClock } from '../../../core/runtime/clock.ts';
import { MeteringError } from '../../../core/runtime/errors.ts';
import type { BlockInsert, Parameters, ReadOptions, UsageStore } from '../usage-store.ts';
import { storeFault, type Operation } from './faults.ts';
import { stringLiteral } from './literals.ts';
import { bound } from './long-lists.ts';
import { Silence, type Watched } from './silence.ts';
import * as statements from './statements.ts';

const DEFAULT_DATABASE = 'metering';
/** More than there ever are: one that waits here for a connection would be taken for lost. */
const DEFAULT_MAX_CONNECTIONS = 64;
/** An insert of a day's hour or a roll-up answers late. */
const DEFAULT_REQUEST_TIMEOUT_MS = 600_000;
const DEFAULT_SILENCE_MS = 20_000;
/** For questions that a server answers at once. */
const SHORT_TIMEOUT_MS = 10_000;
const DATABASE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export interface ClickHouseConfig {
  /** e.g. `https://clickhouse.metering.svc:8443`. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  /** Default `metering`; made when it is missing. */
  readonly database?: string;
  /** Statements on the way at once. Default 64. */
  readonly maxConnections?: number;
  /** Longest silence of the server. Default 10 minutes. */
  readonly requestTimeoutMs?: number;
  /** After so long without an answer the server is asked whether it runs the statement. Default 20 s. */
  readonly silenceMs?: number;
  /** gzip on the wire: for a server across a WAN; on a LAN it costs more than it saves. Default off. */
  readonly compression?: boolean;
}

export class ClickHouseStore implements UsageStore {
  readonly #client: ClickHouseClient;
  /** Over connections of its own, each new. */
  readonly #asking: ClickHouseClient;
  readonly #silence: Silence;
  #closed = false;

  private constructor(clients: Clients, { silenceMs = DEFAULT_SILENCE_MS }: ClickHouseConfig) {
    this.#client = clients.client;
    this.#asking = clients.asking;
    const isRunning = (mark: string): Promise<boolean> => isMarked(clients.asking, mark);
    this.#silence = new Silence({ silenceMs, isRunning }, { clock: new SystemClock() });
  }

  static async open(config: ClickHouseConfig): Promise<ClickHouseStore> {
    const database = config.database ?? DEFAULT_DATABASE;
    if (!DATABASE_NAME.test(database)) {
      throw new MeteringError('METER_CONFIG_INVALID', `${database} is no name for a database`);
    }
    try {
      await makeDatabase(config, database);
      return new ClickHouseStore(await clientsOf(config, database), config);
    } catch (error) {
      throw storeFault(error, `open the store on ${config.url}`, 'open');
    }
  }

  /** A store that is there; undefined where its database is not. Nothing is made. */
  static async find(config: ClickHouseConfig): Promise<ClickHouseStore | undefined> {
    const database = config.database ?? DEFAULT_DATABASE;
    const client = await connect(config);
    try {
      if (!(await hasDatabase(client, database))) return undefined;
    } catch (error) {
      throw storeFault(error, `open the store on ${config.url}`, 'open');
    } finally {
      await client.close();
    }
    return new ClickHouseStore(await clientsOf(config, database), config);
  }

  /** Whether its user has a right, such as `INSERT ON *` (of this database). */
  async isGranted(right: string): Promise<boolean> {
    const query = `CHECK GRANT ${right}`;
    return await this.#ask(query, 'read', async () => {
      const { stream } = await this.#heard((how) => this.#client.exec({ query, ...how }));
      return (await text(stream)).trim() === '1';
    });
  }

  async rows<Row>(sql: string, parameters?: Parameters, options: ReadOptions = {}): Promise<readonly Row[]> {
    return this.#ask(statements.headOf(sql), 'read', async () => {
      const settings = {
        max_result_bytes: String(statements.MAX_ROWS_RESULT_BYTES),
        max_execution_time: (options.timeoutMs ?? 0) / 1000,
      };
      const result = await this.#heard(({ clickhouse_settings, ...how }) =>
        this.#client.query({
          format: 'JSONEachRow',
          ...how,
          clickhouse_settings: { ...clickhouse_settings, ...settings },
          ...bound(sql, parameters),
        }),
      );
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
      const query = statements.rowBinaryStatement(sql, options);
      const { stream } = await this.#heard((how) =>
        this.#client.exec({ ...how, ...bound(query, parameters) }),
      );
      for await (const chunk of stream) yield chunk as Uint8Array;
    } catch (error) {
      throw storeFault(error, statements.headOf(sql), 'read');
    }
  }

  async command(sql: string, parameters?: Parameters): Promise<void> {
    await this.#ask(statements.headOf(sql), 'write', () =>
      this.#heard((how) => this.#client.command({ ...how, ...bound(sql, parameters) })),
    );
  }

  async insert(table: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    if (rows.length === 0) return;
    const body = [Buffer.from(statements.serializeRows(rows))];
    await this.#send(`insert into ${table}`, `INSERT INTO ${table} FORMAT JSONEachRow`, body);
  }

  async insertBlock(insert: BlockInsert): Promise<void> {
    const selected = statements.blockInsertStatement(insert, `input(${stringLiteral(insert.structure)})`);
    // After all that a SELECT may have: what follows the format is data.
    const sql = `${selected} FORMAT Native`;
    await this.#send(`insert a block into ${insert.table}`, sql, insert.block, insert.parameters);
  }

  /** Ends what is under way: its outcome is then unknown. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#client.close(), this.#asking.close()]);
  }

  async #send(
    doing: string,
    query: string,
    body: readonly Uint8Array[],
    parameters?: Parameters,
  ): Promise<void> {
    await this.#ask(doing, 'write', async () => {
      const values = Readable.from(body, { objectMode: false });
      const { stream } = await this.#heard((how) =>
        this.#client.exec({ values, ...how, ...bound(query, parameters) }),
      );
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

  /** Until the answer begins, it is watched whether one will come. */
  async #heard<Answer>(ask: (how: How) => Promise<Answer>): Promise<Answer> {
    return await this.#silence.watch(({ mark, signal }) =>
      ask({ abort_signal: signal, clickhouse_settings: { wait_end_of_query: 1, log_comment: mark } }),
    );
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new MeteringError('METER_STORE_UNAVAILABLE', 'the store is closed');
  }
}

/** How a statement is put, whatever it is. */
interface How {
  readonly abort_signal: Watched['signal'];
  readonly clickhouse_settings: { readonly wait_end_of_query: 1; readonly log_comment: Watched['mark'] };
}

interface Clients {
  readonly client: ClickHouseClient;
  readonly asking: ClickHouseClient;
}

async function clientsOf(config: ClickHouseConfig, database: string): Promise<Clients> {
  const short = { ...config, requestTimeoutMs: SHORT_TIMEOUT_MS };
  return { client: await connect(config, { database }), asking: await connect(short, { keepAlive: false }) };
}

async function isMarked(client: ClickHouseClient, mark: string): Promise<boolean> {
  const found = await client.query({
    query: `SELECT 1 FROM system.processes WHERE Settings['log_comment'] = {mark:String}`,
    query_params: { mark },
    format: 'JSONEachRow',
  });
  return (await found.json()).length > 0;
}

async function connect(
  config: ClickHouseConfig,
  { database, keepAlive = true }: { readonly database?: string; readonly keepAlive?: boolean } = {},
): Promise<ClickHouseClient> {
  const { createClient, ClickHouseLogLevel } = await import('@clickhouse/client');
  const compressed = config.compression ?? false;
  return createClient({
    url: config.url,
    ...(config.username === undefined ? {} : { username: config.username }),
    ...(config.password === undefined ? {} : { password: config.password }),
    ...(database === undefined ? {} : { database }),
    application: 'gh0stcloud-metering',
    request_timeout: config.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS,
    keep_alive: { enabled: keepAlive },
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
  const client = await connect({ ...config, requestTimeoutMs: SHORT_TIMEOUT_MS });
  try {
    if (await hasDatabase(client, database)) return;
    await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${database} ENGINE = Atomic` });
  } finally {
    await client.close();
  }
}

async function hasDatabase(client: ClickHouseClient, database: string): Promise<boolean> {
  const found = await client.query({
    query: 'SELECT 1 FROM system.databases WHERE name = {database:String}',
    query_params: { database },
    format: 'JSONEachRow',
  });
  return (await found.json()).length > 0;
}
