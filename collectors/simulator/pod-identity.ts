import { type WorkloadSpec } from './inventory.ts';
import { type Node } from './node.ts';

/**
 * What never changes about a pod. A recreated pod of a StatefulSet has the name of the old one, not its uid.
 */
export interface PodIdentity {
  readonly spec: WorkloadSpec;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly ip: string;
  readonly node: Node;
}
