/**
 * The traps of chDB, each shown as it is and shown to be out of reach through the store. When a new version
 * of the library closes a trap, the first half of its test fails and the wrapping can go.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createClient } from '@clickhouse/client';
import { drainPending } from 'chdb';
import { createChdbConnection } from 'chdb/connection';
import { afterEach, describe, expect, test } from 'vitest';
import { ChdbStore } from '../../aggregator/store/clickhouse/chdb.ts';
import { nativeBlock } from '../../aggregator/store/native-block.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { openEmptyStore, temporaryDirectory, type TestStore } from '../support/chdb.ts';

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function opened(options: Parameters<typeof openEmptyStore>[0] = {}): Promise<TestStore> {
  const test = await openEmptyStore(options);
  cleanups.push(() => test.dispose());
  return test;
}

async function directory(): Promise<string> {
  const path = await temporaryDirectory();
  cleanups.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** The official client on chDB, with nothing of ours around it. */
async function bareClient(): Promise<ReturnType<typeof createClient>> {
  const connection = createChdbConnection({ path: await directory() });
  const client = createClient({ connection: connection as never });
  cleanups.push(async () => {
    await client.close();
    await drainPending();
  });
  return client;
}

async function count(store: UsageStore, table: string): Promise<number> {
  const [row] = await store.rows<{ c: string }>(`SELECT count() AS c FROM ${table}`);
  return Number(row?.c);
}

describe('settings that stay', () => {
  test('bare client: a setting of one insert makes the next inserts vanish', async () => {
    const client = await bareClient();
    await client.command({
      query: `CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n
        SETTINGS non_replicated_deduplication_window = 100`,
    });
    const insert = { table: 't', format: 'JSONEachRow' } as const;
    const clickhouse_settings = { insert_deduplication_token: 'X' };
    await client.insert({ ...insert, values: [{ n: 1 }], clickhouse_settings });
    await client.insert({ ...insert, values: [{ n: 2 }] });
    const { stream } = await client.exec({ query: 'SELECT count() FROM t FORMAT TSV' });
    expect(await text(stream)).toBe('1\n');
  });

  test('through the store a setting holds for its statement, and no insert is lost', async () => {
    const { store } = await opened();
    await store.command(`CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n
      SETTINGS non_replicated_deduplication_window = 100`);
    const token = "SETTINGS insert_deduplication_token = 'X'";
    await store.command(`INSERT INTO t ${token} SELECT 1`);
    await store.insert('t', [{ n: 2 }]);
    await store.command('INSERT INTO t SELECT 3');
    expect(await count(store, 't')).toBe(3);
  });
});

describe('bytes', () => {
  test('bare client: a binary body is decoded as text', async () => {
    const client = await bareClient();
    await client.command({ query: 'CREATE TABLE t (n UInt64) ENGINE = Memory' });
    const values = Readable.from([Buffer.from('8081FFFE00000001', 'hex')]);
    await client.exec({ query: 'INSERT INTO t FORMAT RowBinary', values }).catch(() => undefined);
    const { stream } = await client.exec({ query: 'SELECT hex(n) FROM t FORMAT TSV' });
    expect(await text(stream)).not.toBe('01000000FEFF8180\n');
  });

  test('through the store every byte arrives as it was given', async () => {
    const { store } = await opened();
    await store.command('CREATE TABLE t (n UInt64) ENGINE = Memory');
    const data = new BigUint64Array(new Uint8Array(Buffer.from('8081FFFE00000001', 'hex')).buffer);
    const block = nativeBlock(1, [{ name: 'n', type: 'UInt64', data }]);
    await store.insertBlock({ table: 't', columns: ['n'], structure: 'n UInt64', select: ['n'], block });
    const chunks: Uint8Array[] = [];
    for await (const chunk of store.rowBinary('SELECT n FROM t')) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString('hex')).toBe('8081fffe00000001');
  });

  test('the file of a block is gone after the insert, and after an insert that failed', async () => {
    const { store, path } = await opened();
    const files = async (): Promise<string[]> => readdir(join(path, 'incoming-blocks'));
    const block = nativeBlock(1, [{ name: 'n', type: 'UInt64', data: new BigUint64Array(1) }]);
    const insert = { columns: ['n'], structure: 'n UInt64', select: ['n'], block };
    await store.command('CREATE TABLE t (n UInt64) ENGINE = Memory');
    await store.insertBlock({ table: 't', ...insert });
    expect(await files()).toEqual([]);
    await expect(store.insertBlock({ table: 'not_there', ...insert })).rejects.toMatchObject({
      code: 'METER_STORE_REJECTED',
    });
    expect(await files()).toEqual([]);
  });

  test('files that a killed process left are cleared at the next start', async () => {
    const path = await directory();
    await mkdir(join(path, 'incoming-blocks'));
    await writeFile(join(path, 'incoming-blocks', 'left.native'), 'x');
    const store = await ChdbStore.open({ path });
    expect(await readdir(join(path, 'incoming-blocks'))).toEqual([]);
    await store.close();
  });
});

