/**
 * No name of another tenant comes back, whatever a tenant asks: what it sent to others is told as one sum, by
 * every endpoint, in every form, and by whatever it is filtered.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ANOTHER,
  BEGIN,
  instant,
  PeersApi,
  RANGE,
  sums,
  toldAs,
  type PeersWorld,
  type Row,
} from '../support/peers-api.ts';

const SECRET = 'acquisition-of-hooli-0';
const from = { namespace: 'web', name: 'a' };
/** Somebody asks web for something, and is named. */
const REQUESTS = {
  name: 'http_server_request_duration_seconds_count',
  labels: { k8s_namespace_name: 'web', client_address: SECRET },
};
const NORTH: PeersWorld = {
  cluster: 'north',
  owners: [
    { namespace: 'web', tenant: 'acme' },
    { namespace: 'globex-secret', tenant: 'globex' },
    { namespace: 'moved', tenant: 'globex' },
    { namespace: 'monitoring', tenant: '' },
  ],
  later: [{ namespace: 'moved', tenant: 'acme' }],
  flows: [
    { from, to: { type: 'Pod', namespace: 'globex-secret', name: SECRET }, address: '10.42.0.77' },
    { from, to: { type: 'Service', namespace: 'globex-secret', name: 'ledger-of-globex' } },
    { from, to: { type: 'Pod', namespace: 'globex-secret' } },
    { from, to: { type: 'Pod', namespace: 'moved', name: 'former' } },
    { from, to: { type: 'Pod', namespace: 'never-sighted', name: 'new' } },
    { from, to: { type: 'Pod', namespace: 'web', name: 'b' }, address: '10.42.0.2' },
    { from, to: { type: 'Pod', namespace: 'kube-system', name: 'dns' } },
    { from, to: { type: 'Service', namespace: 'monitoring', name: 'pushes' } },
    { from, to: { type: 'Node', name: 'n1' } },
    { from, to: {}, address: '203.0.113.7' },
    { from: { namespace: 'globex-secret', name: SECRET }, to: { type: 'Pod', namespace: 'web', name: 'b' } },
  ],
  others: [REQUESTS],
};
/** The same namespace, and whose it is is another one. */
const SOUTH: PeersWorld = {
  cluster: 'south',
  owners: [{ namespace: 'globex-secret', tenant: 'acme' }],
  flows: [
    { from: { namespace: 'globex-secret', name: 'x' }, to: { type: 'Pod', namespace: 'globex-secret' } },
  ],
};
/** Receivers without a namespace: one by its address, with names beside it, and one by its name in the cluster's DNS. */
const WEST: PeersWorld = {
  cluster: 'west',
  owners: [{ namespace: 'web', tenant: 'acme' }],
  flows: [{ from, to: { name: `db.${SECRET}.svc.cluster.local` } }],
  others: [
    {
      name: 'beyla_network_flow_bytes_total',
      labels: {
        ...{ k8s_src_namespace: 'web', k8s_src_name: 'a', k8s_src_type: 'Pod' },
        ...{ dst_address: '10.43.0.9', dst_cidr: '10.43.0.0/16', k8s_dst_owner_name: SECRET },
        dst_name: `10-43-0-9.db.${SECRET}.svc.cluster.local`,
      },
    },
  ],
};
const THEIRS = [
  `Pod/globex-secret/${SECRET}`,
  'Service/globex-secret/ledger-of-globex',
  'Pod/globex-secret',
  'Pod/moved/former',
  'Pod/never-sighted/new',
];
const NAMES = [SECRET, 'globex', 'ledger-of', 'moved', 'former', 'never-sighted', '10.42.0.77'];
const TOLD = ['Node/n1', 'Pod/kube-system/dns', 'Pod/web/b', 'Service/monitoring/pushes'];
const SIZES = ['', '&windowSize=HOUR', '&windowSize=MINUTE'];
const IN_NORTH = 'groupBy=cluster,destination&cluster=north';

let api: PeersApi;
beforeAll(async () => {
  api = await PeersApi.start();
  await api.take([NORTH, SOUTH, WEST]);
}, 120_000);
afterAll(() => api.stop());

function expectNoNames(body: string): void {
  for (const name of NAMES) expect(body).not.toContain(name);
}

function destinationsOf(rows: readonly Row[]): (string | undefined)[] {
  return [...new Set(rows.map(({ groupBy }) => groupBy['destination']))];
}

