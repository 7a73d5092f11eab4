/**
 * What is remembered of usage is remembered of who may read it: the same questions are asked by who reads
 * everything, by one tenant and by another, in every order and at once, of a store that does not change, and
 * each is told to the byte what an API tells that has answered nobody else.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import { AskedInTurn, ordersOf, type Question } from '../support/asked-in-turn.ts';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';
import { DAY, NOW_MS, TenantsDay } from '../support/tenants-day.ts';
import { TokenServer } from '../support/token-server.ts';
import { guardedApi, type GuardedApi } from '../support/token-server-api.ts';

const ALL_DAY = `from=${DAY}T00:00Z&to=2026-03-29T00:00Z`;
const SETTLED = `from=${DAY}T09:00Z&to=${DAY}T10:00Z`;
const HALF_PAST = `from=${DAY}T10:00Z&to=${DAY}T10:30Z`;

const QUESTIONS = [
  // Sums, coverage and `complete`; of settled hours alone, too.
  queryOf(ALL_DAY),
  queryOf(`${ALL_DAY}&windowSize=HOUR`, 'application/x-ndjson'),
  queryOf(SETTLED),
  queryOf(`${ALL_DAY}&groupBy=tenant,namespace&cluster=north`, 'text/csv'),
  // Of one tenant: what several ask for at once is read together.
  queryOf(`${ALL_DAY}&tenant=acme&groupBy=namespace`),
  queryOf(`${SETTLED}&tenant=globex`),
  // Rates.
  queryOf(`${ALL_DAY}&aggregation=max`),
  queryOf(`${ALL_DAY}&aggregation=p95&groupBy=namespace`),
  queryOf(`${ALL_DAY}&aggregation=avg&groupBy=workload`),
  // Groups: the largest, or page by page.
  queryOf(`${ALL_DAY}&groupBy=namespace&top=1`),
  queryOf(`${ALL_DAY}&groupBy=workload&top=2`),
  queryOf(`${ALL_DAY}&windowSize=HOUR&groupBy=tenant&limit=3`),
  // Details.
  queryOf(`${ALL_DAY}&groupBy=workload,destination,storageClass`),
  queryOf(`${ALL_DAY}&workload=Job/nightly`),
];
/** Made of samples for who asks, beside what is remembered of their hours. */
const OF_MINUTES = [queryOf(`${HALF_PAST}&windowSize=MINUTE&groupBy=namespace`)];

function queryOf(query: string, accept = 'application/json'): Question {
  return { url: `/api/v1/meters/cpu/query?${query}`, accept };
}

type Asker = 'everybody' | 'globex' | 'acme' | 'both';

let testStore: TestStore;
let server: TokenServer;
let asked: AskedInTurn<Asker>;
let minutes: AskedInTurn<Asker>;

async function memberOf(...tenants: readonly string[]): Promise<string> {
  return await server.memberToken(tenants, 'metering-viewer');
}

beforeAll(async () => {
  server = await TokenServer.start();
  testStore = await openFastStore();
  const { store } = testStore;
  const day = new TenantsDay(store);
  await day.live();
  await day.liveAmongOthers();
  const askers = {
    everybody: await server.serviceToken(),
    globex: await memberOf('globex'),
    acme: await memberOf('acme'),
    both: await memberOf('acme', 'globex'),
  };
  const fresh = (): GuardedApi =>
    guardedApi(server, {
      usageClock: { now: () => NOW_MS, sleep: async () => undefined },
      reader: usageReader({ queryTimeoutMs: 10_000 }, { store }),
      store,
    });
  asked = new AskedInTurn(askers, QUESTIONS, fresh);
  minutes = new AskedInTurn(askers, OF_MINUTES, fresh);
  await asked.askAlone();
  await minutes.askAlone();
});

afterAll(async () => {
  await testStore.dispose();
  await server.stop();
});

test('each is told something, and something else', () => {
  for (const { question, answers } of [...asked.told, ...minutes.told]) {
    const told = Object.values(answers);
    expect(new Set(told).size, question.url).toBe(told.length);
    for (const answer of told) expect(answer).toMatch(/^\[200,/);
  }
});

test.each(ordersOf(['everybody', 'globex', 'acme'] as const))(
  'each is told what is theirs, asking in the order of %s, %s, %s',
  async (...names) => {
    await asked.expectSameInOrder(names);
  },
);

test.each([
  ['both', 'acme', 'globex'],
  ['acme', 'both', 'everybody'],
] as const)('so is a member of both, in the order of %s, %s, %s', async (...names) => {
  await asked.expectSameInOrder(names);
});

test('each is told what is theirs, asking at once', async () => {
  await asked.expectSameAtOnce(['globex', 'everybody', 'acme', 'both', 'acme']);
});

test.each([
  ['everybody', 'globex', 'acme'],
  ['acme', 'globex', 'everybody'],
] as const)('each is told by the minute what is theirs, in the order of %s, %s, %s', async (...names) => {
  await minutes.expectSameInOrder(names);
});
