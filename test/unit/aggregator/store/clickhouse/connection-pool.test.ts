import { expect, test } from 'vitest';
import { ConnectionPool } from '../../../../../aggregator/store/clickhouse/connection-pool.ts';

test('a connection has one user at a time, and users come in order of asking', async () => {
  const pool = new ConnectionPool(['a', 'b']);
  const log: string[] = [];
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<undefined>());
  const users = gates.map((gate, at) =>
    pool.use(async (connection) => {
      log.push(`${at} on ${connection}`);
      await gate.promise;
    }),
  );
  await Promise.resolve();
  expect(log).toEqual(['0 on b', '1 on a']);
  gates[1]?.resolve(undefined);
  await users[1];
  gates[0]?.resolve(undefined);
  await users[0];
  for (const gate of gates) gate.resolve(undefined);
  await Promise.all(users);
  expect(log.map((line) => line[0])).toEqual(['0', '1', '2', '3', '4']);
});

test('a user that fails gives its connection back', async () => {
  const pool = new ConnectionPool(['a']);
  await expect(pool.use(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await pool.use((connection) => Promise.resolve(connection))).toBe('a');
});

test('closing waits for users, turns waiting ones away and refuses new ones', async () => {
  const pool = new ConnectionPool(['a']);
  const gate = Promise.withResolvers<string>();
  const user = pool.use(() => gate.promise);
  const refused = expect(pool.acquire()).rejects.toMatchObject({ code: 'METER_STORE_UNAVAILABLE' });
  let closed = false;
  const closing = pool.close().then(() => (closed = true));
  await refused;
  await expect(pool.acquire()).rejects.toMatchObject({ code: 'METER_STORE_UNAVAILABLE' });
  expect(closed).toBe(false);
  gate.resolve('done');
  expect(await user).toBe('done');
  await closing;
  await pool.close();
});
