import { type WorkloadSpec } from './inventory.ts';
import { type Pod } from './pod.ts';
import { type Random } from './random.ts';

/** A controller: how many pods it wants, of which revision, and which it has. */
export class Workload {
  readonly spec: WorkloadSpec;
  readonly pods = new Set<Pod>();
  replicas: number;
  /** The hash of its pod template; the number of the run for a Job. */
  revision: string;

  constructor(spec: WorkloadSpec, random: Random) {
    this.spec = spec;
    this.replicas = spec.kind === 'Job' ? 0 : spec.replicas;
    this.revision = random.hex(10);
  }

  /** The lowest ordinal that no pod has. */
  freeOrdinal(): number {
    const taken = new Set([...this.pods].map((pod) => pod.ordinal));
    let ordinal = 0;
    while (taken.has(ordinal)) ordinal += 1;
    return ordinal;
  }

  podName(ordinal: number, random: Random): string {
    const { kind, name } = this.spec;
    if (kind === 'StatefulSet') return `${name}-${ordinal}`;
    if (kind === 'DaemonSet') return `${name}-${random.suffix(5)}`;
    return `${name}-${this.revision}-${random.suffix(5)}`;
  }
}
