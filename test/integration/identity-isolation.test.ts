import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import { parametersOf } from '../../aggregator/api/endpoint/request.ts';
import { ENDPOINTS } from '../../aggregator/api/endpoints.ts';
import { METERS } from '../../core/metering/catalogue.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { TokenServer } from '../support/token-server.ts';
import { guardedApi, type GuardedApi } from '../support/token-server-api.ts';

/**
 * What a tenant is told is a function of that tenant's own usage: the same requests are sent while nobody
 * else has ever used anything, and again among others, and no byte of any answer may differ.
 */
const DAY = '2026-03-28';
const MINE = 'acme';
const OTHERS = ['globex', 'acme-2', 'ACME', 'initech', 'platform', 'unattributed'] as const;
/** In `west` and `lone` acme has nothing. */
const CLUSTERS_OF: Readonly<Record<string, readonly string[]>> = {
  [MINE]: ['north', 'south'],
  globex: ['north', 'west'],
  initech: ['lone'],
};
const ROLES = { resource_access: { 'metering-api': { roles: ['metering-viewer'] } } };

let testStore: TestStore;
let server: TokenServer;
let guarded: GuardedApi;

const seconds = (text: string): number => Date.parse(text) / 1000;
const clustersOf = (tenant: string): readonly string[] => CLUSTERS_OF[tenant] ?? ['north'];

/** Usage of one tenant as settling and roll-up leave it: one hour in the ledger, two open. */
async function use(tenant: string, weight: number): Promise<void> {
  const { store } = testStore;
  const counts = { missing_ms: 0, samples: 4, flags: 0 };
  const quarters = { q0: weight, q1: 2 * weight, q2: 0, q3: 3 * weight };
  const keys = clustersOf(tenant).flatMap((cluster) =>
    [`${tenant}-web`, 'shared-name'].map((namespace) => ({ tenant, meter: 'cpu', cluster, namespace })),
  );
  const settled = { ...counts, covered_ms: 3_600_000, expected_ms: 3_600_000, revision: 1, seq: 1 };
  const settledHour = { hour: seconds(`${DAY}T09:00Z`), ...quarters, ...settled };
  const open = [`${DAY}T10:00Z`, `${DAY}T11:00Z`].map(seconds);
  await store.insert(
    'label_history',
    keys.map(({ cluster, namespace }) => ({ cluster, namespace, t: Date.parse(`${DAY}T08:00Z`), tenant })),
  );
  await store.insert(
    'usage_current',
    keys.map((key) => ({ ...key, ...settledHour })),
  );
  await store.insert(
    'usage_day',
    keys.map((key) => ({ ...key, day: DAY, quantity: 6 * weight, ...counts, seq: 1 })),
  );
  await store.insert(
    'usage_parts',
    keys.flatMap((key) =>
      open.map((hour) => ({ ...key, unit: hour, hour, ...quarters, ...counts, version: 1 })),
    ),
  );
}

/** What minutes are made from: a counter in each cluster, in a namespace of the tenant's own. */
async function sample(tenant: string, weight: number): Promise<void> {
  const { store } = testStore;
  const of = clustersOf(tenant).map((cluster) => ({
    ...{ cluster, meter: 'cpu', series: `${tenant}/${cluster}`.padEnd(16, '.').slice(0, 16) },
  }));
  const metric = 'container_cpu_usage_seconds_total';
  const known = { metric, delta: 0, namespace: `${tenant}-web`, pod_key: '', labels: {}, seen: DAY };
  await store.insert(
    'series',
    of.map((series) => ({ ...series, ...known })),
  );
  const log = { start: 0, target: 0, topic: 'usage', partition: 0, offset: 1 };
  await store.insert(
    'samples',
    of.flatMap((series) =>
      ['10:05', '10:20', '11:10'].map((time, i) => ({
        ...{ ...series, ...log, hour: seconds(`${DAY}T${time.slice(0, 2)}:00Z`) },
        ...{ t: Date.parse(`${DAY}T${time}:07Z`), version: 1 + i * weight * 1_000_000 },
      })),
    ),
  );
}

