/**
 * What collectors have to bring in, by the target that shows it: the rows that meters and facts are made of,
 * and the labels that must stay on them. Made from the catalogue, so that a new meter is collected without
 * being written down again; allow-lists (Alloy's) are generated from here.
 *
 * A superset where it has to be: a condition `not` is left out, because whoever reads the rows judges them
 * again, and a row too many costs bytes, one too few is usage lost. Example: `egress` and `egress_internal`
 * are flows and their complement; what is collected is every flow of a pod.
 */
import {
  DETAIL_FACTS,
  ENDED_PHASES,
  FACT_METRICS,
  MEASURED_METERS,
  type DetailMetric,
  type FactMetric,
  type MeterDefinition,
  type RowCondition,
} from './catalogue.ts';

/** `kubelet` is its own `/metrics` (volumes); `cadvisor` the page beside it. */
export const SOURCES = ['cadvisor', 'kubelet', 'kube_state', 'beyla'] as const;
export type Source = (typeof SOURCES)[number];

export type SimpleCondition = Exclude<RowCondition, { readonly not: readonly RowCondition[] }>;

/** Rows of any of these names that meet all of these conditions. */
export interface CollectedRows {
  readonly metrics: readonly string[];
  readonly rows: readonly SimpleCondition[];
}

export interface Collected {
  readonly rows: readonly CollectedRows[];
  /**
   * Labels that stay, beside name, job and instance; a name that ends in `*` stands for all that begin so.
   */
  readonly labels: { readonly keep: readonly string[] } | { readonly drop: readonly string[] };
}

/** Who shows a metric is told by how its name begins. */
const PREFIXES: readonly (readonly [string, Source])[] = [
  ['container_', 'cadvisor'],
  ['kubelet_', 'kubelet'],
  ['kube_', 'kube_state'],
  ['beyla_', 'beyla'],
  ['obi_', 'beyla'],
  ['http_', 'beyla'],
  ['rpc_', 'beyla'],
];

/** Undefined: no source is known to show it, so no collector would bring it. */
export function sourceOf(metric: string): Source | undefined {
  return PREFIXES.find(([prefix]) => metric.startsWith(prefix))?.[1];
}

/** cAdvisor shows the network on a pod's sandbox alone: a row without a container, or with this one. */
const SANDBOX: SimpleCondition = { label: 'container', oneOf: ['', 'POD'] };
/** Labels that tell apart what one container counts; a start is of the container, so start rows have none. */
const LABELS_OF_VALUES: readonly string[] = ['cpu', 'interface'];

interface FactRows {
  readonly metric: FactMetric;
  readonly rows: readonly SimpleCondition[];
  readonly labels: readonly string[];
}

/** Where facts are shown and which of their rows say something; one that is missing does not compile. */
const FACTS: Readonly<
  Record<FactMetric, (source: Source, meters: readonly MeterDefinition[]) => readonly FactRows[]>
> = {
  // Every scrape tells whether it succeeded: coverage, births and watermarks rest on it.
  up: () => [{ metric: 'up', rows: [], labels: [] }],
  process_start_time_seconds: (_, meters) =>
    meters.some(({ birth }) => birth === 'process')
      ? [{ metric: 'process_start_time_seconds', rows: [], labels: [] }]
      : [],
  container_start_time_seconds: (_, meters) =>
    meters.filter(({ birth }) => birth === 'container').map(startRows),
  kube_namespace_labels: (source) =>
    // Which label names the tenant is a setting; which labels there are, kube-state-metrics is told.
    ofState(source, 'kube_namespace_labels', [], ['namespace', 'label_*']),
  kube_pod_info: (source) =>
    ofState(
      source,
      'kube_pod_info',
      [{ label: 'host_network', oneOf: ['true'] }],
      ['namespace', 'pod', 'uid'],
    ),
  kube_pod_status_phase: (source) =>
    ofState(
      source,
      'kube_pod_status_phase',
      [
        { label: 'phase', oneOf: ENDED_PHASES },
        { label: 'uid', is: 'set' },
      ],
      ['namespace', 'pod'],
    ),
  kube_pod_owner: (source) => details(source, 'kube_pod_owner'),
  kube_replicaset_owner: (source) => details(source, 'kube_replicaset_owner'),
  kube_job_owner: (source) => details(source, 'kube_job_owner'),
  kube_persistentvolumeclaim_info: (source) => details(source, 'kube_persistentvolumeclaim_info'),
};

export function collectedFrom(
  source: Source,
  catalogue: readonly MeterDefinition[] = MEASURED_METERS,
): Collected {
  const meters = catalogue.filter(({ metrics }) => metrics.some((metric) => sourceOf(metric) === source));
  const facts = FACT_METRICS.flatMap((metric) => FACTS[metric](source, meters));
  const rows = [
    ...facts.map(({ metric, rows: conditions }) => ({ metrics: [metric], rows: conditions })),
    ...meters.map(({ metrics, rows: conditions }) => ({
      metrics: metrics.filter((metric) => sourceOf(metric) === source),
      rows: conditions.filter(isSimple),
    })),
  ];
  return { rows: merged(rows), labels: labelsOf(meters, facts, rows) };
}

