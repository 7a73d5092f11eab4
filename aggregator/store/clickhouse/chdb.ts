/**
 * The store inside this process: chDB. One connection writes, a few read; the data directory belongs to
 * one process at a time.
 *
 * Input: a directory. Output: the `UsageStore` port. Guarantee: what an insert or a command resolved is in
 * the directory and survives the death of this process. A crash loses nothing acknowledged; a statement it
 * interrupted may or may not have landed; the next process takes the directory over at once.
 *
 * The engine serves one directory per process: a second one can be opened after the first was closed.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type * as Client from '@clickhouse/client';
import type * as Chdb from 'chdb/connection';
import { MeteringError } from '../../../core/runtime/errors.ts';
import type { BlockInsert, Parameters, ReadOptions, UsageStore } from '../usage-store.ts';
import { BlockFiles } from './block-files.ts';
import { ChdbConnection } from './chdb-connection.ts';
import { ConnectionPool } from './connection-pool.ts';
import { storeFault, type Operation } from './faults.ts';
import { stringLiteral } from './literals.ts';
import * as statements from './statements.ts';

const DATABASE = 'metering';
const DEFAULT_READERS = 3;
const DEFAULT_MAX_MEMORY_BYTES = 4 * 1024 ** 3;
const MAX_DEFAULT_THREADS = 4;

export interface ChdbConfig {
  /** The data directory; made if it is not there. */
  readonly path: string;
  /** Reads that can run at the same time; an open `rowBinary` holds one until it ends. Default 3. */
  readonly readers?: number;
  /** Engine threads a statement may use. Default: the machine's, at most 4. */
  readonly threads?: number;
  /** What a statement may take. Default 4 GiB. */
  readonly maxMemoryBytes?: number;
}

interface Parts {
  readonly writer: ConnectionPool<ChdbConnection>;
  readonly readers: ConnectionPool<ChdbConnection>;
  readonly connections: readonly ChdbConnection[];
  readonly blocks: BlockFiles;
  /** Resolves when the engine has let go of the directory. */
  readonly settled: () => Promise<void>;
}

export class ChdbStore implements UsageStore {
  readonly #parts: Parts;
  #closing: Promise<void> | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  static async open(config: ChdbConfig): Promise<ChdbStore> {
    const library = await load();
    const path = resolve(config.path);
    const connections: ChdbConnection[] = [];
    try {
      await mkdir(path, { recursive: true });
      const count = 1 + (config.readers ?? DEFAULT_READERS);
      for (let at = 0; at < count; at += 1) connections.push(await connect(library, path, config));
      // The lock is held from the first connection on: what lies there is nobody else's.
      const blocks = new BlockFiles(join(path, 'incoming-blocks'));
      await blocks.clear();
      const [writer, ...readers] = connections;
      return new ChdbStore({
        writer: new ConnectionPool(writer === undefined ? [] : [writer]),
        readers: new ConnectionPool(readers),
        connections,
        blocks,
        settled: library.drainPending,
      });
    } catch (error) {
      await Promise.all(connections.map((connection) => connection.close()));
      await library.drainPending();
      throw storeFault(error, `open the store in ${path}`, 'open');
    }
  }

  async rows<Row>(sql: string, parameters?: Parameters, options: ReadOptions = {}): Promise<readonly Row[]> {
    return this.#on(this.#parts.readers, sql, 'read', async (connection) =>
      statements.parseRows(await connection.run(statements.rowsStatement(sql, options), parameters)),
    ) as Promise<readonly Row[]>;
  }

  async *rowBinary(
    sql: string,
    parameters?: Parameters,
    options: ReadOptions = {},
  ): AsyncGenerator<Uint8Array, void> {
    const connection = await this.#parts.readers.acquire();
    try {
      yield* connection.stream(statements.rowBinaryStatement(sql, options), parameters);
    } catch (error) {
      throw storeFault(error, statements.headOf(sql), 'read');
    } finally {
      this.#parts.readers.release(connection);
    }
  }

  async command(sql: string, parameters?: Parameters): Promise<void> {
    await this.#on(this.#parts.writer, sql, 'write', (connection) => connection.run(sql, parameters));
  }

  async insert(table: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    if (rows.length === 0) return;
    const lines = statements.serializeRows(rows);
    await this.#on(this.#parts.writer, `insert into ${table}`, 'write', (connection) =>
      connection.insertJson(table, lines),
    );
  }

  async insertBlock(insert: BlockInsert): Promise<void> {
    const { table, block, structure, parameters } = insert;
    await this.#on(this.#parts.writer, `insert a block into ${table}`, 'write', (connection) =>
      this.#parts.blocks.with(block, (path) => {
        const source = `file(${stringLiteral(path)}, 'Native', ${stringLiteral(structure)})`;
        return connection.run(statements.blockInsertStatement(insert, source), parameters);
      }),
    );
  }

  /** Waits for what runs; then the directory is free for another process. */
  close(): Promise<void> {
    this.#closing ??= this.#release();
    return this.#closing;
  }

  async #release(): Promise<void> {
    const { writer, readers, connections, blocks, settled } = this.#parts;
    await Promise.all([writer.close(), readers.close()]);
    await blocks.remove();
    for (const connection of connections) await connection.close();
    await settled();
  }

  async #on<Result>(
    pool: ConnectionPool<ChdbConnection>,
    doing: string,
    operation: Operation,
    work: (connection: ChdbConnection) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await pool.use(work);
    } catch (error) {
      throw storeFault(error, statements.headOf(doing), operation);
    }
  }
}

