/**
 * Usage broken down against usage: quarter by quarter the details of a key are its parts. Nothing is billed
 * by them, but whoever shows them says that they are what was billed. Hours without details (past their
 * retention, or erased) are not compared.
 */
import { readDetailGaps, type DetailGap } from '../../rollup/detail-rows.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import { never, type Check, type Difference } from './check.ts';
import { hourText } from './figures.ts';
import type { VerifyScope } from './scope.ts';

export async function compareDetails(
  store: UsageStore,
  cluster: string,
  { scope, check }: { readonly scope: VerifyScope; readonly check: Check },
): Promise<void> {
  const rows = await store.rows<{ seconds: number }>(
    `SELECT DISTINCT toUnixTimestamp(hour) AS seconds FROM detail_parts WHERE cluster = {cluster:String}
     AND hour >= toDateTime({start:Int64}, 'UTC') AND hour < toDateTime({end:Int64}, 'UTC')`,
    { cluster, start: scope.start / 1000, end: scope.end / 1000 },
  );
  const all = await readDetailGaps(store, { cluster, from: scope.start, to: scope.end });
  const gaps = all.filter(({ namespace, hour }) => !scope.kept.isErased(cluster, namespace, hour));
  const byHour = Map.groupBy(gaps, (gap) => gap.hour);
  for (const hour of rows.map(({ seconds }) => seconds * 1000)) {
    const place = { cluster, hour };
    const [gap] = byHour.get(hour) ?? [];
    if (gap === undefined) check.compare(true, never, place);
    else check.compare(false, () => differenceOf(gap), place);
  }
}

function differenceOf({ cluster, hour, tenant, namespace, meter, parts, details }: DetailGap): Difference {
  return {
    what: `details of ${cluster} ${hourText(hour)} ${tenant}/${namespace} ${meter}`,
    recomputed: `parts ${parts.join(' + ')}`,
    stored: `details ${details.join(' + ')}`,
  };
}