/** A container is known by its id, so a start row without one says nothing. */
function startRows({ rows, identity }: MeterDefinition): FactRows {
  const isOnInterface = 'labels' in identity && identity.labels.includes('interface');
  const ofContainer = rows.filter(isSimple).filter(({ label }) => !LABELS_OF_VALUES.includes(label));
  const id: readonly SimpleCondition[] = ofContainer.some(({ label }) => label === 'id')
    ? []
    : [{ label: 'id', is: 'set' }];
  return {
    metric: 'container_start_time_seconds',
    rows: [...ofContainer, ...id, ...(isOnInterface ? [SANDBOX] : [])],
    labels: ['node', 'id'],
  };
}

function details(source: Source, metric: DetailMetric): FactRows[] {
  const { name, says } = DETAIL_FACTS[metric];
  const rows = [name, 'namespace'].map((label) => ({ label, is: 'set' as const }));
  return ofState(source, metric, rows, [says === 'controller' ? 'owner_*' : says.label]);
}

function ofState(
  source: Source,
  metric: FactMetric,
  rows: readonly SimpleCondition[],
  labels: readonly string[],
): FactRows[] {
  return source === 'kube_state' ? [{ metric, rows, labels }] : [];
}

function isSimple(condition: RowCondition): condition is SimpleCondition {
  return !('not' in condition);
}

/** Metrics with the same conditions together, and no rows beside others that contain them. */
function merged(all: readonly CollectedRows[]): CollectedRows[] {
  const single = all.flatMap(({ metrics, rows }) => metrics.map((metric) => ({ metric, rows })));
  const needed = single.filter(
    (one, index) =>
      !single.some(
        (other, at) =>
          other.metric === one.metric &&
          at !== index &&
          contains(other.rows, one.rows) &&
          (at < index || !contains(one.rows, other.rows)),
      ),
  );
  const groups = Map.groupBy(needed, ({ rows }) => JSON.stringify(rows));
  return [...groups.values()].map((group) => ({
    metrics: group.map(({ metric }) => metric),
    rows: group[0]?.rows ?? [],
  }));
}

/** Does every row that meets `inner` meet `outer`? True only where it is plain to see. */
function contains(outer: readonly SimpleCondition[], inner: readonly SimpleCondition[]): boolean {
  return outer.every((wide) => inner.some((narrow) => implies(narrow, wide)));
}

function implies(narrow: SimpleCondition, wide: SimpleCondition): boolean {
  if (JSON.stringify(narrow) === JSON.stringify(wide)) return true;
  if (narrow.label !== wide.label) return false;
  const values = valuesOf(narrow);
  if (values === undefined) return false;
  if ('oneOf' in wide) return values.every((value) => wide.oneOf.includes(value));
  return 'is' in wide && values.every((value) => (value === '') === (wide.is === 'empty'));
}

/** The values that a condition allows, where they are few. */
function valuesOf(condition: SimpleCondition): readonly string[] | undefined {
  if ('oneOf' in condition) return condition.oneOf;
  return 'is' in condition && condition.is === 'empty' ? [''] : undefined;
}

/**
 * Identity, the namespace, and what conditions ask for. A label that a condition wants empty is gone once the
 * row has passed, and its absence says the same. Where some meter takes every label but the reporter's, only
 * those go, and of them not those that a condition reads.
 */
function labelsOf(
  meters: readonly MeterDefinition[],
  told: readonly { readonly labels: readonly string[] }[],
  rows: readonly CollectedRows[],
): Collected['labels'] {
  const asked = rows.flatMap(({ rows: conditions }) => conditions.filter(needsValue).flatMap(labelsIn));
  const reporters = meters.flatMap(({ identity }) => ('allBut' in identity ? [identity.allBut] : []));
  if (reporters.length > 0) {
    const [first = [], ...others] = reporters;
    const dropped = first.filter((label) => others.every((other) => other.includes(label)));
    return { drop: dropped.filter((label) => !asked.includes(label) && !TARGET_LABELS.includes(label)) };
  }
  const identity = meters.flatMap((meter) => ('labels' in meter.identity ? meter.identity.labels : []));
  const namespaces = meters.map(({ namespaceLabel }) => namespaceLabel);
  const labels = new Set([...identity, ...namespaces, ...asked, ...told.flatMap((fact) => fact.labels)]);
  return { keep: [...labels].sort() };
}

/** What a target is known by; never up to a list. */
const TARGET_LABELS: readonly string[] = ['job', 'instance'];

function needsValue(condition: SimpleCondition): boolean {
  if ('is' in condition) return condition.is === 'set';
  return !('oneOf' in condition && condition.oneOf.includes(''));
}

function labelsIn(condition: SimpleCondition): string[] {
  return 'sameAs' in condition ? [condition.label, condition.sameAs] : [condition.label];
}
