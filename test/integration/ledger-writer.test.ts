/** One writer of the ledger at a time, on a server that several processes speak to. */
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Lease, type LeaseConfig } from '../../aggregator/coordination/lease.ts';
import { Writer } from '../../aggregator/coordination/writer.ts';
import { appendFloor } from '../../aggregator/ledger/decisions.ts';
import { fingerprint, NO_QUARTERS, NOTHING, type LedgerEntry } from '../../aggregator/ledger/entry.ts';
import { Ledger } from '../../aggregator/ledger/ledger.ts';
import { ClickHouseStore } from '../../aggregator/store/clickhouse/server.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { SCHEMA_DIRECTORY, temporaryDirectory } from '../support/chdb.ts';
import { startClickHouseFront, type ClickHouseFront } from '../support/clickhouse-front.ts';
import { GatedStore } from '../support/gated-store.ts';
import { ledgerFaults } from '../support/kept-promises.ts';
import { until } from '../support/waiting.ts';

const clock = new SystemClock();
const LONG_MS = 600_000;
/** Longer than a few statements take on a machine with other work. */
const SHORT_MS = 3_000;
const OCTOBER = Date.UTC(2026, 9, 1);

let path: string;
let front: ClickHouseFront;
/** Every process has a connection of its own. */
let stores: readonly UsageStore[];
let store: UsageStore;

beforeAll(async () => {
  path = await temporaryDirectory();
  front = await startClickHouseFront({ path });
  stores = await Promise.all([0, 1, 2, 3].map(() => ClickHouseStore.open({ url: front.url })));
  store = stores[0]!;
  await migrate(store, { directory: SCHEMA_DIRECTORY });
});
afterAll(async () => {
  for (const each of stores) await each.close();
  await front.close();
  await rm(path, { recursive: true, force: true });
});
beforeEach(async () => {
  for (const table of ['lease', 'ledger', 'decision']) await store.command(`TRUNCATE TABLE ${table}`);
});

function leaseOf(holder: string, config: Partial<LeaseConfig> = {}, on: UsageStore = store): Lease {
  return new Lease(
    { name: 'ledger', holder, lastsMs: LONG_MS, isAlone: false, ...config },
    { store: on, clock },
  );
}

interface Told {
  readonly name: string;
  readonly fields: unknown;
}

function writerOf(place: string, { leaseMs = LONG_MS, on = store, told = [] as Told[] } = {}): Writer {
  const facts: FactSink = { event: (name, fields) => told.push({ name, fields }) };
  const config = { place, leaseMs, renewEveryMs: Math.floor(leaseMs / 3), isAlone: false };
  return new Writer(config, { store: on, clock, facts });
}

let entries = 0;
/** Of an hour that no other entry is about. */
function entry(): LedgerEntry {
  const revision = ++entries;
  return {
    ...NOTHING,
    ...{ id: fingerprint('test', revision), kind: 'usage', period: 202610, hour: OCTOBER, revision },
    ...{ cluster: 'north', tenant: 'acme', namespace: 'web', meter: 'cpu', final: false },
    ...{ before: NO_QUARTERS, inputHash: Buffer.alloc(16), body: '' },
  };
}

async function countOf(table: string): Promise<number> {
  const [row] = await store.rows<{ n: string }>(`SELECT count() AS n FROM ${table}`);
  return Number(row?.n ?? 0);
}

describe('the lease', () => {
  test('is had by one of many who ask at the same time, in every round', async () => {
    for (let round = 1; round <= 5; round++) {
      const leases = stores.flatMap((on, i) => [leaseOf(`${i}a`, {}, on), leaseOf(`${i}b`, {}, on)]);
      const epochs = await Promise.all(leases.map((lease) => lease.take()));
      const taken = epochs.filter((epoch) => epoch !== undefined);
      expect(taken).toEqual([BigInt(round)]);
      await leases[epochs.findIndex((epoch) => epoch !== undefined)]?.release(BigInt(round));
    }
  });

  test('is not had by another while it lasts, and is had once it has run out', async () => {
    const epoch = await leaseOf('a', { lastsMs: SHORT_MS }).take();
    expect(epoch).toBe(1n);
    expect(await leaseOf('b').take()).toBeUndefined();
    expect(await until('the lease', () => leaseOf('b').take())).toBe(2n);
    expect(await leaseOf('a').renew(1n)).toBe(false);
  });

  test('lasts for as long as it is renewed', async () => {
    const lease = leaseOf('a', { lastsMs: SHORT_MS });
    expect(await lease.take()).toBe(1n);
    for (let beats = 0; beats < 6; beats++) {
      await clock.sleep(SHORT_MS / 4);
      expect(await lease.renew(1n)).toBe(true);
      expect(await leaseOf('b').take()).toBeUndefined();
    }
  });

  test('that was let go is free at once', async () => {
    const lease = leaseOf('a');
    const epoch = await lease.take();
    await lease.release(epoch!);
    expect(await leaseOf('b').take()).toBe(2n);
  });

  test('of a store that serves one process is had at once, whoever had it before', async () => {
    await leaseOf('dead').take();
    expect(await leaseOf('next', { isAlone: true }).take()).toBe(2n);
  });

  test('is had only when what was begun under the one before is over', async () => {
    const slow = store.command(
      `INSERT INTO ledger (seq, id) SELECT number + 1, toString(sleep(1)) FROM numbers(2)
       SETTINGS max_block_size = 1`,
    );
    await until('the slow insert', async () =>
      (await stores[1]!.rows("SELECT 1 FROM system.processes WHERE query LIKE 'INSERT INTO ledger%'"))
        .length > 0
        ? true
        : undefined,
    );
    expect(await leaseOf('b', {}, stores[1]).take()).toBe(1n);
    expect(await countOf('ledger')).toBe(2);
    await slow;
  });
});

