import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import { parametersOf } from '../../aggregator/api/endpoint/request.ts';
import { ENDPOINTS } from '../../aggregator/api/endpoints.ts';
import { METERS } from '../../core/metering/catalogue.ts';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';
import { DAY, detailsOf, MINE, NOW_MS, OTHERS, TenantsDay, WHOLE_DAY } from '../support/tenants-day.ts';
import { TokenServer } from '../support/token-server.ts';
import { guardedApi, type GuardedApi } from '../support/token-server-api.ts';

/**
 * What a tenant is told is a function of that tenant's own usage: the same requests are sent while nobody
 * else has ever used anything, and again among others, and no byte of any answer may differ.
 */

let testStore: TestStore;
let server: TokenServer;
let guarded: GuardedApi;

interface Asked {
  readonly path: string;
  readonly parameters: readonly (readonly [string, string])[];
  readonly asBody: boolean;
  readonly accept: string;
}

const times = ['08:00', '09:00', '09:15', '10:00', '10:30', '11:00', '12:00'].map(
  (time) => `${DAY}T${time}Z`,
);
const tenants = fc.constantFrom(MINE, ...OTHERS, 'nobody', "acme' OR '1'='1", 'a\0b', '%', '{scopeTenants}');
const clusters = fc.constantFrom('north', 'south', 'west', 'lone', 'nowhere');
const namespaces = fc.constantFrom('acme-web', 'globex-web', 'initech-web', 'shared-name', 'none');
const workloads = fc.constantFrom('Deployment/globex', 'Pod/web', "' OR 1=1 --");
const destinations = fc.constantFrom('203.0.113.7', 'Service/globex-web/api');
const classes = fc.constantFrom('fast', 'globex');
const groups = fc.constantFrom(
  ...['tenant', 'cluster', 'namespace', 'tenant,cluster,namespace', 'pod'],
  ...['workload', 'destination,storageClass', 'tenant,workload'],
);
const parameter = fc.oneof(
  fc.tuple(fc.constantFrom('from', 'to'), fc.constantFrom(...times)),
  fc.tuple(fc.constantFrom('tenant', 'filterGroupBy[tenant]'), tenants),
  fc.tuple(fc.constantFrom('cluster', 'filterGroupBy[cluster]'), clusters),
  fc.tuple(fc.constantFrom('namespace', 'filterGroupBy[namespace]'), namespaces),
  fc.tuple(fc.constant('groupBy'), groups),
  fc.tuple(fc.constant('windowSize'), fc.constantFrom('HOUR', 'DAY', 'MINUTE')),
  fc.tuple(fc.constant('windowTimeZone'), fc.constantFrom('Asia/Kathmandu', 'globex')),
  fc.tuple(fc.constantFrom('scopeTenants', 'organization', 'limit', 'access_token'), tenants),
);
const meters = fc.constantFrom('cpu', 'cpu', 'cpu', 'memory', 'globex', METERS[0]?.name ?? 'cpu');
const paths = fc.oneof(
  { weight: 8, arbitrary: meters.map((name) => `/api/v1/meters/${name}/query`) },
  { weight: 1, arbitrary: fc.constantFrom('/api/v1/meters', '/api/v1/tenants/globex/usage') },
);
/** Most ask for the whole day, so that most answers have figures. */
const requests: fc.Arbitrary<Asked> = fc.record({
  path: paths,
  parameters: fc
    .tuple(fc.boolean(), fc.array(parameter, { maxLength: 4 }))
    .map(([whole, rest]) => (whole ? [...WHOLE_DAY, ...rest] : rest)),
  asBody: fc.boolean(),
  accept: fc.constantFrom('application/json', 'text/csv'),
});
const MINUTES = [
  ['from', `${DAY}T10:00Z`],
  ['to', `${DAY}T12:00Z`],
  ['windowSize', 'MINUTE'],
] as const;

