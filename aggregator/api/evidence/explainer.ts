/**
 * `explain` for those who ask over HTTP. Input: whose numbers may be read, and an hour of a meter. Output: an
 * explanation, of one tenant at a time for who may not read everything. Whole hours of a cluster are folded
 * again for it (`on-demand.ts`).
 *
 * An interval in which a namespace changed hands is shown to both owners from end to end, with the share of
 * the one who asks. Places in the log are for who reads everything: they count the records of all. So are
 * names of others (`told-series.ts`).
 */
import { explain, type Explanation } from '../../ledger/explain.ts';
import type { TenantScope } from '../identity/access.ts';
import { mayRead } from '../identity/tenant-conditions.ts';
import type { OnDemand } from '../limits/on-demand.ts';
import { readToldSeries } from './told-series.ts';

export interface AskedExplanation {
  readonly meter: string;
  /** ms */
  readonly hour: number;
  readonly tenant?: string | undefined;
  readonly cluster?: string | undefined;
  readonly namespace?: string | undefined;
  readonly limit: number;
  readonly skip: number;
  /** Aborted when nobody waits for it any more. */
  readonly signal?: AbortSignal;
}

export interface Explainer {
  /** `busy`: as many run as may. */
  explain(scope: TenantScope, asked: AskedExplanation): Promise<Explanation | 'busy'>;
}

export class StoreExplainer implements Explainer {
  readonly #onDemand: OnDemand;

  constructor(onDemand: OnDemand) {
    this.#onDemand = onDemand;
  }

  async explain(scope: TenantScope, { signal, ...asked }: AskedExplanation): Promise<Explanation | 'busy'> {
    return await this.#onDemand.run(async ({ store, settings }) => {
      if (scope.kind === 'all') return await explain(store, { ...asked, settings });
      const tenant = asked.tenant ?? scope.tenants[0] ?? NOBODY;
      const readable = mayRead(scope, tenant) ? tenant : NOBODY;
      const explanation = await explain(store, { ...asked, tenant: readable, settings });
      const told = await readToldSeries(store, scope, explanation);
      return forTenant(explanation, tenant, told);
    }, signal);
  }
}

/** Whose there is nothing to explain: no label can have this value. */
const NOBODY = '\u0001';

function forTenant(
  explanation: Explanation,
  tenant: string,
  told: Awaited<ReturnType<typeof readToldSeries>>,
): Explanation {
  const keys = explanation.keys.map((key) => ({
    ...key,
    series: key.series.map((series) => withoutPlaces(told(key, series))),
  }));
  return { ...explanation, asked: { ...explanation.asked, tenant }, keys };
}

type Series = Explanation['keys'][number]['series'][number];
type Sample = Series['intervals'][number]['at'];

function withoutPlaces(series: Series): Series {
  const shown = ({ log: _, ...sample }: Sample): Sample => sample;
  const intervals = series.intervals.map(({ before, at, ...interval }) => ({
    ...interval,
    ...(before !== undefined && { before: shown(before) }),
    at: shown(at),
  }));
  return { ...series, intervals };
}