describe('what was sent to others', () => {
  test.each(SIZES)('is one sum, and the rest as it is (%s)', async (size) => {
    const all = await api.rows(await api.operator(), `${IN_NORTH}&tenant=acme${size}`);
    const mine = await api.rows(await api.member('acme'), `${IN_NORTH}${size}`);
    expect(sums(mine)).toEqual(sums(toldAs(all, (destination) => TOLD.includes(destination))));
    expect(destinationsOf(mine)).toEqual([ANOTHER, ...TOLD]);
    expect(destinationsOf(all)).toEqual([...TOLD, ...THEIRS].sort());
  });

  test('is told of each cluster by whose it is there, and by all that one is a member of', async () => {
    const south = await api.rows(await api.member('acme'), 'groupBy=destination&cluster=south');
    expect(destinationsOf(south)).toEqual(['Pod/globex-secret']);
    const both = await api.rows(await api.member('acme', 'globex'), `${IN_NORTH}&tenant=acme`);
    const known = THEIRS.filter((name) => name !== 'Pod/never-sighted/new');
    expect(destinationsOf(both)).toEqual([ANOTHER, ...[...TOLD, ...known].sort()]);
  });

  test('is one of the largest, and one rate', async () => {
    const acme = await api.member('acme');
    const all = await api.rows(acme, IN_NORTH);
    const [first, second] = await api.rows(acme, `${IN_NORTH}&top=2`);
    expect(destinationsOf([first!, second!])).toEqual([ANOTHER, 'Node/n1']);
    expect(first).toEqual(all.find(({ groupBy }) => groupBy['destination'] === ANOTHER));
    const [most] = await api.rows(acme, `${IN_NORTH}&top=1&aggregation=max`);
    const hours = await api.rows(acme, `${IN_NORTH}&windowSize=HOUR&destination=${filterOf(ANOTHER)}`);
    const largest = hours.map(({ value }) => BigInt(value ?? 0)).reduce((a, b) => (a > b ? a : b));
    expect(most).toMatchObject({ value: String(largest), groupBy: { destination: ANOTHER } });
  });

  test.each(SIZES)('is found by its own name alone, no guess is answered otherwise (%s)', async (size) => {
    const acme = await api.member('acme');
    const answer = async (destination: string, query: string): Promise<string> => {
      const filters = `cluster=north&destination=${filterOf(destination)}`;
      return (await api.send(acme, `meters/egress_internal/query?${RANGE}&${filters}${query}${size}`)).body;
    };
    for (const query of ['', '&groupBy=destination', '&groupBy=tenant&top=3', '&groupBy=workload&limit=3']) {
      if (query.includes('limit') && size === '&windowSize=MINUTE') continue;
      const wrong = await answer('Pod/nowhere/nobody', query);
      for (const name of THEIRS) expect(await answer(name, query), `${name} ${query}`).toBe(wrong);
    }
    const found = `groupBy=tenant&cluster=north&destination=${filterOf(ANOTHER)}${size}`;
    const rows = await api.rows(acme, `groupBy=tenant,destination&cluster=north${size}`);
    const wanted = rows.filter(({ groupBy }) => groupBy['destination'] === ANOTHER);
    expect([...sums(await api.rows(acme, found)).values()]).toEqual([...sums(wanted).values()]);
    expect(sums(wanted).size).toBeGreaterThan(0);
  });

  test.each(SIZES)('comes in pages that are together all of it (%s)', async (size) => {
    const acme = await api.member('acme');
    const all = await api.rows(acme, `${IN_NORTH}${size}`);
    const limit = size === '&windowSize=MINUTE' ? 297 : 2;
    const pages: Row[] = [];
    for (let at = ''; pages.length === 0 || at !== '';) {
      const path = `meters/egress_internal/query?${RANGE}&${IN_NORTH}${size}&limit=${limit}${at}`;
      const page = (await api.send(acme, path)).json<{ data: Row[]; nextCursor?: string }>();
      pages.push(...page.data);
      at = page.nextCursor === undefined ? '' : `&cursor=${page.nextCursor}`;
      expectNoNames(Buffer.from(page.nextCursor ?? '', 'base64url').toString());
    }
    expect(pages).toEqual(all);
    expect(pages.length).toBeGreaterThan(limit);
  });

  test.each(['text/csv', 'application/x-ndjson'])('is told by no name as %s', async (accept) => {
    for (const size of SIZES) {
      const path = `meters/egress_internal/query?${RANGE}&${IN_NORTH}${size}`;
      const { body } = await api.send(await api.member('acme'), path, accept);
      expect(body).toContain(ANOTHER);
      expectNoNames(body);
    }
  });

  test('is that as soon as somebody is seen to own it, whatever was answered before', async () => {
    const acme = await api.member('acme');
    const told = async () => destinationsOf(await api.rows(acme, IN_NORTH));
    expect(await told()).toEqual([ANOTHER, ...TOLD]);
    const seen = { cluster: 'north', namespace: 'monitoring', t: BEGIN, tenant: 'initech' };
    await api.store.insert('label_history', [seen]);
    expect(await told()).toEqual([ANOTHER, ...TOLD.filter((name) => !name.includes('monitoring'))]);
    const gone = "ALTER TABLE label_history DELETE WHERE tenant = 'initech' SETTINGS mutations_sync = 1";
    await api.store.command(gone);
    expect(await told()).toEqual([ANOTHER, ...TOLD]);
  });
});

