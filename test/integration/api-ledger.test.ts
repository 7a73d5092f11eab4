/** The ledger as a feed, on a real store: every entry once, for ever, to whom it belongs, and no sooner asked than told. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeCursor } from '../../aggregator/api/endpoint/cursor.ts';
import { digestOf } from '../../aggregator/api/feed/ledger-reader.ts';
import { PLACE_IN_LEDGER } from '../../aggregator/api/feed/list-ledger.ts';
import { NO_QUARTERS, NOTHING, fingerprint, type LedgerEntry } from '../../aggregator/ledger/entry.ts';
import type { PublicEntry } from '../../aggregator/ledger/public-entry.ts';
import { parseStatement } from '../../aggregator/ledger/statements/json.ts';
import { AccountsBench } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { ClosedMonth, DAY, HOUR, NOVEMBER } from '../support/closed-month.ts';
import { openFastStore } from '../support/pipeline.ts';
import { membership, TokenServer } from '../support/token-server.ts';
import { guardedApi, type GuardedApi } from '../support/token-server-api.ts';
import { until } from '../support/waiting.ts';

interface Page {
  readonly data: readonly PublicEntry[];
  readonly next: string;
  readonly more: boolean;
}

let opened: TestStore;
let bench: AccountsBench;
let server: TokenServer;
let guarded: GuardedApi;
let everything: string;

async function tokenOf(...members: readonly string[]): Promise<string> {
  return await server.memberToken(members, 'metering-billing');
}

beforeAll(async () => {
  server = await TokenServer.start();
  opened = await openFastStore();
  bench = new AccountsBench(opened.store, ['north', 'south']);
  const month = new ClosedMonth();
  await month.playOn(bench);
  await bench.take(month.untilDecember());
  await bench.passAt(NOVEMBER + 33 * DAY);
  guarded = guardedApi(server, { store: opened.store, usageClock: bench.clock });
  everything = await server.serviceToken();
});
afterAll(async () => {
  await guarded.api.stop();
  await opened.dispose();
  await server.stop();
});

type Response = Awaited<ReturnType<GuardedApi['api']['app']['inject']>>;

async function get(token: string, query = ''): Promise<Response> {
  const headers = { authorization: `Bearer ${token}` };
  return await guarded.api.app.inject({ url: `/api/v1/ledger${query}`, headers });
}

async function page(token: string, query = ''): Promise<Page> {
  const response = await get(token, query);
  expect(response.statusCode, response.body).toBe(200);
  return response.json<Page>();
}

interface Following {
  readonly limit: number;
  readonly kinds?: string;
  readonly from?: string;
}

/** To the end, by cursor. */
async function followed(token: string, { limit, kinds = '', from }: Following): Promise<PublicEntry[]> {
  const entries: PublicEntry[] = [];
  for (let after = from; ;) {
    const place = after === undefined ? '' : `&after=${after}`;
    const { data, next } = await page(token, `?limit=${limit}${kinds}${place}`);
    if (data.length === 0) return entries;
    entries.push(...data);
    after = next;
  }
}

async function idsInStore(condition = '1'): Promise<string[]> {
  const rows = await opened.store.rows<{ name: string }>(
    `SELECT lower(hex(id)) AS name FROM ledger WHERE ${condition} ORDER BY seq`,
  );
  return rows.map(({ name }) => name);
}

const idsOf = (entries: readonly PublicEntry[]): string[] => entries.map(({ id }) => id);

/** Something new in the ledger, of a tenant. */
function breachOf(tenant: string, n: number): LedgerEntry {
  const [from, to] = [new Date(NOVEMBER).toISOString(), new Date(NOVEMBER + 30 * DAY).toISOString()];
  return {
    ...NOTHING,
    ...{ id: fingerprint('breach', tenant, n), kind: 'breach', period: 202_611, hour: NOVEMBER + n * HOUR },
    ...{ cluster: '', tenant, namespace: '', meter: 'cpu', revision: 1, final: true },
    ...{ before: NO_QUARTERS, inputHash: Buffer.alloc(16) },
    body: JSON.stringify({ window: 'month', from, to, threshold: 80, limit: '1000', quantity: '900' }),
  };
}