async function scrape(cluster: string): Promise<void> {
  const marks = ['10:00', '11:00'].map((time) => seconds(`${DAY}T${time}Z`));
  await testStore.store.insert(
    'hour_mark',
    marks.map((hour) => ({ cluster, hour, source: 'test', marked: 1 })),
  );
  await testStore.store.insert('watermark', [{ cluster, t: Date.parse(`${DAY}T11:40:00Z`) }]);
  const hours = ['09:00', '10:00', '11:00'].map((time) => seconds(`${DAY}T${time}Z`));
  const full = { cluster, meter: 'cpu', covered_ms: 3_600_000, expected_ms: 3_600_000, version: 1 };
  await testStore.store.insert(
    'coverage',
    hours.map((hour) => ({ ...full, hour })),
  );
  const t = Date.parse(`${DAY}T11:40:00Z`);
  await testStore.store.insert('scrape', [
    { cluster, hour: seconds(`${DAY}T11:00Z`), target: 1, t, version: 2 },
  ]);
}

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
const WHOLE_DAY = [
  ['from', `${DAY}T00:00Z`],
  ['to', '2026-03-29T00:00Z'],
] as const;

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

async function tokenFor(
  members: readonly string[],
  others: Readonly<Record<string, unknown>> = ROLES,
): Promise<string> {
  const organization = Object.fromEntries(members.map((alias) => [alias, others]));
  return server.userToken({ claims: { organization } });
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
    const told = ['content-type', 'content-length', 'retry-after', 'etag', 'link'].map(
      (name) => headers[name],
    );
    all.push(JSON.stringify({ statusCode, told, body }));
  }
  return all;
}

