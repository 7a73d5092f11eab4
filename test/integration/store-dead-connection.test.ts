/** A connection to the store dies without a word: what waits on it fails in time, and what follows works. */
import { rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ClickHouseStore } from '../../aggregator/store/clickhouse/server.ts';
import { temporaryDirectory } from '../support/chdb.ts';
import { startClickHouseFront, type ClickHouseFront } from '../support/clickhouse-front.ts';
import { TcpLink } from '../support/tcp-link.ts';
import { until } from '../support/waiting.ts';

const SILENCE_MS = 400;

let path: string;
let front: ClickHouseFront;
let link: TcpLink;
let store: ClickHouseStore;
beforeEach(async () => {
  path = await temporaryDirectory();
  front = await startClickHouseFront({ path });
  link = await TcpLink.start();
  link.leadTo(Number(new URL(front.url).port));
  store = await ClickHouseStore.open({ url: `http://${link.address}`, silenceMs: SILENCE_MS });
  await store.command('CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n');
});
afterEach(async () => {
  await store.close();
  await link.close();
  await front.close();
  await rm(path, { recursive: true });
});

/** Each way to use the store, all at once, as what came of each. */
function statements(): readonly Promise<unknown>[] {
  const read = async (): Promise<void> => {
    for await (const _ of store.rowBinary('SELECT n FROM kept')) continue;
  };
  const doing = [store.rows('SELECT 1'), read(), store.insert('kept', [{ n: 1 }]), store.command('SELECT 1')];
  return doing.map((one) => one.catch((error: unknown) => error));
}

describe('a connection that is dead', () => {
  test('is given up once the server says that it runs nothing of the kind', async () => {
    // Their connections are kept for the next ones.
    expect(await Promise.all(statements())).toEqual([[{ '1': 1 }], undefined, undefined, undefined]);
    link.hold();
    const outcomes = statements();
    await new Promise((resolve) => setTimeout(resolve, SILENCE_MS / 2));
    await link.mendForNew();
    for (const outcome of await Promise.all(outcomes))
      expect(outcome).toMatchObject({ code: 'METER_STORE_UNAVAILABLE', retryable: true });
    await store.insert('kept', [{ n: 2 }]);
    expect(await store.rows('SELECT n FROM kept ORDER BY n')).toContainEqual({ n: 2 });
  });

  test('is waited for while the server cannot be asked, and while it says that it works', async () => {
    link.hold();
    const waiting = store.rows('SELECT 1 AS n');
    await until('a connection', () => (link.connections > 0 ? true : undefined));
    await new Promise((resolve) => setTimeout(resolve, 4 * SILENCE_MS));
    await link.mend();
    expect(await waiting).toEqual([{ n: 1 }]);
    const long = `SELECT sum(sleepEachRow(0.2)) AS s FROM numbers(${(10 * SILENCE_MS) / 200}) SETTINGS max_block_size = 1`;
    expect(await store.rows(long)).toEqual([{ s: '0' }]);
  });
});