describe('a page after the other', () => {
  test.each([37, 5_000])('of %i has every entry once, in order', async (limit) => {
    const all = await idsInStore();
    expect(all.length).toBeGreaterThan(60);
    expect(idsOf(await followed(everything, { limit }))).toEqual(all);
  });

  test.each([31, 5_000])('of %i has a tenant its own, once, and no place in the whole', async (limit) => {
    const token = await tokenOf('acme');
    const own = await followed(token, { limit });
    expect(idsOf(own)).toEqual(await idsInStore("tenant = 'acme'"));
    expect(own.every((entry) => !('seq' in entry) && 'tenant' in entry && entry.tenant === 'acme')).toBe(
      true,
    );
    const both = await followed(await tokenOf('acme', 'globex'), { limit });
    expect(idsOf(both)).toEqual(await idsInStore("tenant IN ('acme', 'globex')"));
  });

  test('of some kinds goes on behind those that it left out', async () => {
    const periods = await followed(everything, { limit: 2, kinds: '&kind=period' });
    expect(idsOf(periods)).toEqual(await idsInStore("kind = 'period'"));
    const { next, more } = await page(everything, '?kind=erasure');
    expect(more).toBe(false);
    // It stands at the end of the ledger, whatever is looked for from there.
    expect(await page(everything, `?after=${next}`)).toEqual({ data: [], next, more: false });
  });

  test('an empty one repeats the cursor', async () => {
    const nobody = await tokenOf('nobody');
    const first = await page(nobody);
    expect(first.data).toEqual([]);
    expect(await page(nobody, `?after=${first.next}`)).toEqual(first);
  });

  test('an entry that stands in the ledger twice comes twice, and nobody is held up by it', async () => {
    const token = await tokenOf('acme');
    const [ownEnd, end] = [(await endOf(token)).next, (await endOf(everything)).next];
    const ofAcme = "tenant = 'acme' AND kind = 'usage'";
    const two = (await idsInStore(ofAcme)).slice(0, 2);
    const copyOfTwo = (place: string): Promise<void> =>
      opened.store.command(
        `INSERT INTO ledger SELECT * REPLACE (${place} AS seq) FROM ledger
         WHERE ${ofAcme} ORDER BY seq LIMIT 2`,
      );
    await copyOfTwo('(SELECT max(seq) FROM ledger) + rowNumberInAllBlocks() + 1');
    // And two that share a place, as two writers would leave them.
    await copyOfTwo('(SELECT max(seq) FROM ledger) + 1');
    await bench.ledger.append([breachOf('acme', 0)]);
    const copies = [...two, ...two].sort();
    for (const limit of [1, 2, 3]) {
      for (const [reader, from] of [
        [token, ownEnd],
        [everything, end],
      ] as const) {
        const ids = idsOf(await followed(reader, { limit, from }));
        expect(ids.slice(0, -1).sort()).toEqual(copies);
        expect(ids.at(-1)).toBe(breachOf('acme', 0).id.toString('hex'));
      }
    }
  });
});