describe('connections that serve one statement at a time', () => {
  const slow = 'SELECT sum(sleepEachRow(0.1)) AS v FROM numbers(10) SETTINGS max_block_size = 1';

  test('bare client: whoever comes later waits, whatever they ask', async () => {
    const client = await bareClient();
    const order: string[] = [];
    await Promise.all([
      client.exec({ query: slow }).then(() => order.push('slow')),
      client.exec({ query: 'SELECT 1' }).then(() => order.push('quick')),
    ]);
    expect(order).toEqual(['slow', 'quick']);
  });

  test('bare client: statements with parameters wait for each other on all connections', async () => {
    const path = await directory();
    const [a, b] = [createChdbConnection({ path }), createChdbConnection({ path })];
    cleanups.push(async () => {
      await Promise.all([a.close(), b.close()]);
      await drainPending();
    });
    const [first, second] = [a, b].map((connection) => createClient({ connection: connection as never }));
    const order: string[] = [];
    const query = slow.replace('numbers(10)', 'numbers({n:UInt64})');
    await Promise.all([
      first?.exec({ query, query_params: { n: 10 } }).then(() => order.push('slow')),
      second?.exec({ query: 'SELECT {n:UInt64}', query_params: { n: 1 } }).then(() => order.push('quick')),
    ]);
    expect(order).toEqual(['slow', 'quick']);
  });

  test('through the store a slow read holds up neither reads nor writes, parameters or not', async () => {
    const { store } = await opened();
    await store.command('CREATE TABLE t (n UInt64) ENGINE = Memory');
    let slowIsRunning = true;
    const sql = slow.replace('numbers(10)', 'numbers({n:UInt64})');
    const running = store.rows(sql, { n: 10 }).finally(() => (slowIsRunning = false));
    await store.rows('SELECT {n:UInt64}', { n: 1 });
    await store.command('INSERT INTO t SELECT {n:UInt64}', { n: 1 });
    await store.insert('t', [{ n: 2 }]);
    expect(slowIsRunning).toBe(true);
    await running;
  });

  test('more reads at once than connections wait their turn, and all are served', async () => {
    const { store } = await opened({ readers: 2 });
    const asked = Array.from({ length: 20 }, (_, at) => at);
    const answers = await Promise.all(asked.map((n) => store.rows('SELECT {n:UInt32} AS n', { n })));
    expect(answers).toEqual(asked.map((n) => [{ n }]));
  });

  test('close waits for what runs and turns away what waits', async () => {
    const { store } = await opened({ readers: 1 });
    const running = store.rows<{ v: string }>(slow);
    const waiting = store.rows('SELECT 1');
    const refused = expect(waiting).rejects.toMatchObject({ code: 'METER_STORE_UNAVAILABLE' });
    await store.close();
    await refused;
    expect(await running).toEqual([{ v: '0' }]);
  });
});

