/**
 * What every side of the `UsageStore` port promises. Each test makes its own table, so the sides may keep
 * their data between tests.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { idsIn } from '../../aggregator/store/ids.ts';
import { blockStructure, nativeBlock, type Column } from '../../aggregator/store/native-block.ts';
import { decodedRows, fixedRows } from '../../aggregator/store/row-binary.ts';
import type { BlockInsert, ParameterValue, UsageStore } from '../../aggregator/store/usage-store.ts';

export interface OpenedStore {
  readonly store: UsageStore;
  dispose(): Promise<void>;
}

const NASTY = [
  '',
  "it's",
  'a;b -- c /* d',
  'line\nbreak\r\ttab',
  'nul\0inside',
  '\\N',
  '\\',
  '{x:String}',
  "\\'",
  'ünï 🦊 漢',
];

const ENDLESS = 'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1';

export function usageStoreContract(open: () => Promise<OpenedStore>): void {
  let opened: OpenedStore;
  let store: UsageStore;
  let tables = 0;

  beforeAll(async () => {
    opened = await open();
    store = opened.store;
  });
  afterAll(() => opened.dispose());

  async function table(columns: string): Promise<string> {
    tables += 1;
    await store.command(`CREATE TABLE contract_${tables} (${columns}) ENGINE = MergeTree ORDER BY tuple()`);
    return `contract_${tables}`;
  }

  async function one(sql: string, parameters?: Record<string, ParameterValue>): Promise<unknown> {
    const rows = await store.rows<{ v: unknown }>(sql, parameters);
    expect(rows).toHaveLength(1);
    return rows[0]?.v;
  }

  function blockInsert(target: string, columns: readonly Column[], rows: number): BlockInsert {
    const names = columns.map(({ name }) => name);
    return {
      table: target,
      columns: names,
      select: names,
      structure: blockStructure(columns),
      block: nativeBlock(rows, columns),
    };
  }

  test('integers of 64 and 128 bits come back exactly, as decimal strings', async () => {
    const row = {
      a: '9223372036854775807',
      b: '-9223372036854775808',
      c: '18446744073709551615',
      d: '170141183460469231731687303715884105727',
      e: '-170141183460469231731687303715884105728',
      f: '340282366920938463463374607431768211455',
    };
    const target = await table('a Int64, b Int64, c UInt64, d Int128, e Int128, f UInt128');
    await store.insert(target, [
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, BigInt(value)])),
    ]);
    expect(await store.rows(`SELECT * FROM ${target}`)).toEqual([row]);
  });

  test.each(NASTY)('a string parameter arrives as it was given: %j', async (text) => {
    expect(await one('SELECT hex({x:String}) AS v', { x: text })).toBe(
      Buffer.from(text).toString('hex').toUpperCase(),
    );
  });

  test('lists of strings arrive as they were given', async () => {
    expect(await one('SELECT {x:Array(String)} AS v', { x: NASTY })).toEqual(NASTY);
    expect(await one('SELECT {x:Array(String)} AS v', { x: [] })).toEqual([]);
  });

  test.each([
    ['UInt64', 18446744073709551615n, '18446744073709551615'],
    ['Int64', -9223372036854775808n, '-9223372036854775808'],
    ['UInt128', 340282366920938463463374607431768211455n, '340282366920938463463374607431768211455'],
    ['Int64', Number.MAX_SAFE_INTEGER, '9007199254740991'],
    ['Float64', 0.1, 0.1],
    ['Bool', true, true],
    ['UInt8', false, 0],
    ['Array(UInt64)', [0n, 18446744073709551615n], ['0', '18446744073709551615']],
    [
      'Array(UInt128)',
      [340282366920938463463374607431768211455n],
      ['340282366920938463463374607431768211455'],
    ],
  ])('a parameter of type %s arrives as it was given', async (type, value, expected) => {
    expect(await one(`SELECT {x:${type}} AS v`, { x: value })).toEqual(expected);
  });

  test('series ids select their rows, as hexadecimal text and as numbers', async () => {
    const target = await table('series FixedString(16), n UInt8');
    const ids = Buffer.from([...Array(48).keys()].map((byte) => 255 - byte));
    // Zero bytes at the end are as good as others.
    ids.fill(0, 15, 16).fill(0, 44, 48);
    const columns: Column[] = [
      { name: 'series', type: 'FixedString(16)', data: ids },
      { name: 'n', type: 'UInt8', data: Uint8Array.of(1, 2, 3) },
    ];
    await store.insertBlock(blockInsert(target, columns, 3));
    const wanted = [0, 32].map((at) => ids.subarray(at, at + 16));
    const byText = `SELECT n FROM ${target} WHERE has(arrayMap(x -> toFixedString(unhex(x), 16), {ids:Array(String)}), series)`;
    const byList = `SELECT n FROM ${target} WHERE series IN ${idsIn('ids')}`;
    const byNumber = `SELECT n FROM ${target} WHERE reinterpretAsUInt128(series) IN {ids:Array(UInt128)}`;
    const asNumber = (id: Buffer): bigint => (id.readBigUInt64LE(8) << 64n) | id.readBigUInt64LE(0);
    const expected = [{ n: 1 }, { n: 3 }];
    for (const sql of [byText, byList]) {
      const found = await store.rows(`${sql} ORDER BY n`, { ids: wanted.map((id) => id.toString('hex')) });
      expect(found, sql).toEqual(expected);
    }
    expect(await store.rows(`${byNumber} ORDER BY n`, { ids: wanted.map(asNumber) })).toEqual(expected);
  });

  test('tens of thousands of ids fit in one parameter of rows', async () => {
    const ids = Array.from({ length: 30_000 }, (_, at) => 10n ** 30n + BigInt(at));
    expect(await one("SELECT arrayReduce('uniqExact', {ids:Array(UInt128)}) AS v", { ids })).toBe('30000');
  });

  test('of tens of thousands of values each is looked for, wherever in a list it stands', async () => {
    const wanted = Array.from({ length: 10_000 }, (_, at) => `'${at * 3}\\\n`);
    const sql = `SELECT concat('\\'', toString(number), '\\\\\\n') AS s, number % 3 AS rest FROM numbers(30000)`;
    const found = `SELECT countIf(rest = 0) AS hits, count() AS n FROM (${sql}) WHERE s IN {wanted:Array(String)}
      AND has({wanted:Array(String)}, s)`;
    expect(await store.rows(found, { wanted })).toEqual([{ hits: '10000', n: '10000' }]);
  });

  test('a parameter does not outlive its statement', async () => {
    for (let at = 0; at < 8; at += 1) await one('SELECT {once:String} AS v', { once: 'here' });
    for (let at = 0; at < 8; at += 1) {
      await expect(store.rows('SELECT {once:String} AS v')).rejects.toMatchObject({
        code: 'METER_STORE_REJECTED',
      });
    }
  });

  test('a command takes parameters', async () => {
    const target = await table('s String, n UInt64');
    const x = "'; DROP TABLE x; --\n";
    await store.command(`INSERT INTO ${target} SELECT {x:String}, {n:UInt64}`, { x, n: 2n ** 63n });
    expect(await store.rows(`SELECT * FROM ${target}`)).toEqual([{ s: x, n: '9223372036854775808' }]);
  });

  test('rowBinary gives every byte as it is', async () => {
    const sql = `SELECT toUInt8(number) AS a, toFixedString(char(number, number + 1, 128, 255), 4) AS b,
        repeat(char(number % 256), number % 300) AS c, toInt64(number) * -3 AS d, toInt128(number) - 5 AS e
      FROM numbers(20000)`;
    let n = 0;
    const rows = decodedRows(store.rowBinary(sql), (cursor) => ({
      a: cursor.uint8(),
      b: Buffer.from(cursor.fixed(4)).toString('hex'),
      c: cursor.bytes(),
      d: cursor.int64AsNumber(),
      e: cursor.int128(),
    }));
    for await (const batch of rows) {
      for (const row of batch) {
        const low = Buffer.of(n, n + 1, 128, 255).toString('hex');
        const text = Buffer.alloc(n % 300, n % 256);
        expect(text.equals(row.c)).toBe(true);
        expect([row.a, row.b, row.d, row.e]).toEqual([n % 256, low, n * -3 || 0, BigInt(n - 5)]);
        n += 1;
      }
    }
    expect(n).toBe(20_000);
  });

  test('rowBinary carries a million rows in order, with parameters', async () => {
    const sql = 'SELECT toUInt64(number) AS a, {x:UInt64} AS b FROM numbers(1000000) ORDER BY a';
    let n = 0n;
    for await (const { view } of fixedRows(store.rowBinary(sql, { x: 7n }), 16)) {
      for (let at = 0; at < view.byteLength; at += 16, n += 1n) {
        if (view.getBigUint64(at, true) !== n || view.getBigUint64(at + 8, true) !== 7n)
          expect.fail(`row ${n}`);
      }
    }
    expect(n).toBe(1_000_000n);
  });

  test('rowBinary of nothing yields nothing', async () => {
    for await (const _chunk of store.rowBinary('SELECT number FROM numbers(0)')) expect.fail('a chunk');
  });

  test('a read broken off leaves the store ready for the next one', async () => {
    for (let at = 0; at < 6; at += 1) {
      for await (const chunk of store.rowBinary('SELECT number FROM numbers(300000)')) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        break;
      }
    }
    expect(await one('SELECT 1 AS v')).toBe(1);
  });

  test('a binary read that fails half-way throws: it never looks like a shorter result', async () => {
    const sql = 'SELECT throwIf(number = 3000000) FROM numbers(4000000) SETTINGS max_threads = 1';
    await expect(bytesOf(store.rowBinary(sql))).rejects.toMatchObject({ code: 'METER_STORE_REJECTED' });
    expect(await one('SELECT 1 AS v')).toBe(1);
  });

  test('a block of every column type arrives as it was given', async () => {
    const types =
      'a UInt8, b UInt16, c UInt32, d UInt64, e Int64, f FixedString(16), g String, h UInt128, i Int128';
    const target = await table(types);
    const f = Buffer.from('00ff80c3280a0d5c27f0288c2800fffe00010203040506070809fefdfcfb0000', 'hex');
    const h = new BigUint64Array([1n, 2n ** 64n - 1n, 0n, 1n]);
    const columns: Column[] = [
      { name: 'a', type: 'UInt8', data: Uint8Array.of(0, 255) },
      { name: 'b', type: 'UInt16', data: Uint16Array.of(1, 65535) },
      { name: 'c', type: 'UInt32', data: Uint32Array.of(1, 4294967295) },
      { name: 'd', type: 'UInt64', data: new BigUint64Array([0n, 2n ** 64n - 1n]) },
      { name: 'e', type: 'Int64', data: new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n]) },
      { name: 'f', type: 'FixedString(16)', data: f },
      { name: 'g', type: 'String', data: ["\0ü'\n", Buffer.from('ff00fe80', 'hex')] },
      { name: 'h', type: 'UInt128', data: h },
      { name: 'i', type: 'Int128', data: new BigInt64Array([-1n, -1n, 0n, 2n ** 62n]) },
    ];
    await store.insertBlock(blockInsert(target, columns, 2));
    const rows = await store.rows<object>(
      `SELECT * REPLACE (hex(f) AS f, hex(g) AS g) FROM ${target} ORDER BY a`,
    );
    const [f0, f1] = [f.subarray(0, 16), f.subarray(16)].map((id) => id.toString('hex').toUpperCase());
    const h0 = ((2n ** 64n - 1n) * 2n ** 64n + 1n).toString();
    const [h1, i1] = [2n ** 64n, 2n ** 126n].map(String);
    expect(rows.map((row) => Object.values(row) as unknown[])).toEqual([
      [0, 1, 1, '0', '-9223372036854775808', f0, '00C3BC270A', h0, '-1'],
      [255, 65535, 4294967295, '18446744073709551615', '9223372036854775807', f1, 'FF00FE80', h1, i1],
    ]);
  });

  test('a block goes through expressions and parameters on its way in', async () => {
    const target = await table('hour DateTime, cluster LowCardinality(String), t Int64');
    const t = new BigInt64Array([3_600_000n, 3_600_001n]);
    await store.insertBlock({
      table: target,
      columns: ['hour', 'cluster', 't'],
      structure: 't Int64',
      select: ['toDateTime(intDiv(t - 1, 3600000) * 3600)', '{cluster:String}', 't'],
      parameters: { cluster: "it's\nhere" },
      block: nativeBlock(2, [{ name: 't', type: 'Int64', data: t }]),
    });
    const sql = `SELECT toUnixTimestamp(hour) AS h, cluster, t FROM ${target} ORDER BY t`;
    expect(await store.rows(sql)).toEqual([
      { h: 0, cluster: "it's\nhere", t: '3600000' },
      { h: 3600, cluster: "it's\nhere", t: '3600001' },
    ]);
  });

  test('of a block only that is inserted for which the condition holds', async () => {
    const target = await table('n UInt64, text String');
    const data = new BigUint64Array([1n, 2n, 3n]);
    const insert = async (where: string, floor: number): Promise<void> => {
      const block = nativeBlock(3, [{ name: 'n', type: 'UInt64', data }]);
      const columns = { columns: ['n', 'text'], structure: 'n UInt64', select: ['n', "'it''s (here)'"] };
      await store.insertBlock({ table: target, ...columns, where, parameters: { floor }, block });
    };
    await insert('n > {floor:UInt64}', 1);
    expect(await store.rows(`SELECT n FROM ${target} ORDER BY n`)).toEqual([{ n: '2' }, { n: '3' }]);
    // As the ledger asks: nobody has written meanwhile.
    await insert(`(SELECT count() FROM ${target} WHERE n > {floor:UInt64} AND text != ')') = 0`, 2);
    expect(await one(`SELECT count() AS v FROM ${target}`)).toBe('2');
    await insert(`(SELECT count() FROM ${target} WHERE n > {floor:UInt64} AND text != ')') = 0`, 3);
    expect(await one(`SELECT count() AS v FROM ${target}`)).toBe('5');
  });

  test('a large block is there as a whole when the insert resolves', async () => {
    const rows = 200_000;
    const target = await table('n UInt64');
    const data = new BigUint64Array(rows).map((_, at) => BigInt(at));
    await store.insertBlock(blockInsert(target, [{ name: 'n', type: 'UInt64', data }], rows));
    const [sums] = await store.rows(`SELECT count() AS c, sum(n) AS s, uniqExact(n) AS u FROM ${target}`);
    expect(sums).toEqual({ c: '200000', s: '19999900000', u: '200000' });
  });

  test('a block that is cut off is refused and stores nothing', async () => {
    const target = await table('n UInt64');
    const data = new BigUint64Array(1000);
    const insert = blockInsert(target, [{ name: 'n', type: 'UInt64', data }], 1000);
    const block = insert.block.map((part, at) =>
      at === insert.block.length - 1 ? part.subarray(0, 4001) : part,
    );
    await expect(store.insertBlock({ ...insert, block })).rejects.toMatchObject({ name: 'MeteringError' });
    expect(await one(`SELECT count() AS v FROM ${target}`)).toBe('0');
  });

  test('objects arrive with all their characters, maps and lists', async () => {
    const target = await table("s String, m Map(String, String), l Array(UInt64), d DateTime('UTC')");
    const rows = NASTY.map((s) => ({
      s,
      m: { [s]: s, b: '' },
      l: ['18446744073709551615'],
      d: '2026-01-31 23:59:59',
    }));
    await store.insert(target, rows);
    expect(await store.rows(`SELECT * FROM ${target}`)).toEqual(rows);
  });

  test('no rows are no insert', async () => {
    await expect(store.insert('a_table_that_is_not_there', [])).resolves.toBeUndefined();
  });

  test('a row with a column the table lacks is refused, and so are the rows around it', async () => {
    const target = await table('n UInt64');
    const rows = [{ n: 1n }, { n: 2n, misspelt: 1 }, { n: 3n }];
    await expect(store.insert(target, rows)).rejects.toMatchObject({
      code: 'METER_STORE_REJECTED',
      retryable: false,
    });
    expect(await one(`SELECT count() AS v FROM ${target}`)).toBe('0');
  });

  test('a read past its time is METER_QUERY_TIMEOUT, and the next read is served', async () => {
    const expected = { code: 'METER_QUERY_TIMEOUT', retryable: false };
    await expect(store.rows(ENDLESS, {}, { timeoutMs: 200 })).rejects.toMatchObject(expected);
    await expect(bytesOf(store.rowBinary(ENDLESS, {}, { timeoutMs: 200 }))).rejects.toMatchObject(expected);
    // A limit of one read is not a limit of the next.
    expect(await one("SELECT getSetting('max_execution_time') AS v")).toBe(0);
  });

  test('a result too large for memory is METER_QUERY_LIMIT', async () => {
    const sql =
      'SELECT repeat(toString(number), 1000000) AS s FROM numbers(400) SETTINGS max_block_size = 10';
    // Only the count: a failure must not print what did not fit.
    const count = store.rows(sql).then((rows) => rows.length);
    await expect(count).rejects.toMatchObject({ code: 'METER_QUERY_LIMIT', retryable: false });
  });

  test('a read that needs too much memory is METER_QUERY_LIMIT', async () => {
    const sql =
      'SELECT length(groupArray(number)) AS v FROM numbers(10000000) SETTINGS max_memory_usage = 10000000';
    await expect(store.rows(sql)).rejects.toMatchObject({ code: 'METER_QUERY_LIMIT' });
  });

  test.each(['SELECT nope', 'SELEC 1', 'SELECT * FROM not_there', 'SELECT toUInt8({x:String})'])(
    'a statement the engine refuses is METER_STORE_REJECTED: %s',
    async (sql) => {
      const parameters = { x: 'seven' };
      const expected = { code: 'METER_STORE_REJECTED', retryable: false };
      await expect(store.rows(sql, parameters)).rejects.toMatchObject(expected);
      await expect(bytesOf(store.rowBinary(sql, parameters))).rejects.toMatchObject(expected);
      await expect(
        store.command(`CREATE TABLE never ENGINE = Log AS ${sql}`, parameters),
      ).rejects.toMatchObject(expected);
    },
  );

  test('reads go on while a write runs', async () => {
    const target = await table('n UInt64');
    let writing = true;
    const sql = `INSERT INTO ${target} SELECT number + sleepEachRow(0.1) FROM numbers(15)
      SETTINGS max_block_size = 1`;
    const write = store.command(sql).finally(() => (writing = false));
    for (let at = 0; at < 5; at += 1) {
      await one('SELECT {x:UInt64} AS v', { x: at });
      await bytesOf(store.rowBinary('SELECT number FROM numbers(10)'));
    }
    expect(writing).toBe(true);
    await write;
  });

  test('reads at once keep their parameters apart', async () => {
    const asked = Array.from({ length: 60 }, (_, at) => at);
    const sql = 'SELECT {x:UInt64} AS v, count() FROM numbers(10000)';
    expect(await Promise.all(asked.map((x) => one(sql, { x })))).toEqual(asked.map(String));
  });

  test('what was inserted is seen by the next read', async () => {
    const target = await table('n UInt64');
    for (let n = 1; n <= 20; n += 1) {
      await store.insert(target, [{ n }]);
      expect(await one(`SELECT count() AS v FROM ${target}`)).toBe(String(n));
    }
  });

  test('tables live in an Atomic database of their own, where tables can be exchanged', async () => {
    expect(await one('SELECT engine AS v FROM system.databases WHERE name = currentDatabase()')).toBe(
      'Atomic',
    );
    const [a, b] = [await table('n UInt8'), await table('n UInt8')];
    await store.insert(a, [{ n: 1 }]);
    await store.command(`EXCHANGE TABLES ${a} AND ${b}`);
    expect(await store.rows(`SELECT n FROM ${b}`)).toEqual([{ n: 1 }]);
  });

  test('unmatched rows of a join are zero, not NULL', async () => {
    const sql =
      'SELECT b.y AS v FROM (SELECT 1 AS x) AS a LEFT JOIN (SELECT 2 AS x, 5 AS y) AS b ON a.x = b.x';
    expect(await one(sql)).toBe(0);
  });

  test('a closed store says so', async () => {
    await opened.dispose();
    const expected = { code: 'METER_STORE_UNAVAILABLE' };
    await expect(store.rows('SELECT 1')).rejects.toMatchObject(expected);
    await expect(bytesOf(store.rowBinary('SELECT 1'))).rejects.toMatchObject(expected);
    await expect(store.insert('contract_1', [{ a: 1 }])).rejects.toMatchObject(expected);
    await expect(store.close()).resolves.toBeUndefined();
  });
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunks) bytes += chunk.byteLength;
  return bytes;
}
