/**
 * One chDB connection, through the official client where that is safe and beside it where it is not:
 * - `clickhouse_settings` of the client stay for all later statements, so none is ever passed; what is
 *   constant is set once at connect, what varies stands inline behind FORMAT;
 * - `query_params` of the client take turns across the whole process (one slow read would hold up every
 *   insert), so parameters are set on the connection itself, which is ours alone while a statement runs;
 * - bodies of the client are decoded as text, so binary comes from a stream of the engine;
 * - an abort gives up the answer, not the work, so time limits are the engine's.
 */
import { text } from 'node:stream/consumers';
import type { ClickHouseClient } from '@clickhouse/client';
import type { ChdbConnection as Engine } from 'chdb/connection';
import { MeteringError } from '../../../core/runtime/errors.ts';
import type { Parameters } from '../usage-store.ts';
import { parameterText, stringLiteral } from './literals.ts';

type Chunks = AsyncIterator<{ raw(): Uint8Array }, undefined>;

export class ChdbConnection {
  readonly #engine: Engine;
  readonly #client: ClickHouseClient;
  /** Every parameter ever set here: the engine keeps them, and a statement must not meet an old one. */
  readonly #bound = new Set<string>();

  constructor(engine: Engine, client: ClickHouseClient) {
    this.#engine = engine;
    this.#client = client;
  }

  async run(sql: string, parameters: Parameters = {}): Promise<string> {
    await this.#bind(sql, parameters);
    return this.#execute(sql);
  }

  /** The statement names its own (binary) format. Ending the iteration early ends the statement. */
  async *stream(sql: string, parameters: Parameters = {}): AsyncGenerator<Uint8Array> {
    await this.#bind(sql, parameters);
    const chunks = this.#engine.chdb.queryStream(sql);
    yield* readAhead(chunks[Symbol.asyncIterator]() as Chunks);
  }

  /** JSON documents, one per line, handed to the engine without a copy. */
  async insertJson(table: string, lines: string): Promise<void> {
    await this.#engine.chdb.rawInsert({ table, values: Buffer.from(lines), format: 'JSONEachRow' });
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #bind(sql: string, parameters: Parameters): Promise<void> {
    for (const name of this.#bound) {
      if (!(name in parameters) && sql.includes(`{${name}:`)) {
        throw new MeteringError('METER_STORE_REJECTED', `the statement's parameter ${name} was not given`);
      }
    }
    const names = Object.keys(parameters);
    if (names.length === 0) return;
    const values = Object.entries(parameters).map(
      ([name, value]) => `param_${name} = ${stringLiteral(parameterText(value))}`,
    );
    await this.#execute(`SET ${values.join(', ')}`);
    for (const name of names) this.#bound.add(name);
  }

  async #execute(sql: string): Promise<string> {
    const { stream } = await this.#client.exec({ query: sql });
    return text(stream);
  }
}

/** Asks for the next chunk while the caller works on this one: the engine has its own threads. */
async function* readAhead(chunks: Chunks): AsyncGenerator<Uint8Array> {
  let next = ask(chunks);
  try {
    for (;;) {
      const result = await next;
      if (result.done === true) return;
      next = ask(chunks);
      yield result.value.raw();
    }
  } finally {
    // The statement must be over before the connection serves another one, whoever ended the reading.
    await next.catch(() => undefined);
    await chunks.return?.();
  }
}

/** A chunk that fails while the caller is busy is reported when the caller comes back, not before. */
function ask(chunks: Chunks): ReturnType<Chunks['next']> {
  const next = chunks.next();
  next.catch(() => undefined);
  return next;
}