/** By the minute, in every form, with names of others. */
function minuteRequests(): Asked[] {
  const others = [
    [],
    [['groupBy', 'tenant,cluster,namespace']],
    [
      ['groupBy', 'tenant'],
      ['top', '2'],
    ],
    [
      ['groupBy', 'workload,namespace'],
      ['limit', '7'],
    ],
    [['tenant', 'globex']],
    [['namespace', 'globex-web']],
    [
      ['cluster', 'west'],
      ['groupBy', 'cluster'],
    ],
    [
      ['cluster', 'north'],
      ['filterGroupBy[namespace]', 'shared-name'],
    ],
  ] as const;
  return others.flatMap((some) =>
    ['application/json', 'text/csv', 'application/x-ndjson'].map((accept) => ({
      ...{ path: '/api/v1/meters/cpu/query', parameters: [...MINUTES, ...some], asBody: false, accept },
    })),
  );
}

/** By what is finer than the ledger, in every form, and of what others have. */
function detailRequests(): Asked[] {
  const others = [
    [['groupBy', 'workload']],
    [['groupBy', 'destination,storageClass'], HOURLY],
    [
      ['groupBy', 'workload,destination,storageClass'],
      ['top', '2'],
    ],
    [
      ['groupBy', 'namespace,storageClass'],
      ['limit', '3'],
    ],
    [['groupBy', 'workload'], HOURLY, ['aggregation', 'max']],
    [
      ['groupBy', 'destination'],
      ['aggregation', 'avg'],
    ],
    // Of this one, everybody has some.
    [['workload', 'Job/nightly'], HOURLY],
    [['workload', 'Deployment/globex']],
    [
      ['storageClass', 'globex'],
      ['groupBy', 'destination'],
    ],
  ] as const;
  return others.flatMap((some) =>
    ['application/json', 'text/csv'].map((accept) => ({
      ...{ path: '/api/v1/meters/cpu/query', parameters: [...WHOLE_DAY, ...some], asBody: false, accept },
    })),
  );
}
const HOURLY = ['windowSize', 'HOUR'] as const;

/** For every parameter that some endpoint declares, what is worth a try: names of others above all. */
const VALUES: Readonly<Record<string, fc.Arbitrary<string>>> = {
  meter: fc.constantFrom('cpu', 'globex'),
  from: fc.constant(`${DAY}T00:00Z`),
  to: fc.constant('2026-03-29T00:00Z'),
  hour: fc.constantFrom(`${DAY}T09:00Z`, `${DAY}T10:00Z`),
  period: fc.constantFrom('2026-03', '2026-02'),
  tenant: tenants,
  cluster: clusters,
  namespace: namespaces,
  workload: workloads,
  destination: destinations,
  storageClass: classes,
  'filterGroupBy[tenant]': tenants,
  'filterGroupBy[cluster]': clusters,
  'filterGroupBy[namespace]': namespaces,
  'filterGroupBy[workload]': workloads,
  'filterGroupBy[destination]': destinations,
  'filterGroupBy[storageClass]': classes,
  groupBy: groups,
  windowSize: fc.constant('HOUR'),
  windowTimeZone: fc.constant('Asia/Kathmandu'),
  aggregation: fc.constantFrom('max', 'avg'),
  unit: fc.constant('presented'),
  top: fc.constantFrom('1', '3'),
  limit: fc.constantFrom('1', '50'),
  cursor: fc.constant('WzEsIiIsW11d'),
  after: fc.constant('WzEsIiIsW11d'),
  wait: fc.constant('0s'),
  kind: fc.constantFrom('usage', 'correction'),
};
const PER_ENDPOINT = 6;