interface Library {
  readonly createClient: typeof Client.createClient;
  readonly createChdbConnection: typeof Chdb.createChdbConnection;
  readonly drainPending: () => Promise<void>;
}

/** Half a gigabyte of native code: only who uses the embedded store loads it, or even installs it. */
async function load(): Promise<Library> {
  const { createClient } = await import('@clickhouse/client');
  try {
    const { createChdbConnection } = await import('chdb/connection');
    const { drainPending } = await import('chdb');
    return { createClient, createChdbConnection, drainPending };
  } catch (cause) {
    throw new MeteringError(
      'METER_STORE_UNAVAILABLE',
      'the embedded store needs the optional package chdb (Linux with glibc, or macOS): ' +
        'run `npm install --include=optional`, or point the settings at a ClickHouse server',
      { cause },
    );
  }
}

async function connect(library: Library, path: string, config: ChdbConfig): Promise<ChdbConnection> {
  const engine = await engineAt(library, path);
  // chDB is typed against an older copy of the client's connection; what it implements is the same.
  const client = library.createClient({ connection: engine as unknown as ClientConnection });
  const connection = new ChdbConnection(engine, client);
  const settings = {
    ...statements.CONSTANT_SETTINGS,
    max_threads: config.threads ?? Math.min(MAX_DEFAULT_THREADS, availableParallelism()),
    max_memory_usage: config.maxMemoryBytes ?? DEFAULT_MAX_MEMORY_BYTES,
  };
  const assignments = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  try {
    await connection.run(`SET ${assignments.join(', ')}`);
    // The default engine of chDB's databases is an overlay that lacks EXCHANGE and more.
    await connection.run(`CREATE DATABASE IF NOT EXISTS ${DATABASE} ENGINE = Atomic`);
    await connection.run(`USE ${DATABASE}`);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

type ClientConnection = NonNullable<Client.ClickHouseClientConfigOptions['connection']>;
type Engine = ReturnType<Library['createChdbConnection']>;

/** The engine says why it refused only on standard error, so the usual reason is looked up here. */
async function engineAt(library: Library, path: string): Promise<Engine> {
  try {
    return library.createChdbConnection({ path });
  } catch (cause) {
    const holder = await holderOf(path);
    if (holder === undefined) throw cause;
    throw new MeteringError(
      'METER_DATA_LOCKED',
      `process ${holder} is using the data directory ${path}: an embedded store serves one process. ` +
        'Stop that process, choose another directory, or use a ClickHouse server for several processes',
      { retryable: true, cause },
    );
  }
}

/** The engine notes its process in `status`, which a killed one leaves behind. */
async function holderOf(path: string): Promise<number | undefined> {
  const status = await readFile(join(path, 'status'), 'utf8').catch(() => '');
  const pid = Number(/^PID: (\d+)$/m.exec(status)?.[1] ?? 0);
  return pid > 0 && pid !== process.pid && isAlive(pid) ? pid : undefined;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, and it is somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