describe('a cursor', () => {
  test('is good in the hands of whoever it was given to, and of nobody else', async () => {
    const acme = await tokenOf('acme');
    const ofAll = (await page(everything, '?limit=5')).next;
    const ofAcme = (await page(acme, '?limit=5')).next;
    const answer = async (token: string, after: string): Promise<unknown> => {
      const response = await get(token, `?after=${after}`);
      return [response.statusCode, response.json<{ code?: string }>().code];
    };
    const gone = [410, 'METER_CURSOR_GONE'];
    expect(await answer(acme, ofAll)).toEqual(gone);
    expect(await answer(everything, ofAcme)).toEqual(gone);
    expect(await answer(await tokenOf('globex'), ofAcme)).toEqual(gone);
    expect(await answer(await tokenOf('acme'), ofAcme)).toEqual([200, undefined]);
  });

  test('is gone with the first organization or role that comes or goes, so that nothing is left out', async () => {
    const before = await tokenOf('acme');
    const kept = idsOf(await followed(before, { limit: 5_000 }));
    const { next } = await endOf(before);
    const organization = { acme: membership('metering-billing'), globex: membership('metering-viewer') };
    const beside = await server.userToken({ claims: { organization } });
    // Of globex it reads no ledger.
    expect(await page(beside, `?after=${next}`)).toEqual({ data: [], next, more: false });
    const after = await tokenOf('acme', 'globex');
    const gone = await get(after, `?after=${next}`);
    expect([gone.statusCode, gone.json()]).toMatchObject([410, { code: 'METER_CURSOR_GONE' }]);
    const both = await followed(after, { limit: 5_000 });
    expect(new Set([...kept, ...idsOf(both)])).toEqual(
      new Set(await idsInStore("tenant IN ('acme', 'globex')")),
    );
    expect((await get(before, `?after=${(await endOf(after)).next}`)).statusCode).toBe(410);
  });

  test('of another ledger is refused, rather than leaving out what it does not know', async () => {
    const id = 'ab'.repeat(16);
    const [, , third = ''] = await idsInStore();
    const at = (...place: readonly string[]): string => writeCursor(place, PLACE_IN_LEDGER);
    const acme = await tokenOf('acme');
    for (const [token, after] of [
      [everything, at('place', '3', id)],
      [everything, at('place', '99999999', third)],
      [acme, at('entry', '496000', id, '0', digestOf(['acme']))],
      [acme, at('place', '3', third)],
    ] as const) {
      expect((await get(token, `?after=${after}`)).statusCode).toBe(410);
    }
    const wrong = [
      ...[
        at('place', '0', id),
        at('place', '3'),
        at('place', '3', `${id}'`),
        at('entry', '-1', id, '0', digestOf(['acme'])),
      ],
      ...[at('entry', '9999999', id, '0', digestOf(['acme'])), at('end'), at(), writeCursor(['start'], {})],
      ...['x', '%00', 'e'.repeat(2_000), Buffer.from('[1,').toString('base64url')],
    ];
    for (const after of wrong) {
      const response = await get(everything, `?after=${after}`);
      expect(response.statusCode, after).toBe(400);
      expect(response.json<{ problems: unknown[] }>().problems).toMatchObject([{ parameter: 'after' }]);
    }
  });

  test('made up at an entry of another tenant is as one at an entry that there is not', async () => {
    const acme = await tokenOf('acme');
    const { data } = await page(everything, '?kind=usage&limit=5000');
    const at = async (tenant: string, id?: string): Promise<number> => {
      const found = data.find((entry) => entry.kind === 'usage' && entry.tenant === tenant);
      const { hour, id: own } = found as Extract<PublicEntry, { kind: 'usage' }>;
      const place = ['entry', String(Date.parse(hour) / HOUR), id ?? own, '0', digestOf(['acme'])];
      return (await get(acme, `?after=${writeCursor(place, PLACE_IN_LEDGER)}`)).statusCode;
    };
    const missing = await at('acme', 'ab'.repeat(16));
    expect([await at('acme'), missing, await at('globex')]).toEqual([200, 410, 410]);
  });

  test.each(['limit=0', 'limit=5001', 'limit=many', 'wait=31s', 'wait=5', 'kind=invoice', 'tenant=acme'])(
    'beside %s is no use',
    async (query) => {
      expect((await get(everything, `?${query}`)).statusCode).toBe(400);
    },
  );
});