/** Requests to every endpoint that there is, whatever it is: one that comes along is asked without a word here. */
function declaredRequests(): Asked[] {
  return ENDPOINTS.flatMap(({ declaration: { method, path, params, query, body } }) => {
    const namesOf = (schema: Parameters<typeof parametersOf>[0] | undefined): string[] =>
      schema === undefined ? [] : Object.keys(parametersOf(schema).properties);
    const names = [...namesOf(query), ...namesOf(body)].flatMap((name) =>
      name === 'filterGroupBy' ? ['filterGroupBy[tenant]', 'filterGroupBy[cluster]'] : [name],
    );
    const value = (name: string): fc.Arbitrary<string> => {
      const values = VALUES[name];
      if (values === undefined) throw new Error(`${path}: say in VALUES what to ask for as "${name}"`);
      return values;
    };
    const address = fc
      .tuple(...namesOf(params).map((name) => value(name).map((text): [string, string] => [name, text])))
      .map((all) =>
        all.reduce((to, [name, text]) => to.replace(`{${name}}`, encodeURIComponent(text)), path),
      );
    const given = fc.tuple(
      ...names.map((name) =>
        fc.option(
          value(name).map((text): [string, string] => [name, text]),
          { nil: [], freq: 1 },
        ),
      ),
    );
    const asking = fc.record({
      path: address,
      parameters: given.map((all) => all.filter((one): one is [string, string] => one.length === 2)),
      asBody: fc.constant(method === 'POST'),
      accept: fc.constant('application/json'),
    });
    // The first of each asks for nothing in particular, so it is answered wherever it can be.
    const plain = fc.record({ path: address, parameters: fc.constant([]), ...accepting(method) });
    const seed = { seed: SEED };
    return [
      ...fc.sample(plain, { ...seed, numRuns: 2 }),
      ...fc.sample(asking, { ...seed, numRuns: PER_ENDPOINT }),
    ];
  });
}

function accepting(method: string) {
  return { asBody: fc.constant(method === 'POST'), accept: fc.constant('application/json') };
}

async function tokenFor(members: readonly string[]): Promise<string> {
  return await server.memberToken(members, 'metering-viewer');
}

async function send(token: string, { path, parameters, asBody, accept }: Asked) {
  const headers = { authorization: `Bearer ${token}`, accept, 'x-request-id': 'one' };
  const { app } = guarded.api;
  if (!asBody) {
    const query = new URLSearchParams(
      parameters.map(([name, value]): [string, string] => [name, value]),
    ).toString();
    return app.inject({ url: `${path}?${query}`, headers });
  }
  const payload: Record<string, unknown> = {};
  for (const [name, values] of Map.groupBy(parameters, ([given]) => given)) {
    const [one, ...others] = values.map(([, value]) => value);
    const inner = /^filterGroupBy\[(.+)\]$/.exec(name)?.[1];
    const value = others.length === 0 ? one : [one, ...others];
    if (inner === undefined) payload[name] = value;
    else payload['filterGroupBy'] = { ...(payload['filterGroupBy'] ?? {}), [inner]: value };
  }
  return app.inject({ method: 'POST', url: path, headers, payload });
}

const SEED = 20_260_328;
const SAMPLES = 48;
let alone: string[] = [];
let asked: readonly Asked[] = [];

async function answers(token: string): Promise<string[]> {
  const all: string[] = [];
  for (const request of asked) {
    const { statusCode, headers, body } = await send(token, request);
    const told = ['content-type', 'content-length', 'retry-after', 'etag', 'link', 'next-cursor'].map(
      (name) => headers[name],
    );
    all.push(JSON.stringify({ statusCode, told, body }));
  }
  return all;
}

beforeAll(async () => {
  server = await TokenServer.start();
  testStore = await openFastStore();
  guarded = guardedApi(server, {
    usageClock: { now: () => NOW_MS, sleep: async () => undefined },
    reader: usageReader({ queryTimeoutMs: 10_000 }, { store: testStore.store }),
    store: testStore.store,
  });
  const day = new TenantsDay(testStore.store);
  await day.live();
  const random = fc.sample(requests, { seed: SEED, numRuns: SAMPLES });
  asked = [...random, ...declaredRequests(), ...minuteRequests(), ...detailRequests()];
  alone = await answers(await tokenFor([MINE]));
  await day.liveAmongOthers();
});

afterAll(async () => {
  await guarded.api.stop();
  await testStore.dispose();
  await server.stop();
});

interface Row {
  readonly value: string | null;
  readonly groupBy: Readonly<Record<string, string>>;
}

const GROUPED = ['groupBy', 'tenant,cluster,namespace'] as const;
const IN_DETAIL = ['groupBy', 'tenant,cluster,workload,destination,storageClass'] as const;

