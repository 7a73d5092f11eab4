import { rm } from 'node:fs/promises';
import { describe, test } from 'vitest';
import { ClickHouseStore, type ClickHouseConfig } from '../../aggregator/store/clickhouse/server.ts';
import { temporaryDirectory } from '../support/chdb.ts';
import { startClickHouseFront } from '../support/clickhouse-front.ts';
import { usageStoreContract, type OpenedStore } from './usage-store.contract.ts';

async function openOnFront(options: Omit<ClickHouseConfig, 'url'>): Promise<OpenedStore> {
  const path = await temporaryDirectory();
  const front = await startClickHouseFront({ path, password: 'it is' });
  const store = await ClickHouseStore.open({
    url: front.url,
    username: 'meter',
    password: 'it is',
    ...options,
  });
  let disposed: Promise<void> | undefined;
  const dispose = async (): Promise<void> => {
    await store.close();
    await front.close();
    await rm(path, { recursive: true, force: true });
  };
  return { store, dispose: () => (disposed ??= dispose()) };
}

/** A database of its own on a real server, dropped afterwards. */
async function openOnServer(url: string): Promise<OpenedStore> {
  const database = `metering_contract_${process.pid}`;
  const store = await ClickHouseStore.open({ url, database });
  let disposed: Promise<void> | undefined;
  const dispose = async (): Promise<void> => {
    await store.command(`DROP DATABASE ${database} SYNC`);
    await store.close();
  };
  return { store, dispose: () => (disposed ??= dispose()) };
}

describe('the client over HTTP, answered by chDB', () => {
  usageStoreContract(() => openOnFront({}));
});

describe('the client over compressed HTTP, answered by chDB', () => {
  usageStoreContract(() => openOnFront({ compression: true }));
});

const { CLICKHOUSE_URL } = process.env;

describe('a real ClickHouse server', () => {
  if (CLICKHOUSE_URL === undefined) test.skip('needs CLICKHOUSE_URL, e.g. http://default:@127.0.0.1:8123');
  else usageStoreContract(() => openOnServer(CLICKHOUSE_URL));
});