beforeAll(async () => {
  server = await TokenServer.start();
  testStore = await openTestStore();
  guarded = guardedApi(server, {
    usageClock: { now: () => Date.parse(`${DAY}T11:45:00Z`), sleep: async () => undefined },
    reader: usageReader({ queryTimeoutMs: 10_000 }, { store: testStore.store }),
    store: testStore.store,
  });
  await use(MINE, 1);
  await sample(MINE, 1);
  for (const cluster of clustersOf(MINE)) await scrape(cluster);
  const random = fc.sample(requests, { seed: SEED, numRuns: SAMPLES });
  asked = [...random, ...declaredRequests(), ...minuteRequests()];
  alone = await answers(await tokenFor([MINE]));
  for (const [i, tenant] of OTHERS.entries()) {
    await use(tenant, 1_000 * 7 ** (i + 1));
    await sample(tenant, 2 + i);
  }
  await scrape('west');
  await scrape('lone');
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

type Given = readonly (readonly [string, string])[];

async function figures(token: string, filters: Given, range: Given = WHOLE_DAY): Promise<readonly string[]> {
  const parameters = [...range, GROUPED, ...filters];
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
    expect(asked.length).toBe(SAMPLES + ENDPOINTS.length * (2 + PER_ENDPOINT) + minuteRequests().length);
    // The comparison is of something: most requests were answered, and with figures.
    const withFigures = alone.filter((text) => /"value\\":\\"[1-9]|,[1-9]\d*,core-ns/.test(text));
    expect(withFigures.length).toBeGreaterThan(SAMPLES / 10);
    expect(new Set(alone.map((text) => text.slice(0, 18))).size).toBeGreaterThan(2);
  });

  test('is told of all of its own, and of nothing else, whichever tenants it is and asks for', async () => {
    const everything = await server.serviceToken();
    const memberships = fc.uniqueArray(fc.constantFrom(MINE, 'globex', 'acme-2', 'ACME', 'initech'), {
      minLength: 1,
    });
    const filters = fc.uniqueArray(fc.constantFrom(MINE, ...OTHERS), { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(memberships, filters, async (members, wanted) => {
        const mine = wanted.length === 0 ? members : members.filter((tenant) => wanted.includes(tenant));
        const all =
          mine.length === 0
            ? []
            : await figures(
                everything,
                mine.map((name) => ['tenant', name]),
              );
        const told = await figures(
          await tokenFor(members),
          wanted.map((name) => ['tenant', name]),
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
      const told = await figures(await tokenFor(members), [], MINUTES);
      expect(told).toEqual(await figures(everything, mine, MINUTES));
      expect(told.filter((row) => /"[1-9]\d*"\]$/.test(row)).length).toBeGreaterThan(60);
      expect(await figures(await tokenFor(members), [['tenant', 'acme-2']], MINUTES)).toEqual([]);
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

describe('who has no tenant', () => {
  const query = { path: '/api/v1/meters/cpu/query', parameters: WHOLE_DAY, asBody: false, accept: '*/*' };
  const status = async (token: string): Promise<number> => (await send(token, query)).statusCode;

  test('by an organization without a role reads the catalogue and nothing else', async () => {
    const token = await tokenFor([MINE], {});
    const catalogue = { ...query, path: '/api/v1/meters', parameters: [] };
    expect((await send(token, catalogue)).statusCode).toBe(200);
    const { statusCode, headers } = await send(token, query);
    expect(statusCode).toBe(403);
    expect(headers['www-authenticate']).toMatch(
      /^Bearer realm="metering", error="insufficient_scope", .*scope="organization"$/,
    );
  });

  test.each([
    ['no claim', undefined],
    ['nothing', null],
    ['a number', 7],
    ['nothing in a list', []],
    ['nothing in an object', {}],
    ['an empty name', { '': ROLES }],
    ['a list of lists', [[MINE]]],
    ['a list of objects', [{ [MINE]: ROLES }]],
    ['a list as value', { [MINE]: [ROLES] }],
    ['text as value', { [MINE]: 'metering-viewer' }],
    ['roles as text', { [MINE]: { resource_access: { 'metering-api': { roles: 'metering-viewer' } } } }],
    ['roles of another client', { [MINE]: { resource_access: { portal: { roles: ['metering-viewer'] } } } }],
    ['the platform', { platform: ROLES }],
    ['what nobody owns', { unattributed: ROLES }],
    ['a pattern', { '*': ROLES, '%': ROLES }],
    ['a name with SQL in it', { "acme') OR (1=1": ROLES }],
    ['a name of spaces', { ' acme': ROLES, 'acme ': ROLES }],
    ['the prototype', JSON.parse(`{"__proto__": ${JSON.stringify(ROLES)}}`) as unknown],
    ['the prototype within', { [MINE]: JSON.parse(`{"__proto__": ${JSON.stringify(ROLES)}}`) as unknown }],
    ['a long name', { ['a'.repeat(2000)]: ROLES }],
    ['deep nesting', { [MINE]: JSON.parse(`${'['.repeat(800)}${']'.repeat(800)}`) as unknown }],
  ])('by a claim that is %s is refused', async (_, organization) => {
    const claims = { azp: 'portal', organization };
    expect(await status(server.forge(claims))).toBe(403);
  });

  test('by a scope of a client that is not listed has it in vain', async () => {
    const scope = 'openid metering:read:all';
    expect(await status(server.forge({ organization: [], scope, azp: 'portal' }))).toBe(403);
    expect(await status(server.forge({ organization: [], scope, azp: undefined }))).toBe(403);
    expect(await status(server.forge({ organization: [], scope, azp: 'gh0stplane', client_id: 'x' }))).toBe(
      403,
    );
    expect(await status(server.forge({ organization: [], scope: [scope], azp: 'gh0stplane' }))).toBe(403);
    expect(await status(server.forge({ organization: [], scope: `${scope}s`, azp: 'gh0stplane' }))).toBe(403);
    expect(await status(server.forge({ organization: [], scope, azp: 'gh0stplane' }))).toBe(200);
  });
});