describe('the ledger', () => {
  test('has an entry once, however often it is appended and whatever its id ends with', async () => {
    const ledger = new Ledger({ store });
    const ids = ['07'.repeat(16), '07'.repeat(15) + '00', '07'.repeat(8) + '00'.repeat(8)];
    const twice = ids.map((id) => ({ ...entry(), id: Buffer.from(id, 'hex') }));
    for (let time = 0; time < 2; time++) await ledger.append(twice);
    expect(await countOf('ledger')).toBe(ids.length);
  });
});

describe('the writer', () => {
  test('appends in one sequence, however many stand by and however often the lease changes hands', async () => {
    const processes = stores.map((on, i) => {
      const writer = writerOf(`${i}`, { on, leaseMs: 1_000 });
      return { writer, ledger: new Ledger({ store: on, right: writer }) };
    });
    let appended = 0;
    const loops = processes.map(async ({ writer, ledger }, i) => {
      for (let turn = 0; turn < 12; turn++) {
        if (!(await writer.holds())) await clock.sleep(10 * i);
        const refused = await ledger.append([entry(), entry()]).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (refused === undefined) appended += 2;
        else expect(refused).toMatchObject({ code: 'METER_LEASE_LOST', retryable: true });
        if (turn % 4 === i) await writer.release();
      }
    });
    await Promise.all(loops);
    expect(await ledgerFaults(store)).toEqual([]);
    // Of an append that the lease ran out over it is not known whether it was in time.
    expect(await countOf('ledger')).toBeGreaterThanOrEqual(appended);
    expect(appended).toBeGreaterThan(0);
  });

  test.each(['ledger', 'decision'] as const)(
    'that was frozen at an insert into %s, and wakes up when another one writes, adds nothing',
    async (table) => {
      const gated = new GatedStore(store);
      const told: Told[] = [];
      const zombie = writerOf('zombie', { on: gated, leaseMs: SHORT_MS, told });
      const next = writerOf('next', { on: stores[1]! });
      expect(await zombie.holds()).toBe(true);
      const append = (on: UsageStore, right: Writer): Promise<void> =>
        table === 'ledger'
          ? new Ledger({ store: on, right }).append([entry()])
          : appendFloor(on, { kind: 'floor', floor: OCTOBER, cut: [] }, right);
      const frozen = gated.stopBefore((call) => call === `insert ${table}`);
      const appending = append(gated, zombie).catch((error: unknown) => error);
      const thaw = await frozen;
      expect(await next.holds()).toBe(false);
      await until('the lease', async () => ((await next.holds()) ? true : undefined));
      await append(store, next);
      thaw();
      expect(await appending).toMatchObject({ code: 'METER_LEASE_LOST' });
      expect(await countOf(table)).toBe(1);
      expect(await ledgerFaults(store)).toEqual([]);
      expect(told.map(({ name }) => name)).toEqual(['writerTaken', 'writerLost']);
      expect(await zombie.holds()).toBe(false);
      await append(stores[1]!, next);
      expect(await countOf(table)).toBe(2);
    },
  );

  test('takes a new epoch when it does not know what became of an append', async () => {
    const broken: UsageStore = Object.assign(Object.create(store) as UsageStore, {
      rows: store.rows.bind(store),
      command: store.command.bind(store),
      insertBlock: () => Promise.reject(new Error('the connection broke')),
    });
    const told: Told[] = [];
    const writer = writerOf('one', { told });
    expect(await writer.holds()).toBe(true);
    const ledger = new Ledger({ store: broken, right: writer });
    await expect(ledger.append([entry()])).rejects.toThrow('the connection broke');
    expect(await writer.holds()).toBe(true);
    const epochs = told.filter(({ name }) => name === 'writerTaken').map(({ fields }) => fields);
    expect(epochs).toMatchObject([{ epoch: 1n }, { epoch: 2n }]);
  });

  test('hands over within the lease when it dies, at once when it stops, and says who writes', async () => {
    const [first, second] = [
      writerOf('first', { leaseMs: SHORT_MS }),
      writerOf('second', { on: stores[1]! }),
    ];
    expect(await second.describe()).toBe('nobody has written the ledger yet');
    expect(await first.holds()).toBe(true);
    expect(await second.holds()).toBe(false);
    expect(await first.describe()).toBe('this process writes the ledger, epoch 1');
    expect(await second.describe()).toMatch(/^first\/\w+ writes the ledger, epoch 1, for [123] s unless/);
    const diedMs = clock.now();
    await until('the lease', async () => ((await second.holds()) ? true : undefined));
    expect(clock.now() - diedMs).toBeLessThan(SHORT_MS + 5_000);
    await second.release();
    expect(await second.describe()).toMatch(/^nobody writes the ledger; second\/\w+ did, epoch 2/);
    expect(await writerOf('third').holds()).toBe(true);
  });
});