function filterOf(destination: string): string {
  return encodeURIComponent(destination);
}

interface Told {
  readonly quantity: string;
  readonly keys: readonly { readonly series: readonly ToldSeries[] }[];
}

interface ToldSeries {
  readonly series: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly quantity: string;
}

describe('an explanation', () => {
  const path = (meter: string): string =>
    `explain?meter=${meter}&hour=${instant(BEGIN)}&cluster=north&tenant=acme`;
  const seriesOf = ({ keys }: Told): ToldSeries[] => keys.flatMap(({ series }) => series);

  test('names no receiver of another tenant, and no id by which a guess could be judged', async () => {
    const response = await api.send(await api.member('acme'), path('egress_internal'));
    expectNoNames(response.body);
    const told = response.json<Told>();
    const all = (await api.send(await api.operator(), path('egress_internal'))).json<Told>();
    expect(told).toMatchObject({ quantity: all.quantity, equal: true });
    expect(JSON.stringify(all)).toContain(SECRET);
    const [mine, stored] = [seriesOf(told), seriesOf(all)];
    expect(mine.map(({ quantity }) => quantity)).toEqual(stored.map(({ quantity }) => quantity));
    const theirs = mine.filter(({ series }) => series === ANOTHER);
    expect(theirs).toHaveLength(THEIRS.length);
    for (const { labels } of theirs) {
      const receiver = Object.entries(labels).filter(([name]) => name.includes('dst_'));
      expect(receiver.map(([, value]) => value)).toEqual(receiver.map(() => ANOTHER));
      expect(labels).toMatchObject({ k8s_src_namespace: 'web', k8s_src_name: 'a' });
    }
    const rest = ({ labels }: ToldSeries): boolean => labels['k8s_dst_namespace'] === 'kube-system';
    expect(mine.filter(rest)).toEqual(stored.filter(rest).map((series) => withoutLog(series)));
    expect(mine.filter(rest)).toHaveLength(1);
  });

  test('names a receiver outside the cluster', async () => {
    expect((await api.send(await api.member('acme'), path('egress'))).body).toContain('203.0.113.7');
  });

  test('of a receiver that nobody can place tells where it is, and none of the names beside it', async () => {
    const of = (meter: string): string => path(meter).replace('cluster=north', 'cluster=west');
    const response = await api.send(await api.member('acme'), of('egress_internal'));
    expectNoNames(response.body);
    const labels = { dst_address: '10.43.0.9', dst_cidr: '10.43.0.0/16', k8s_dst_owner_name: ANOTHER };
    expect(seriesOf(response.json<Told>())).toMatchObject([{ series: ANOTHER, labels }]);
    expect((await api.send(await api.operator(), of('egress_internal'))).body).toContain(SECRET);
    const dns = await api.send(await api.member('acme'), of('egress'));
    expectNoNames(dns.body);
    expect(seriesOf(dns.json<Told>())).toMatchObject([{ series: ANOTHER }]);
    const usage = `meters/egress/query?${RANGE}&groupBy=destination&cluster=west`;
    const { data } = (await api.send(await api.member('acme'), usage)).json<{ data: Row[] }>();
    expect(destinationsOf(data)).toEqual([ANOTHER]);
  });

  test('does not name who asks: nobody knows whose it is', async () => {
    const response = await api.send(await api.member('acme'), path('http_requests'));
    expectNoNames(response.body);
    const labels = { client_address: ANOTHER, k8s_namespace_name: 'web' };
    expect(seriesOf(response.json<Told>())).toMatchObject([{ series: ANOTHER, labels }]);
    expect((await api.send(await api.operator(), path('http_requests'))).body).toContain(SECRET);
  });
});

/** Places in the log are for operators. */
function withoutLog(series: ToldSeries): ToldSeries {
  const text = JSON.stringify(series, (name, value: unknown) => (name === 'log' ? undefined : value));
  return JSON.parse(text) as ToldSeries;
}