describe('who waits', () => {
  test('is told as soon as there is an entry of theirs, and not of others', async () => {
    const acme = await tokenOf('acme');
    const [{ next }, all] = [await endOf(acme), await endOf(everything)];
    const waiting = page(acme, `?after=${next}&wait=20s`);
    const watching = page(everything, `?after=${all.next}&wait=20s`);
    await until('both wait', () => (guarded.readers.ledgerWatch.waiting === 2 ? true : undefined));
    await bench.ledger.append([breachOf('globex', 1)]);
    expect(idsOf((await watching).data)).toEqual([breachOf('globex', 1).id.toString('hex')]);
    expect(guarded.readers.ledgerWatch.waiting).toBe(1);
    await bench.ledger.append([breachOf('acme', 2)]);
    const told = await waiting;
    expect(idsOf(told.data)).toEqual([breachOf('acme', 2).id.toString('hex')]);
    expect(told.data).toMatchObject([{ kind: 'breach', unit: 'core-ns', threshold: 80, limit: '1000' }]);
    expect(guarded.readers.ledgerWatch.waiting).toBe(0);
  });

  test('in vain gets an empty page with the same cursor, when the time is over', async () => {
    const acme = await tokenOf('acme');
    const { next } = await endOf(acme);
    const begin = performance.now();
    expect(await page(acme, `?after=${next}&wait=1s`)).toEqual({ data: [], next, more: false });
    expect(performance.now() - begin).toBeGreaterThan(900);
  });

  test('is sent home at once by a stop, with an answer', async () => {
    const other = guardedApi(server, { store: opened.store, usageClock: bench.clock });
    const { next } = await endOf(everything);
    const headers = { authorization: `Bearer ${everything}` };
    const url = `/api/v1/ledger?after=${next}&wait=30s`;
    const waiting = other.api.app.inject({ url, headers });
    await until('one waits', () => (other.readers.ledgerWatch.waiting === 1 ? true : undefined));
    const begin = performance.now();
    const [response] = await Promise.all([waiting, other.api.stop()]);
    expect(performance.now() - begin).toBeLessThan(5_000);
    expect(response.json()).toEqual({ data: [], next, more: false });
  });
});

describe('breaches', () => {
  const ofKind = (tenants: readonly string[]): Promise<string[]> =>
    idsInStore(`kind = 'breach' AND tenant IN (${tenants.map((name) => `'${name}'`).join()})`);
  const breaches = async (token: string, query = ''): Promise<Page> => {
    const headers = { authorization: `Bearer ${token}` };
    const response = await guarded.api.app.inject({ url: `/api/v1/breaches${query}`, headers });
    expect(response.statusCode, response.body).toBe(200);
    return response.json<Page>();
  };

  test('are entries of the ledger, told to whom they are of, page after page', async () => {
    const acme = await tokenOf('acme');
    await bench.ledger.append([breachOf('acme', 300), breachOf('globex', 301), breachOf('acme', 303)]);
    const all = await breaches(everything);
    expect(idsOf(all.data)).toEqual(await ofKind(['acme', 'globex']));
    const own = await breaches(acme);
    expect(idsOf(own.data)).toEqual(await ofKind(['acme']));
    const [from, to] = [NOVEMBER, NOVEMBER + 30 * DAY].map((at) => new Date(at).toISOString());
    expect(own.data.at(-1)).toEqual({
      ...{ kind: 'breach', id: breachOf('acme', 303).id.toString('hex'), tenant: 'acme', meter: 'cpu' },
      ...{ unit: 'core-ns', period: '2026-11', window: 'month', from, to },
      ...{ threshold: 80, limit: '1000', quantity: '900' },
      writtenAt: expect.any(String) as string,
    });
    const paged: string[] = [];
    for (let page = await breaches(acme, '?limit=1'); ;) {
      expect(page.data.length).toBeLessThanOrEqual(1);
      paged.push(...idsOf(page.data));
      if (!page.more) break;
      page = await breaches(acme, `?limit=1&after=${page.next}`);
    }
    expect(paged).toEqual(idsOf(own.data));
  });

  test('go on from where they ended, by a cursor that is one of the ledger, too', async () => {
    const acme = await tokenOf('acme');
    const { next } = await breaches(acme);
    expect((await breaches(acme, `?after=${next}`)).data).toEqual([]);
    await bench.ledger.append([breachOf('globex', 310), breachOf('acme', 311)]);
    const late = [breachOf('acme', 311).id.toString('hex')];
    expect(idsOf((await breaches(acme, `?after=${next}`)).data)).toEqual(late);
    expect(idsOf((await page(acme, `?after=${next}`)).data)).toEqual(late);
    const headers = { authorization: `Bearer ${await tokenOf('globex')}` };
    const others = await guarded.api.app.inject({ url: `/api/v1/breaches?after=${next}`, headers });
    expect([others.statusCode, others.json()]).toMatchObject([410, { code: 'METER_CURSOR_GONE' }]);
  });
});