type Given = readonly (readonly [string, string])[];

interface Shown {
  readonly range?: Given;
  readonly by?: readonly [string, string];
}

async function figures(
  token: string,
  filters: Given,
  { range = WHOLE_DAY, by = GROUPED }: Shown = {},
): Promise<readonly string[]> {
  const parameters = [...range, by, ...filters];
  const request = { path: '/api/v1/meters/cpu/query', parameters, asBody: false, accept: 'application/json' };
  const response = await send(token, request);
  expect(response.statusCode, response.body).toBe(200);
  return response.json<{ data: Row[] }>().data.map((row) => JSON.stringify([row.groupBy, row.value]));
}

describe('a tenant among others', () => {
  test('is told the same, to the byte, as when it was alone', async () => {
    const among = await answers(await tokenFor([MINE]));
    for (const [i, request] of asked.entries()) {
      expect(among[i], `seed ${SEED}, request ${i}: ${JSON.stringify(request)}`).toBe(alone[i]);
    }
    // Every endpoint that there is was asked.
    const given = minuteRequests().length + detailRequests().length;
    expect(asked.length).toBe(SAMPLES + ENDPOINTS.length * (2 + PER_ENDPOINT) + given);
    // The comparison is of something: most requests were answered, and with figures.
    const withFigures = alone.filter((text) => /"value\\":\\"[1-9]|,[1-9]\d*,core-ns/.test(text));
    expect(withFigures.length).toBeGreaterThan(SAMPLES / 10);
    expect(new Set(alone.map((text) => text.slice(0, 18))).size).toBeGreaterThan(2);
    // And with details of every kind.
    for (const name of Object.values(detailsOf(MINE)[0]))
      expect(alone.filter((text) => text.includes(name)).length, name).toBeGreaterThan(2);
  });

  test('is told of all of its own, and of nothing else, whichever tenants it is and asks for', async () => {
    const everything = await server.serviceToken();
    const memberships = fc.uniqueArray(fc.constantFrom(MINE, 'globex', 'acme-2', 'ACME', 'initech'), {
      minLength: 1,
    });
    const filters = fc.uniqueArray(fc.constantFrom(MINE, ...OTHERS), { maxLength: 3 });
    const groupings = fc.constantFrom(GROUPED, IN_DETAIL);
    await fc.assert(
      fc.asyncProperty(memberships, filters, groupings, async (members, wanted, by) => {
        const mine = wanted.length === 0 ? members : members.filter((tenant) => wanted.includes(tenant));
        const all =
          mine.length === 0
            ? []
            : await figures(
                everything,
                mine.map((name) => ['tenant', name]),
                { by },
              );
        const told = await figures(
          await tokenFor(members),
          wanted.map((name) => ['tenant', name]),
          { by },
        );
        expect(told).toEqual(all);
      }),
      { numRuns: 16 },
    );
  });

  test('is told by the minute of all of its own, and of nothing else', async () => {
    const everything = await server.serviceToken();
    for (const members of [[MINE], ['globex', 'initech'], ['ACME', MINE]]) {
      const mine = members.map((name) => ['tenant', name] as const);
      const told = await figures(await tokenFor(members), [], { range: MINUTES });
      expect(told).toEqual(await figures(everything, mine, { range: MINUTES }));
      expect(told.filter((row) => /"[1-9]\d*"\]$/.test(row)).length).toBeGreaterThan(60);
      expect(await figures(await tokenFor(members), [['tenant', 'acme-2']], { range: MINUTES })).toEqual([]);
    }
  });

  test('learns nothing of a cluster that it has nothing in, not even that it is there', async () => {
    const token = await tokenFor([MINE]);
    const at = async (cluster: string): Promise<string> => {
      const parameters = [...WHOLE_DAY, ['cluster', cluster], ['windowSize', 'HOUR']] as const;
      const path = '/api/v1/meters/cpu/query';
      return (await send(token, { path, parameters, asBody: true, accept: 'application/json' })).body;
    };
    expect(await at('west')).toBe(await at('nowhere'));
    expect(await at('north')).not.toBe(await at('nowhere'));
  });
});
