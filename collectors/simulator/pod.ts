import { type ContainerSpec, type WorkloadSpec } from './inventory.ts';
import { type Node } from './node.ts';
import { type PodCgroup } from './pod-cgroup.ts';
import { type PodIdentity } from './pod-identity.ts';
import { Source } from './source.ts';

export type PodPhase = 'Pending' | 'Running' | 'Succeeded';

export interface ContainerRequests {
  readonly container: ContainerSpec;
  readonly cpu: Source;
  readonly memory: Source;
}

export interface PodOrigin extends Omit<PodIdentity, 'namespace'> {
  readonly revision: string;
  readonly ordinal: number;
  readonly createdMs: number;
}

/**
 * A pod as the API server knows it: it requests from its creation until it completes or is deleted,
 * whether it runs yet or not. What it really uses is in its cgroup, which lives only while it runs.
 */
export class Pod implements PodIdentity {
  readonly spec: WorkloadSpec;
  readonly name: string;
  readonly uid: string;
  readonly ip: string;
  readonly node: Node;
  readonly revision: string;
  /** Its place in a StatefulSet; the node's in a DaemonSet. */
  readonly ordinal: number;
  readonly createdMs: number;
  readonly requests: readonly ContainerRequests[];
  phase: PodPhase = 'Pending';
  cgroup: PodCgroup | null = null;
  restarts = 0;
  deleted = false;

  constructor(origin: PodOrigin) {
    this.spec = origin.spec;
    this.name = origin.name;
    this.uid = origin.uid;
    this.ip = origin.ip;
    this.node = origin.node;
    this.revision = origin.revision;
    this.ordinal = origin.ordinal;
    this.createdMs = origin.createdMs;
    const shared = { namespace: this.namespace, node: null, bornMs: this.createdMs };
    this.requests = this.spec.containers.map((container) => ({
      container,
      // A millicore held for a millisecond is 1,000 core-ns.
      cpu: new Source({
        ...shared,
        meter: 'cpu_request',
        level: BigInt(container.requestMillicores) * 1_000n,
      }),
      memory: new Source({ ...shared, meter: 'memory_request', level: BigInt(container.requestBytes) }),
    }));
  }

  get namespace(): string {
    return this.spec.namespace;
  }

  /** The kind and name of what owns it, for a Deployment the ReplicaSet of its revision. */
  get owner(): { readonly kind: string; readonly name: string } {
    const { kind, name } = this.spec;
    if (kind === 'Deployment') return { kind: 'ReplicaSet', name: `${name}-${this.revision}` };
    return { kind, name: kind === 'Job' ? `${name}-${this.revision}` : name };
  }

  get claimNames(): readonly string[] {
    return this.spec.claims.map((name) => name.replace('%', String(this.ordinal)));
  }
}