async function endOf(token: string): Promise<Page> {
  for (let at = await page(token); ;) {
    if (!at.more) return at;
    at = await page(token, `?after=${at.next}`);
  }
}

test('entries of two months become visible in the order of their places', async () => {
  const head = await bench.ledger.head();
  const late = [5, 1].map((n) => ({ ...breachOf('acme', 100 + n), hour: NOVEMBER - n * DAY }));
  await bench.ledger.append([
    ...late,
    breachOf('acme', 200),
    { ...breachOf('acme', 201), hour: NOVEMBER - DAY },
  ]);
  const rows = await opened.store.rows<{ seq: string; month: number; part: string }>(
    `SELECT seq, toYYYYMM(hour) AS month FROM ledger WHERE seq > {head:UInt64} ORDER BY seq`,
    { head },
  );
  expect(rows.map(({ month }) => month)).toEqual([202_610, 202_610, 202_610, 202_611]);
});

test('billing by the feed alone comes to the statements', async () => {
  const entries = await followed(everything, { limit: 500 });
  const seen = new Set<string>();
  const hours = new Map<string, readonly [line: string, quantity: bigint]>();
  const corrections = new Map<string, readonly [line: string, quantity: bigint]>();
  for (const entry of entries) {
    if (seen.has(entry.id)) continue;
    seen.add(entry.id);
    if (entry.kind === 'usage') {
      const line = [entry.period, entry.tenant, entry.meter].join();
      hours.set([line, entry.cluster, entry.namespace, entry.hour].join(), [line, BigInt(entry.quantity)]);
    } else if (entry.kind === 'correction' && entry.final) {
      corrections.set(entry.id, [[entry.period, entry.tenant, entry.meter].join(), BigInt(entry.quantity)]);
    }
  }
  const billed = sums([...hours.values(), ...corrections.values()]);
  expect(billed).toEqual(sums(await statementLines()));
  expect([...corrections.values()].length).toBeGreaterThan(3);
});

function sums(lines: readonly (readonly [line: string, quantity: bigint])[]): Record<string, string> {
  const totals = new Map<string, bigint>();
  for (const [line, quantity] of lines) totals.set(line, (totals.get(line) ?? 0n) + quantity);
  const kept = [...totals].filter(([line, total]) => total !== 0n && !line.startsWith('2026-12'));
  return Object.fromEntries(kept.map(([line, total]) => [line, total.toString()] as const).sort());
}

async function statementLines(): Promise<(readonly [string, bigint])[]> {
  const rows = await opened.store.rows<{ body: string }>(
    'SELECT body FROM statement ORDER BY period, tenant',
  );
  return rows.flatMap(({ body }) => {
    const { period, tenant, lines, corrections } = parseStatement(body);
    return [
      ...lines.map(({ meter, quantity }) => [[period, tenant, meter].join(), quantity] as const),
      ...corrections.map((one) => [[period, tenant, one.meter].join(), one.after - one.before] as const),
    ];
  });
}
