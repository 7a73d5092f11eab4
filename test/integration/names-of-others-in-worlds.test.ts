/**
 * Whoever owns what, and whatever is sent where: a tenant is told what an operator is, but for names that are
 * another's, and no text of any answer holds one of these.
 */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HOUR } from '../support/closed-month.ts';
import {
  ANOTHER,
  BEGIN,
  instant,
  PeersApi,
  RANGE,
  sums,
  toldAs,
  type PeersWorld,
} from '../support/peers-api.ts';
import type { Peer, Sighting } from '../support/peers.ts';

const SPACES = 6;
const SIZES = ['', '&windowSize=HOUR', '&windowSize=MINUTE'];
const MEMBERS = [['ta'], ['tb'], ['ta', 'tc']];

interface Sent {
  readonly from: number;
  readonly type: string;
  /** Of a namespace; null: none is named. */
  readonly to: number | null;
  readonly name: number | null;
}

interface Drawn {
  /** By namespace; null is not sighted. */
  readonly owners: readonly (string | null)[];
  readonly later: readonly (string | null)[];
  readonly sent: readonly Sent[];
}

const spaces = fc.nat({ max: SPACES - 1 });
const ownersOf = (sighted: number): fc.Arbitrary<readonly (string | null)[]> =>
  fc.array(fc.option(fc.constantFrom('ta', 'tb', 'tc', ''), { freq: sighted }), {
    ...{ minLength: SPACES, maxLength: SPACES },
  });
const worlds: fc.Arbitrary<Drawn> = fc.record({
  owners: ownersOf(5),
  later: ownersOf(1),
  sent: fc.array(
    fc.record({
      from: spaces,
      type: fc.constantFrom('Pod', 'Pod', 'Service', 'Node', ''),
      to: fc.option(spaces, { freq: 6 }),
      name: fc.option(fc.nat({ max: 3 }), { freq: 3 }),
    }),
    { minLength: 12, maxLength: 25 },
  ),
});

class Named {
  readonly cluster: string;
  readonly world: PeersWorld;
  readonly #sightings: readonly Sighting[];

  constructor({ owners, later, sent }: Drawn, run: number) {
    this.cluster = `c${run}`;
    const flows = sent.map((one, n) => {
      const to = this.#peer(one, n);
      const address = to.namespace === undefined ? {} : { address: `address${n}-of-${to.namespace}` };
      return { from: { namespace: this.#space(one.from), name: 'p' }, to, ...address };
    });
    const sighted = { owners: this.#seen(owners), later: this.#seen(later) };
    this.world = { cluster: this.cluster, ...sighted, flows };
    this.#sightings = [...sighted.owners, ...sighted.later];
  }

  /** Namespaces that may not be told by name to members of these. */
  foreignTo(members: readonly string[]): string[] {
    return this.#spaces.filter((name) => {
      const seen = this.#ownersOf(name);
      return seen.length === 0 || !seen.every((tenant) => tenant === '' || members.includes(tenant));
    });
  }

  /** Those of them that no usage of theirs lies in. */
  neverOf(members: readonly string[]): string[] {
    return this.#spaces.filter((name) => !this.#ownersOf(name).some((tenant) => members.includes(tenant)));
  }

  isTold(destination: string, members: readonly string[]): boolean {
    const [kind = '', ...rest] = destination.split('/');
    if (kind === 'Node' || (rest.length === 0 && /^[A-Z]/.test(kind))) return true;
    // Of one without a namespace nobody can say whose it is.
    const namespace = /^[A-Z]/.test(kind) ? (rest[0] ?? '') : kind;
    return this.#spaces.includes(namespace) && !this.foreignTo(members).includes(namespace);
  }

  get #spaces(): string[] {
    return Array.from({ length: SPACES }, (_, i) => this.#space(i));
  }

  #ownersOf(namespace: string): string[] {
    return this.#sightings.filter((one) => one.namespace === namespace).map(({ tenant }) => tenant);
  }

  #space(i: number): string {
    return `space${i}-${this.cluster}`;
  }

  #seen(owners: readonly (string | null)[]): Sighting[] {
    return owners.flatMap((tenant, i) => (tenant === null ? [] : [{ namespace: this.#space(i), tenant }]));
  }

  #peer({ type: drawn, to, name }: Sent, n: number): Peer {
    const type = to === null && drawn === '' ? 'Node' : drawn;
    const isNode = type === 'Node';
    return {
      type,
      ...(to !== null && !isNode && { namespace: this.#space(to) }),
      ...(name !== null && { name: isNode ? `node${name}` : `object${n}-of-${this.#space(to ?? 0)}` }),
    };
  }
}

let api: PeersApi;
let run = 0;
beforeAll(async () => {
  api = await PeersApi.start();
}, 120_000);
afterAll(() => api.stop());

/** What a member may ask, with names that are not for them. */
function pathsOf({ cluster }: Named, members: readonly string[], names: readonly string[]): string[] {
  const queries = SIZES.flatMap((size) => [
    ...names.slice(0, 1).map((name) => `&groupBy=destination&destination=Pod/${name}${size}`),
    ...['top=3', 'limit=40', 'aggregation=max'].map((form) => `&groupBy=destination,workload&${form}${size}`),
  ]).filter((query) => !(query.includes('max') && query.includes('MINUTE')));
  const hours = members.flatMap((tenant) =>
    [0, 1, 2].map((n) => `&hour=${instant(BEGIN + n * HOUR)}&tenant=${tenant}&limit=1000`),
  );
  return [
    ...queries.map((query) => `meters/egress_internal/query?${RANGE}&cluster=${cluster}${query}`),
    ...hours.map((hour) => `explain?meter=egress_internal&cluster=${cluster}${hour}`),
  ];
}

/** Rows that told of what is hidden. */
async function compare(named: Named, members: readonly string[]): Promise<number> {
  const [operator, member] = [await api.operator(), await api.member(...members)];
  const tenants = members.map((tenant) => `&tenant=${tenant}`).join('');
  const grouped = `cluster=${named.cluster}&groupBy=tenant,workload,destination`;
  let hidden = 0;
  for (const size of SIZES) {
    const all = await api.rows(operator, `${grouped}${tenants}${size}`);
    const told = await api.rows(member, `${grouped}${size}`);
    const asTold = toldAs(all, (destination) => named.isTold(destination, members));
    expect(sums(told)).toEqual(sums(asTold));
    hidden += told.filter(({ groupBy }) => groupBy['destination'] === ANOTHER).length;
  }
  const foreign = named.foreignTo(members);
  for (const path of pathsOf(named, members, foreign)) {
    const { body } = await api.send(member, path);
    for (const name of named.neverOf(members)) if (foreign.includes(name)) expect(body).not.toContain(name);
    for (const name of foreign) expect(body).not.toMatch(new RegExp(`(object|address)\\d+-of-${name}`));
  }
  return hidden;
}

test('no name of a foreign namespace, or of what is in it, comes back anywhere', async () => {
  let hidden = 0;
  const told = fc.asyncProperty(worlds, async (drawn) => {
    const named = new Named(drawn, run++);
    await api.take([named.world]);
    for (const members of MEMBERS) hidden += await compare(named, members);
  });
  await fc.assert(told, { numRuns: 3, endOnFailure: true });
  expect(hidden).toBeGreaterThan(10);
}, 240_000);
