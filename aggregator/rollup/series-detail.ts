/** What a series says of its usage beside namespace and meter, from its labels, as the catalogue has it. */
import { METERS, type MeterBreakdown, type MeterDefinition } from '../../core/metering/catalogue.ts';
import { label, type Labels } from '../../core/metering/series.ts';
import type { SeriesDetail } from '../attribution/breakdown.ts';

/** All that any meter is broken down by. */
export const DETAIL_LABELS: readonly string[] = [
  ...new Set(METERS.flatMap(({ breakdown }) => labelsOf(breakdown))),
];

function labelsOf({ pod, workload, destination, claim }: MeterBreakdown): string[] {
  return [
    ...[pod, workload?.kind, workload?.name, claim].filter((name) => name !== undefined),
    ...(destination?.inside ?? []),
    ...(destination?.outside ?? []),
  ];
}

export function detailOf({ breakdown }: MeterDefinition, namespace: string, labels: Labels): SeriesDetail {
  const { pod, workload, claim } = breakdown;
  const of = (name: string | undefined): string => (name === undefined ? '' : label(labels, name));
  const [kind, name] = [of(workload?.kind), of(workload?.name)];
  return {
    namespace,
    pod: of(pod),
    workload: kind === '' || name === '' ? '' : `${kind}/${name}`,
    destination: destinationOf(breakdown, labels),
    claim: of(claim),
  };
}

/** `Service/shop/db` inside the cluster; `203.0.113.7` or `0.0.0.0/0` outside of it. */
function destinationOf({ destination }: MeterBreakdown, labels: Labels): string {
  if (destination === undefined) return '';
  const parts = (names: readonly string[]): string[] =>
    names.map((name) => label(labels, name)).filter((part) => part !== '');
  const inside = parts(destination.inside);
  return inside.length > 0 ? inside.join('/') : (parts(destination.outside)[0] ?? '');
}
