/**
 * METERING.md 12, choices 30-34: what usage is of, finer than the ledger's key.
 *
 * Worked: pod web-0 belongs to ReplicaSet/a from 09:00 and to ReplicaSet/b from 09:20; 90 on 09:10 -> 09:40
 * are 30 and 60.
 */
import type { Facts } from './facts.ts';
import { ascending, grouped, key } from './grouping.ts';
import type { Interval } from './interval.ts';
import type { Ownership } from './owners.ts';
import type { Labels } from './reading.ts';
import type { Said } from './said.ts';
import type { Series } from './series.ts';
import { sharesOf } from './shares.ts';

export interface DetailNames {
  readonly workload: string;
  readonly destination: string;
  readonly storageClass: string;
}

export interface DetailShare extends DetailNames {
  readonly owner: string;
  readonly hour: bigint;
  readonly quarter: number;
  readonly quantity: bigint;
}

const HOUR_MS = 3_600_000n;

/** Before the first sighting, the first applies; undefined where there is none. */
function heldAt(t: bigint, said: readonly Said[]): string | undefined {
  return (said.findLast((each) => each.t <= t) ?? said[0])?.value;
}

/** Everything that a series' breakdown can change with, and what it is at a time. */
interface Breakdown {
  readonly times: readonly bigint[];
  readonly at: (t: bigint) => DetailNames;
}

export function breakdownOf({ meter, cluster, namespace, labels }: Series, { said }: Facts): Breakdown {
  const of = (...subject: readonly string[]): readonly Said[] => said.get(key(cluster, ...subject)) ?? [];
  const get = (name: string): string => labels.get(name) ?? '';
  const destination = destinationOf(meter.name, labels);
  if (meter.name.startsWith('storage')) {
    const classes = of('claim', namespace, get('persistentvolumeclaim'));
    return {
      times: classes.map(({ t }) => t),
      at: (t) => ({ workload: '', destination, storageClass: heldAt(t, classes) ?? '' }),
    };
  }
  const given = givenWorkload(meter.name, labels);
  if (given !== undefined) {
    return { times: [], at: () => ({ workload: given, destination, storageClass: '' }) };
  }
  const pod = get(podLabel(meter.name));
  const owners = pod === '' ? [] : of('Pod', namespace, pod);
  const ownersOf = (owner: string): readonly Said[] => {
    const [kind = '', ...name] = owner.split('/');
    return ['Pod', 'ReplicaSet', 'Job'].includes(kind) ? of(kind, namespace, name.join('/')) : [];
  };
  const workloadAt = (t: bigint): string => {
    const owner = heldAt(t, owners);
    if (owner === undefined) return '';
    return owner === '' ? `Pod/${pod}` : heldAt(t, ownersOf(owner)) || owner;
  };
  return {
    times: [...owners, ...owners.flatMap(({ value }) => ownersOf(value))].map(({ t }) => t),
    at: (t) => ({ workload: workloadAt(t), destination, storageClass: '' }),
  };
}

function podLabel(meter: string): string {
  if (meter === 'http_requests') return 'k8s_pod_name';
  return meter.startsWith('egress') ? 'k8s_src_name' : 'pod';
}

/** Choice 32: a row that names the owner itself. */
function givenWorkload(meter: string, labels: Labels): string | undefined {
  const names = meter.startsWith('egress')
    ? ['k8s_src_owner_type', 'k8s_src_owner_name']
    : meter === 'http_requests'
      ? ['k8s_kind', 'k8s_owner_name']
      : [];
  const parts = names.flatMap((name) => labels.get(name) ?? []);
  return parts.length === 2 ? parts.join('/') : undefined;
}

/** Choice 33. */
function destinationOf(meter: string, labels: Labels): string {
  if (!meter.startsWith('egress')) return '';
  const inside = ['k8s_dst_type', 'k8s_dst_namespace', 'k8s_dst_name'].flatMap(
    (name) => labels.get(name) ?? [],
  );
  return inside.length > 0 ? inside.join('/') : (labels.get('dst_address') ?? labels.get('dst_cidr') ?? '');
}

/** Section 8: cut wherever anything changes; shares nest, so their sums are those of the ledger. */
export function detailShares(interval: Interval, owners: Ownership, breakdown: Breakdown): DetailShare[] {
  return sharesOf(interval, owners, new Map(), breakdown.times).map(({ from, ...share }) => ({
    ...share,
    ...breakdown.at(from),
  }));
}

export interface DetailRow extends DetailNames {
  readonly hour: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly quarters: readonly [bigint, bigint, bigint, bigint];
}

interface OpenRow extends DetailRow {
  /** The hour in which the interval ends. */
  readonly unit: bigint;
  readonly quarters: [bigint, bigint, bigint, bigint];
}

const MAX_DESTINATIONS = 100;

export class DetailRows {
  readonly #rows = new Map<string, OpenRow>();

  add({ cluster, namespace, meter }: Series, interval: Interval, shares: readonly DetailShare[]): void {
    const unit = (interval.to - 1n) / HOUR_MS;
    for (const { owner: tenant, hour, quarter, quantity, ...names } of shares) {
      const place = { unit, hour: Number(hour), tenant, cluster, namespace, meter: meter.name, ...names };
      const row = rowOf(this.#rows, Object.values(place), place);
      row.quarters[quarter as 0 | 1 | 2 | 3] += quantity;
    }
  }

  /** Summed over units, each bounded by itself. */
  rows(): DetailRow[] {
    const sums = new Map<string, OpenRow>();
    const keyed = grouped([...this.#rows.values()], ({ unit, hour, tenant, cluster, namespace, meter }) =>
      key(unit, String(hour), tenant, cluster, namespace, meter),
    );
    for (const row of [...keyed.values()].flatMap(bounded)) {
      const place = { ...row, unit: 0n };
      const { quarters: _, ...names } = place;
      const sum = rowOf(sums, Object.values(names), place);
      row.quarters.forEach((quantity, quarter) => (sum.quarters[quarter as 0 | 1 | 2 | 3] += quantity));
    }
    return [...sums.values()]
      .filter(({ quarters }) => quarters.some((quantity) => quantity !== 0n))
      .map(({ unit: _, ...row }) => row);
  }
}

function rowOf(
  rows: Map<string, OpenRow>,
  names: readonly unknown[],
  place: Omit<OpenRow, 'quarters'>,
): OpenRow {
  const id = key(...names.map(String));
  const row = rows.get(id) ?? { ...place, quarters: [0n, 0n, 0n, 0n] as OpenRow['quarters'] };
  rows.set(id, row);
  return row;
}

/** Choice 34: the largest destinations of a key; of equal ones the first by name. */
function bounded(rows: readonly OpenRow[]): readonly OpenRow[] {
  const total = (some: readonly OpenRow[]): bigint =>
    some.flatMap(({ quarters }) => quarters).reduce((a, b) => a + b, 0n);
  const sums = [...grouped(rows, ({ destination }) => destination)].map(([name, own]) => ({
    name,
    sum: total(own),
  }));
  const used = sums.filter(({ sum }) => sum > 0n);
  const largestFirst = used.sort((a, b) => ascending(b.sum, a.sum) || (a.name < b.name ? -1 : 1));
  const kept = new Set(largestFirst.slice(0, MAX_DESTINATIONS).map(({ name }) => name));
  return rows.map((row) => (kept.has(row.destination) ? row : { ...row, destination: '(other)' }));
}