describe('time', () => {
  test('a read past its time ends in the engine: the only reader is free again', async () => {
    const { store } = await opened({ readers: 1 });
    const endless = 'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1';
    const timeout = { code: 'METER_QUERY_TIMEOUT' };
    await expect(store.rows(endless, {}, { timeoutMs: 100 })).rejects.toMatchObject(timeout);
    expect(await store.rows('SELECT 1 AS v', {}, { timeoutMs: 5_000 })).toEqual([{ v: 1 }]);
  });

  test('inserts are stored when they resolve: async_insert is off on every connection', async () => {
    const { store } = await opened({ readers: 3 });
    const asked = Array.from({ length: 12 }, () => store.rows("SELECT getSetting('async_insert') AS v"));
    for (const answer of await Promise.all(asked)) expect(answer).toEqual([{ v: false }]);
    await store.command("CREATE TABLE t ENGINE = Memory AS SELECT getSetting('async_insert') AS v");
    expect(await store.rows('SELECT v FROM t')).toEqual([{ v: false }]);
  });
});

describe('numbers', () => {
  test('bare client: 64-bit integers come back as rounded numbers', async () => {
    const client = await bareClient();
    const result = await client.query({ query: 'SELECT 18446744073709551615 AS v', format: 'JSONEachRow' });
    expect(await result.json()).toEqual([{ v: 18446744073709551616 }]);
  });

  test('sums of Int128 wrap around silently; widened first, they are exact', async () => {
    const { store } = await opened();
    const values =
      "SELECT arrayJoin([toInt128('170141183460469231731687303715884105727'), toInt128(1)]) AS q";
    expect(await store.rows(`SELECT sum(q) AS v FROM (${values})`)).toEqual([
      { v: '-170141183460469231731687303715884105728' },
    ]);
    expect(await store.rows(`SELECT sum(toInt256(q)) AS v FROM (${values})`)).toEqual([
      { v: '170141183460469231731687303715884105728' },
    ]);
  });
});

describe('the data directory', () => {
  test('a second process is refused with METER_DATA_LOCKED, and told what to do', async () => {
    const { path } = await opened();
    const answer = await inChild(
      `
      try { await ChdbStore.open({ path: process.argv[1] }); console.log('opened'); }
      catch (error) { console.log(error.code + ' ' + error.retryable + ' ' + error.message); }
    `,
      path,
    );
    expect(answer).toMatch(/^METER_DATA_LOCKED true process \d+ is using /);
    expect(answer).toContain(`process ${process.pid} `);
    expect(answer).toContain('ClickHouse server');
  });

  test('without the optional package the store says what to install', async () => {
    const answer = await inChild(
      `
      const { registerHooks } = await import('node:module');
      registerHooks({ resolve(name, context, next) {
        if (/^chdb/.test(name)) throw Object.assign(new Error('not found'), { code: 'ERR_MODULE_NOT_FOUND' });
        return next(name, context);
      } });
      try { await ChdbStore.open({ path: process.argv[1] }); console.log('opened'); }
      catch (error) { console.log(error.code + ' ' + error.message); }
    `,
      await directory(),
    );
    expect(answer).toMatch(/^METER_STORE_UNAVAILABLE .*npm install --include=optional/);
  });

  test('a directory that cannot be made is METER_STORE_UNAVAILABLE', async () => {
    const path = join(await directory(), 'file');
    await writeFile(path, '');
    await expect(ChdbStore.open({ path })).rejects.toMatchObject({ code: 'METER_STORE_UNAVAILABLE' });
  });

  test('one process serves one directory at a time, and another after closing', async () => {
    const first = await opened();
    const elsewhere = await directory();
    await expect(ChdbStore.open({ path: elsewhere })).rejects.toMatchObject({
      code: 'METER_STORE_UNAVAILABLE',
    });
    await first.store.command('CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 1 AS n');
    await first.store.close();
    const second = await ChdbStore.open({ path: elsewhere });
    await second.command('CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 2 AS n');
    expect(await second.rows('SELECT n FROM t')).toEqual([{ n: 2 }]);
    await second.close();
    const again = await ChdbStore.open({ path: first.path });
    expect(await again.rows('SELECT n FROM t')).toEqual([{ n: 1 }]);
    await again.close();
  });

  test('the default database is an overlay; ours is Atomic', async () => {
    const { store } = await opened();
    const sql =
      "SELECT name, engine FROM system.databases WHERE name IN ('default', 'metering') ORDER BY name";
    expect(await store.rows(sql)).toEqual([
      { name: 'default', engine: 'Overlay' },
      { name: 'metering', engine: 'Atomic' },
    ]);
  });

  test('a table with a TTL forgets old rows it has acknowledged: lateness is judged before the insert', async () => {
    const { store } = await opened();
    await store.command(
      `CREATE TABLE t (d Date, n UInt8) ENGINE = MergeTree ORDER BY n TTL d + INTERVAL 45 DAY`,
    );
    await store.insert('t', [{ d: '2000-01-01', n: 1 }]);
    await store.command('OPTIMIZE TABLE t FINAL');
    expect(await count(store, 't')).toBe(0);
  });
});

