/**
 * What usage is of, finer than the ledger's key (METERING 12), as of the time. A pod's workload is its
 * controller, or that one's own controller: pod web-5d9-x of ReplicaSet web-5d9 of Deployment web is
 * `Deployment/web`; until the replica set's owner was sighted it is `ReplicaSet/web-5d9`. A pod without one
 * is `Pod/name`, a pod never sighted ''. Changes at 10:20: usage on 10:00 -> 10:30 is split there
 * (METERING 8).
 *
 * Pure: built from sightings, by subjects as `histories.ts` names them.
 */
import { DETAIL_FACTS } from '../../core/metering/catalogue.ts';
import { subjectOf } from './histories.ts';
import { always, stepsOf, type Sighting, type Steps } from './history.ts';

/** What a series says of its usage, beside the namespace and the meter. */
export interface SeriesDetail {
  readonly namespace: string;
  /** '' where the row names none. */
  readonly pod: string;
  /** The workload, where the row names it itself. */
  readonly workload: string;
  readonly destination: string;
  readonly claim: string;
}

/** What the usage of a series is of, over time. */
export interface SeriesBreakdown {
  readonly workload: Steps;
  readonly destination: string;
  readonly storageClass: Steps;
}

const UNKNOWN = always('');
export const NO_BREAKDOWN: SeriesBreakdown = { workload: UNKNOWN, destination: '', storageClass: UNKNOWN };

export function podSubject({ namespace, pod }: SeriesDetail): string {
  return subjectOf(namespace, `${DETAIL_FACTS.kube_pod_owner.kind}/${pod}`);
}

export function claimSubject({ namespace, claim }: SeriesDetail): string {
  return subjectOf(namespace, `${DETAIL_FACTS.kube_persistentvolumeclaim_info.kind}/${claim}`);
}

const OWNED_KINDS = Object.values(DETAIL_FACTS)
  .filter(({ says }) => says === 'controller')
  .map(({ kind }) => kind);

/** Of other kinds no owner is ever sighted. */
export function mayHaveOwner(owner: string): boolean {
  return OWNED_KINDS.some((kind) => owner.startsWith(`${kind}/`));
}

export class Breakdown {
  readonly #sightings: ReadonlyMap<string, readonly Sighting[]>;
  readonly #workloads = new Map<string, Steps>();
  readonly #classes = new Map<string, Steps>();

  constructor(sightings: ReadonlyMap<string, readonly Sighting[]>) {
    this.#sightings = sightings;
  }

  of(detail: SeriesDetail): SeriesBreakdown {
    const { pod, workload, destination, claim } = detail;
    return {
      workload: workload !== '' ? always(workload) : pod === '' ? UNKNOWN : this.#workloadOf(detail),
      destination,
      storageClass: claim === '' ? UNKNOWN : this.#classOf(claimSubject(detail)),
    };
  }

  #workloadOf(detail: SeriesDetail): Steps {
    const subject = podSubject(detail);
    let workload = this.#workloads.get(subject);
    if (workload === undefined) this.#workloads.set(subject, (workload = this.#resolve(subject, detail)));
    return workload;
  }

  #classOf(subject: string): Steps {
    let known = this.#classes.get(subject);
    if (known === undefined) {
      known = stepsOf(this.#sightings.get(subject) ?? []) ?? UNKNOWN;
      this.#classes.set(subject, known);
    }
    return known;
  }

  /** Each stretch with one owner, cut where that one's own owner changes. */
  #resolve(subject: string, { namespace, pod }: SeriesDetail): Steps {
    const owners = stepsOf(this.#sightings.get(subject) ?? []);
    if (owners === undefined) return UNKNOWN;
    const steps = owners.values.flatMap((owner, i) => {
      const [from, until] = [owners.times[i] ?? -Infinity, owners.times[i + 1] ?? Infinity];
      if (owner === '') return [{ t: from, value: `${DETAIL_FACTS.kube_pod_owner.kind}/${pod}` }];
      const seen = mayHaveOwner(owner) ? this.#sightings.get(subjectOf(namespace, owner)) : undefined;
      const own = stepsOf(seen ?? []) ?? UNKNOWN;
      return own.values.flatMap((value, at) => {
        const [begin, end] = [own.times[at] ?? -Infinity, own.times[at + 1] ?? Infinity];
        const named = { t: Math.max(from, begin), value: value === '' ? owner : value };
        return end > from && begin < until ? [named] : [];
      });
    });
    return stepsOf(steps) ?? UNKNOWN;
  }
}
