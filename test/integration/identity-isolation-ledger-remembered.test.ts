/**
 * What is kept of ledger, statements and what stands behind them is nobody's but whose it is: the same
 * questions are asked by who reads everything, by one tenant and by another, in every order and at once, of
 * months that are closed, and each is told to the byte what an API tells that has answered nobody else.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AccountsBench } from '../support/accounts.ts';
import { AskedInTurn, ordersOf, type Question } from '../support/asked-in-turn.ts';
import type { TestStore } from '../support/chdb.ts';
import { HOUR } from '../support/closed-month.ts';
import { openFastStore } from '../support/pipeline.ts';
import { liveMonths, quotasOf, TIMES } from '../support/tenants-months.ts';
import { TokenServer } from '../support/token-server.ts';
import { guardedApi } from '../support/token-server-api.ts';

/** One that was corrected. */
const LATE_HOUR = new Date(Math.floor(TIMES[1]! / HOUR) * HOUR).toISOString();

const QUESTIONS: readonly Question[] = [
  of('/tenants'),
  of('/tenants/acme/usage?period=2026-10'),
  of('/tenants/initech/usage?period=2026-11'),
  of('/quotas'),
  of('/periods'),
  of('/statements/2026-10'),
  of('/statements/2026-10/acme'),
  of('/statements/2026-10/acme', 'text/csv'),
  of('/statements/2026-10/initech', 'text/csv'),
  of('/statements/2026-11/acme'),
  of('/ledger?kind=usage&limit=1'),
  of(`/explain?meter=cpu&hour=${LATE_HOUR}`),
  of('/watermarks'),
  of('/reconciliation'),
];

function of(path: string, accept = 'application/json'): Question {
  return { url: `/api/v1${path}`, accept };
}

type Asker = 'everybody' | 'initech' | 'acme';

let opened: TestStore;
let server: TokenServer;
let asked: AskedInTurn<Asker>;

async function memberOf(tenant: string): Promise<string> {
  return await server.memberToken([tenant], 'metering-billing');
}

beforeAll(async () => {
  server = await TokenServer.start();
  opened = await openFastStore();
  const bench = new AccountsBench(opened.store, ['north', 'west']);
  await liveMonths(bench, true);
  const askers = {
    everybody: await server.serviceToken(),
    initech: await memberOf('initech'),
    acme: await memberOf('acme'),
  };
  const quotas = quotasOf(['acme', 'globex', 'initech']);
  asked = new AskedInTurn(askers, QUESTIONS, () =>
    guardedApi(server, { store: opened.store, usageClock: bench.clock, quotas }),
  );
  await asked.askAlone();
});

afterAll(async () => {
  await opened.dispose();
  await server.stop();
});

test('who reads everything is told something, and of two tenants each something else', () => {
  for (const { question, answers } of asked.told) {
    const { everybody, initech, acme } = answers;
    expect(everybody, question.url).toMatch(/^\[200,/);
    if (question.url.endsWith('/reconciliation')) expect([initech, acme].join()).toMatch(/403.*403/);
    else expect(initech, question.url).not.toBe(acme);
  }
});

test.each(ordersOf(['everybody', 'initech', 'acme'] as const))(
  'each is told what is theirs, asking in the order of %s, %s, %s',
  async (...names) => {
    await asked.expectSameInOrder(names);
  },
);

test.each([
  ['initech', 'acme'],
  ['acme', 'everybody'],
] as const)('each is told what is theirs, asking at once as %s and %s', async (...names) => {
  await asked.expectSameAtOnce(names);
});
