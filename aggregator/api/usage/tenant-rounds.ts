/**
 * The same question for one tenant and meter after the other is one statement: those who ask while it is
 * being read are answered together by the next. Fifty portals that look at their month at once cost what a
 * few would.
 *
 * Each is given the rows of the one tenant that it may read and asked for, and of no other, and as many as if
 * it had asked alone: of a limit of two, one with five rows gets two, and one with one row that one. What is
 * too much together is read one by one, so nobody is refused for what another one asked.
 */
import { MeteringError } from '../../../core/runtime/errors.ts';
import type { TenantScope } from '../identity/access.ts';
import type { UsageRequest, UsageSum } from '../usage-reader.ts';
import type { Dimension, Group } from './dimensions.ts';
import type { Part } from './statements.ts';
import type { SumsRequest, SumsRow } from './sums.ts';

/** Tenants and meters of one statement. */
const AT_ONCE = 200;
/** Of those that are read one by one, so many at once: one that takes long does not hold up the others. */
const LANES = 4;

/** What reads sums of several tenants and meters at once. */
export interface SumsReader {
  sums(scope: TenantScope, request: SumsRequest<RoundKey>): Promise<readonly SumsRow<RoundKey>[]>;
}

type RoundKey = Dimension | 'meter';

/** Without chosen groups, which would have to be told apart by tenant as well. */
export interface RoundRequest extends Omit<UsageRequest, 'filters' | 'chosen'> {
  /** Without one of tenants. */
  readonly filters: Omit<UsageRequest['filters'], 'tenant'>;
  readonly tenant: string;
  readonly part: Part;
}

interface Waiting extends PromiseWithResolvers<readonly UsageSum[]> {
  readonly tenant: string;
  readonly meter: string;
}

interface Shape {
  readonly waiting: Waiting[];
}

export class TenantRounds {
  readonly #reader: SumsReader;
  readonly #shapes = new Map<string, Shape>();

  constructor(reader: SumsReader) {
    this.#reader = reader;
  }

  /** `key` names the question but for tenant and meter, and the state that it is asked of. */
  usage(key: string, request: RoundRequest): Promise<readonly UsageSum[]> {
    const { tenant, meter } = request;
    const waiting = { tenant, meter, ...Promise.withResolvers<readonly UsageSum[]>() };
    const shape = this.#shapes.get(key);
    if (shape !== undefined) shape.waiting.push(waiting);
    else {
      const first = { waiting: [waiting] };
      this.#shapes.set(key, first);
      this.#run(key, first, request).catch(waiting.reject);
    }
    return waiting.promise;
  }

  async #run(key: string, { waiting }: Shape, request: RoundRequest): Promise<void> {
    while (waiting.length > 0) {
      await this.#answer(waiting.splice(0, AT_ONCE), request);
    }
    this.#shapes.delete(key);
  }

  async #answer(round: readonly Waiting[], request: RoundRequest): Promise<void> {
    try {
      const read = await this.#read(round, request);
      for (const one of round) one.resolve(read.get(placeOf(one)) ?? []);
    } catch (error) {
      if (round.length > 1 && isTooMuch(error)) await this.#answerOneByOne(round, request);
      else for (const { reject } of round) reject(error);
    }
  }

  async #answerOneByOne(round: readonly Waiting[], request: RoundRequest): Promise<void> {
    const left = round.values();
    const lane = async (): Promise<void> => {
      for (const one of left) await this.#answer([one], request);
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  async #read(
    round: readonly Waiting[],
    { tenant: _, meter: __, filters, groupBy, ...asked }: RoundRequest,
  ): Promise<SumsByPlace> {
    const tenants = [...new Set(round.map(({ tenant }) => tenant))].sort();
    const meters = [...new Set(round.map(({ meter }) => meter))].sort();
    const sums = await this.#reader.sums(
      { kind: 'tenants', tenants },
      {
        ...asked,
        groupBy: roundKeys(groupBy),
        filters: { ...filters, tenant: tenants, meter: meters },
        limitBy: ['meter', 'tenant'],
      },
    );
    return sumsByPlace(groupBy, sums);
  }
}

/** Less may be read where all of it may not. */
function isTooMuch(error: unknown): boolean {
  return (
    error instanceof MeteringError &&
    (error.code === 'METER_QUERY_TIMEOUT' || error.code === 'METER_QUERY_LIMIT')
  );
}

/** Of a meter and a tenant, in the order of windows, then groups. */
export type SumsByPlace = ReadonlyMap<string, readonly UsageSum[]>;

export function placeOf({ meter, tenant }: Pick<Waiting, 'meter' | 'tenant'>): string {
  return `${meter}\0${tenant}`;
}

export function roundKeys(groupBy: readonly Dimension[]): readonly RoundKey[] {
  return [...new Set<RoundKey>(['meter', 'tenant', ...groupBy])];
}

/** Rows that tell meter and tenant, each to its own, grouped as it was asked. */
export function sumsByPlace(groupBy: readonly Dimension[], sums: readonly SumsRow<RoundKey>[]): SumsByPlace {
  const found = new Map<string, UsageSum[]>();
  for (const { group, ...sum } of sums) {
    const { meter = '', tenant = '' } = group;
    const place = placeOf({ meter, tenant });
    const own = found.get(place) ?? [];
    own.push({ ...sum, group: groupWithin(groupBy, group) });
    found.set(place, own);
  }
  return found;
}

function groupWithin(groupBy: readonly Dimension[], group: Group): Group {
  return Object.fromEntries(groupBy.map((dimension) => [dimension, group[dimension] ?? '']));
}

/** The one tenant that may be read and is asked for, if it is one. */
export function onlyTenant(
  scope: TenantScope,
  { filters }: Pick<UsageRequest, 'filters'>,
): string | undefined {
  const asked = filters.tenant;
  if (scope.kind === 'all') return asked?.length === 1 ? asked[0] : undefined;
  const mine = asked === undefined ? scope.tenants : scope.tenants.filter((tenant) => asked.includes(tenant));
  return mine.length === 1 ? mine[0] : undefined;
}