describe('kill -9', () => {
  const ROWS = 2_000;
  const KILLS = 4;

  test('loses nothing acknowledged, leaves no half insert, and the directory opens at once', async () => {
    const path = await directory();
    const acknowledged: number[] = [];
    for (let at = 0; at < KILLS; at += 1) {
      acknowledged.push(...(await insertUntilKilled(path, at * 1_000_000, 40 + 35 * at)));
    }
    expect(acknowledged.length).toBeGreaterThan(KILLS * 10);
    const store = await ChdbStore.open({ path });
    cleanups.push(() => store.close());
    const found = await store.rows<{ batch: number; c: string }>(
      'SELECT batch, count() AS c FROM t GROUP BY batch ORDER BY batch',
    );
    const rows = new Map(found.map(({ batch, c }) => [batch, Number(c)]));
    expect(acknowledged.filter((batch) => rows.get(batch) !== ROWS)).toEqual([]);
    expect([...rows.values()].filter((size) => size !== ROWS)).toEqual([]);
    // At most the one insert that each kill interrupted is stored without having been acknowledged.
    expect(rows.size - acknowledged.length).toBeLessThanOrEqual(KILLS);
  });

  /** The batches that were acknowledged before the process was killed in the middle of inserting. */
  async function insertUntilKilled(path: string, firstBatch: number, batches: number): Promise<number[]> {
    const child = start(
      `
      const store = await ChdbStore.open({ path: process.argv[1] });
      await store.command('CREATE TABLE IF NOT EXISTS t (batch UInt32, n UInt32) ENGINE = MergeTree ORDER BY (batch, n)');
      const n = new Uint32Array(${ROWS}).map((_, at) => at);
      for (let batch = ${firstBatch}; ; batch += 1) {
        const columns = [
          { name: 'batch', type: 'UInt32', data: new Uint32Array(${ROWS}).fill(batch) },
          { name: 'n', type: 'UInt32', data: n },
        ];
        await store.insertBlock({ table: 't', columns: ['batch', 'n'], select: ['batch', 'n'],
          structure: 'batch UInt32, n UInt32', block: nativeBlock(${ROWS}, columns) });
        process.stdout.write(batch + '\\n');
      }`,
      path,
    );
    const acknowledged: number[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged.push(Number(line));
      if (acknowledged.length === batches) child.kill('SIGKILL');
    }
    return acknowledged;
  }
});

const STORE = new URL('../../aggregator/store/', import.meta.url);

function start(script: string, path: string): ChildProcessByStdio<null, Readable, null> {
  const imports = `import { ChdbStore } from '${new URL('clickhouse/chdb.ts', STORE).href}';
    import { nativeBlock } from '${new URL('native-block.ts', STORE).href}';`;
  return spawn(process.execPath, ['--input-type=module', '-e', imports + script, path], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

async function inChild(script: string, path: string): Promise<string> {
  const child = start(script, path);
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return output;
}
