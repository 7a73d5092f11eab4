import { describe, test } from 'vitest';
import { ClickHouseStore } from '../../aggregator/store/clickhouse/server.ts';
import { openFrontStore } from '../support/front-store.ts';
import { usageStoreContract, type OpenedStore } from './usage-store.contract.ts';

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
  usageStoreContract(() => openFrontStore());
});

describe('the client over compressed HTTP, answered by chDB', () => {
  usageStoreContract(() => openFrontStore({ compression: true }));
});

const { CLICKHOUSE_URL } = process.env;

describe('a real ClickHouse server', () => {
  if (CLICKHOUSE_URL === undefined) test.skip('needs CLICKHOUSE_URL, e.g. http://default:@127.0.0.1:8123');
  else usageStoreContract(() => openOnServer(CLICKHOUSE_URL));
});
