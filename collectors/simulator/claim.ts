import { type ClaimSpec } from './inventory.ts';
import { type Node } from './node.ts';
import { type PodIdentity } from './pod-identity.ts';
import { Source } from './source.ts';

/** A PersistentVolumeClaim: provisioned for good, used while any pod has it mounted. */
export class Claim {
  readonly spec: ClaimSpec;
  readonly volume: string;
  /** The bytes it asks for. */
  readonly size: Source;
  /** The bytes on it as a kubelet sees them; null while nobody has it mounted. */
  used: Source | null = null;
  /** The bytes on it, mounted or not. */
  usedBytes: bigint;
  readonly #mounts = new Map<PodIdentity, Node>();

  constructor(spec: ClaimSpec, volume: string, createdMs: number) {
    const { namespace } = spec;
    this.spec = spec;
    this.volume = volume;
    const level = BigInt(spec.bytes);
    this.size = new Source({ meter: 'storage', namespace, node: null, bornMs: createdMs, level });
    this.usedBytes = level / 5n;
  }

  /** A first mount makes a kubelet see it again. */
  newlyUsed(t: number): Source {
    const { namespace } = this.spec;
    return new Source({ meter: 'storage_used', namespace, node: null, bornMs: t, level: this.usedBytes });
  }

  get mounted(): boolean {
    return this.#mounts.size > 0;
  }

  isMountedOn(node: Node): boolean {
    for (const each of this.#mounts.values()) if (each === node) return true;
    return false;
  }

  isMountedBy(pod: PodIdentity): boolean {
    return this.#mounts.has(pod);
  }

  mount(pod: PodIdentity): void {
    this.#mounts.set(pod, pod.node);
  }

  unmount(pod: PodIdentity): void {
    this.#mounts.delete(pod);
  }
}
