/**
 * METERING.md 12, choice 30: what rows say of pods, of their owners and of claims, over time.
 */
import { ascending, grouped, key, largest } from './grouping.ts';
import type { Labels, Point } from './reading.ts';

export interface Said {
  readonly t: bigint;
  readonly value: string;
}

const HOUR_MS = 3_600_000n;

/** Choice 30: of an hour the first sighting of each value; at equal t the greater value. */
export function saidOf(points: readonly Point[]): Map<string, Said[]> {
  const told = points.flatMap((point) => {
    const said = subjectAndValue(point.name, point.labels);
    return said === undefined
      ? []
      : [{ t: point.t, value: said.value, subject: key(point.cluster, ...said.subject) }];
  });
  return new Map(
    [...grouped(told, ({ subject }) => subject)].map(([subject, same]) => {
      const firsts = [...grouped(same, ({ t, value }) => key((t - 1n) / HOUR_MS, value)).values()].map(
        (ofHour) => ({ t: -largest(ofHour.map(({ t }) => -t)), value: ofHour[0]?.value ?? '' }),
      );
      const perTime = [...grouped(firsts, ({ t }) => t)].map(([t, both]) => ({
        t,
        value: both.map(({ value }) => value).reduce((a, b) => (a > b ? a : b)),
      }));
      return [subject, perTime.sort((a, b) => ascending(a.t, b.t))];
    }),
  );
}

const OWNED: Readonly<Record<string, readonly [kind: string, label: string]>> = {
  kube_pod_owner: ['Pod', 'pod'],
  kube_replicaset_owner: ['ReplicaSet', 'replicaset'],
  kube_job_owner: ['Job', 'job_name'],
};

function subjectAndValue(
  metric: string,
  labels: Labels,
): { subject: readonly string[]; value: string } | undefined {
  const text = (name: string): string => (labels.get(name) === '<none>' ? '' : (labels.get(name) ?? ''));
  const named = (kind: string, name: string): readonly string[] | undefined => {
    const names = [labels.get('namespace') ?? '', labels.get(name) ?? ''];
    return names.some((each) => each === '' || each.includes('/')) ? undefined : [kind, ...names];
  };
  const owned = OWNED[metric];
  if (owned !== undefined) {
    const subject = named(...owned);
    const [kind, name] = [text('owner_kind'), text('owner_name')];
    const controlled = labels.get('owner_is_controller') === 'true' && kind !== '' && name !== '';
    return subject === undefined ? undefined : { subject, value: controlled ? `${kind}/${name}` : '' };
  }
  if (metric !== 'kube_persistentvolumeclaim_info') return undefined;
  const subject = named('claim', 'persistentvolumeclaim');
  return subject === undefined ? undefined : { subject, value: text('storageclass') };
}
