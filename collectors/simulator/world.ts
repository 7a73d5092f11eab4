import { DAY_MS } from '../../core/metering/hour.ts';
import { invariant } from '../../core/runtime/errors.ts';
import { Agenda } from './agenda.ts';
import { Claim } from './claim.ts';
import { Exporter, RESTART_MS } from './exporter.ts';
import { leavesCluster, type Flow } from './flow.ts';
import { inventory } from './inventory.ts';
import { HOUSEKEEPING_MS, Node } from './node.ts';
import { Pod } from './pod.ts';
import { PodCgroup } from './pod-cgroup.ts';
import { Random } from './random.ts';
import { type Source } from './source.ts';
import { Workload } from './workload.ts';

export interface WorldConfig {
  readonly cluster: string;
  readonly seed: string;
  readonly nodes: number;
  readonly tenants: readonly string[];
  /** The world's first moment, whole ms since the epoch. */
  readonly startMs: number;
}

/** All that true usage depends on, told as it happens. */
export interface WorldObserver {
  opened(source: Source): void;
  changed(source: Source): void;
  closed(source: Source, t: number): void;
  /** A namespace's tenant label is `tenant` from `t` on; null = there is none. */
  owned(namespace: string, tenant: string | null, t: number): void;
  /** The node's Beyla counted nothing on [stoppedMs, startedMs), and began again from 0. */
  restarted(node: string, stoppedMs: number, startedMs: number): void;
  /** One of several targets that report the source stopped doing so. */
  interrupted(source: Source, t: number): void;
}

const MIB = 1_048_576n;

/**
 * The cluster: what stands in it, and what can happen to it. Input: a seed and a first moment; output: the
 * state at any later moment. Guarantee: the state is a function of (config, t) alone: everything happens at
 * its own planned time, however often or seldom anyone looks. Nothing is stored; a crash is a new beginning,
 * and another first moment makes other pods.
 */
export class World {
  readonly config: WorldConfig;
  readonly agenda = new Agenda();
  readonly random: Random;
  readonly nodes: readonly Node[];
  readonly exporters: readonly Exporter[];
  /** Namespace -> tenant label. */
  readonly namespaces = new Map<string, string | null>();
  readonly workloads: readonly Workload[];
  readonly claims: readonly Claim[];
  readonly #observer: WorldObserver | null;
  /** Names and uids: two worlds that differ in their first moment share no pod. */
  readonly #identity: Random;
  #nextIp = 10;
  #now: number;

  constructor(config: WorldConfig, observer: WorldObserver | null = null) {
    const { cluster, seed, startMs, tenants } = config;
    this.config = config;
    this.#observer = observer;
    this.#now = startMs;
    this.random = new Random(seed);
    this.#identity = new Random(`${seed}@${startMs}`);
    this.nodes = Array.from(
      { length: config.nodes },
      (_, ordinal) => new Node(`${cluster}-node-${ordinal}`, ordinal, startMs, this.random),
    );
    this.exporters = this.nodes.map((node) => new Exporter(node, cluster, startMs - 4 * DAY_MS));
    const declared = inventory(tenants, config.nodes);
    for (const { name, tenant } of declared.namespaces) this.own(name, tenant, startMs);
    this.claims = declared.claims.map((spec) => {
      const claim = new Claim(spec, `pvc-${this.#identity.uuid()}`, startMs - 30 * DAY_MS);
      observer?.opened(claim.size);
      return claim;
    });
    this.workloads = declared.workloads.map((spec) => new Workload(spec, this.#identity));
    for (const workload of this.workloads) this.#populate(workload);
    for (const node of this.nodes) this.#keepHouse(node);
  }

  get now(): number {
    return this.#now;
  }

  /** Lets everything happen up to and including `t`. A time in the past changes nothing. */
  advance(t: number): void {
    this.agenda.runUntil(t);
    this.#now = Math.max(this.#now, t);
  }

  *pods(): Iterable<Pod> {
    for (const { pods } of this.workloads) yield* pods;
  }

  exporterOf(node: Node): Exporter {
    const exporter = this.exporters[node.ordinal];
    invariant(exporter?.node === node, 'every node has its exporter');
    return exporter;
  }

  // Workloads and pods

  scale(workload: Workload, replicas: number, t: number): void {
    workload.replicas = replicas;
    this.#reconcile(workload, t);
  }

  /** A pod is deleted; its controller notices half a second later and makes another. */
  replace(workload: Workload, pod: Pod, t: number): void {
    this.#delete(workload, pod, t);
    this.agenda.at(t + 500, (later) => this.#reconcile(workload, later));
  }

  /** One run of a Job: it completes, stays for a while as Succeeded, and is cleaned up. */
  run(job: Workload, t: number): void {
    job.revision = String(Math.floor(t / 60_000));
    const pod = this.#create(job, t);
    this.agenda.at(t + job.spec.runMs, (done) => {
      this.#stop(pod, done);
      pod.phase = 'Succeeded';
    });
    this.agenda.at(t + job.spec.runMs + job.spec.keepMs, (later) => this.#delete(job, pod, later));
  }

  restartContainer(cgroup: PodCgroup, pod: Pod, t: number): void {
    const container = this.random.pick(cgroup.containers);
    if (container === undefined) return;
    cgroup.restart(container.spec.name, this.#identity.hex(64), t);
    pod.restarts += 1;
  }

  changeLoad(cgroup: PodCgroup, t: number): void {
    const levels = cgroup.levels(this.random.int(20, 180), this.random.int(60, 130));
    for (const [source, level] of levels) this.#change(source, t, level);
  }

  // Claims, namespaces, exporters

  resize(claim: Claim, bytes: bigint, t: number): void {
    this.#change(claim.size, t, claim.size.level + bytes);
  }

  /** Writes to a claim; one that is nine tenths full is tidied up instead. */
  fill(claim: Claim, t: number): void {
    const written = BigInt(this.random.int(1, 64)) * MIB;
    const full = (claim.usedBytes + written) * 10n > claim.size.level * 9n;
    claim.usedBytes = full ? claim.size.level / 3n : claim.usedBytes + written;
    if (claim.used !== null) this.#change(claim.used, t, claim.usedBytes);
  }

  own(namespace: string, tenant: string | null, t: number): void {
    this.namespaces.set(namespace, tenant);
    this.#observer?.owned(namespace, tenant, t);
  }

  restartExporter(exporter: Exporter, t: number): void {
    exporter.stop();
    this.#observer?.restarted(exporter.node.name, t, t + RESTART_MS);
    this.agenda.at(t + RESTART_MS, (up) => exporter.start(up));
  }

  // What the above is made of

  /** Pods that are older than the world's first moment, some by minutes, some by days. */
  #populate(workload: Workload): void {
    while (workload.pods.size < workload.replicas) {
      const createdMs = this.config.startMs - this.random.int(600_000, 3 * DAY_MS);
      this.#start(this.#create(workload, createdMs), createdMs + 1_500);
    }
  }

  #keepHouse(node: Node): void {
    const keep = (t: number): void => {
      this.exporterOf(node).forgetIdle(t);
      // A world that is told to an observer shows no pages, so nobody needs to read its cgroups.
      if (this.#observer !== null) return;
      const running = [...this.pods()].filter((pod) => pod.node === node).flatMap((pod) => pod.cgroup ?? []);
      const readings = running.map((cgroup) => cgroup.read(t));
      node.housekeep(t, readings);
    };
    const last = node.housekeepingBefore(this.config.startMs);
    keep(last);
    this.agenda.every(last + HOUSEKEEPING_MS, HOUSEKEEPING_MS, keep);
  }

  #reconcile(workload: Workload, t: number): void {
    while (workload.pods.size < workload.replicas) this.#create(workload, t);
    for (const pod of [...workload.pods].slice(workload.replicas)) this.#delete(workload, pod, t);
  }

  #create(workload: Workload, t: number): Pod {
    const { spec, revision } = workload;
    const ordinal = workload.freeOrdinal();
    const node = spec.kind === 'DaemonSet' ? this.nodes[ordinal] : this.random.pick(this.nodes);
    invariant(node !== undefined, 'a pod is placed on a node');
    this.#nextIp = (this.#nextIp + 1) % 250;
    const pod = new Pod({
      spec,
      revision,
      ordinal,
      node,
      name: workload.podName(ordinal, this.#identity),
      uid: this.#identity.uuid(),
      ip: spec.hostNetwork ? node.ip : `10.42.${node.ordinal}.${this.#nextIp + 2}`,
      createdMs: t,
    });
    workload.pods.add(pod);
    for (const { cpu, memory } of pod.requests) this.#open(cpu, memory);
    if (t >= this.config.startMs) {
      this.agenda.at(t + this.random.int(800, 2_500), (later) => this.#start(pod, later));
    }
    return pod;
  }

  #start(pod: Pod, t: number): void {
    if (pod.deleted) return;
    const neighbours = [...this.pods()].filter(
      (other) => other !== pod && other.namespace === pod.namespace && other.cgroup !== null,
    );
    const cgroup = new PodCgroup(pod, t, this.random, neighbours);
    pod.cgroup = cgroup;
    pod.phase = 'Running';
    this.#open(...cgroup.sources());
    const exporter = this.exporterOf(pod.node);
    for (const { source, labels } of cgroup.routes) exporter.begin('requests', source, labels);
    for (const flow of cgroup.flows) this.#report(pod, flow);
    for (const claim of this.#claimsOf(pod)) this.#mount(claim, pod, t);
  }

  /**
   * Every Beyla that sees a flow reports it: the sender's, the receiver's, and that of the egress gateway.
   */
  #report(pod: Pod, { source, labels, receiver, destination }: Flow): void {
    const own = this.exporterOf(pod.node);
    own.begin('flow', source, labels);
    // The same bytes once more under the Service that the pod stands behind.
    if (pod.spec.kind === 'StatefulSet') own.begin('flow', source, { ...labels, k8s_src_type: 'Service' });
    const other = leavesCluster(destination) ? this.nodes.at(-1) : receiver;
    if (other && other !== pod.node) this.exporterOf(other).begin('flow', source, labels);
  }

  #mount(claim: Claim, pod: Pod, t: number): void {
    claim.mount(pod);
    if (claim.used !== null) return;
    claim.used = claim.newlyUsed(t);
    this.#open(claim.used);
  }

  #unmount(claim: Claim, pod: Pod, t: number): void {
    if (!claim.isMountedBy(pod) || claim.used === null) return;
    claim.unmount(pod);
    if (!claim.mounted) {
      this.#close(claim.used, t);
      claim.used = null;
    } else if (!claim.isMountedOn(pod.node)) {
      this.#observer?.interrupted(claim.used, t);
    }
  }

  /** Nothing of the pod runs or is requested any more. */
  #stop(pod: Pod, t: number): void {
    for (const { cpu, memory } of pod.requests) for (const source of [cpu, memory]) this.#close(source, t);
    for (const claim of this.#claimsOf(pod)) this.#unmount(claim, pod, t);
    if (pod.cgroup === null) return;
    pod.node.keep(pod.cgroup.cpu.total(t));
    for (const source of pod.cgroup.sources()) this.#close(source, t);
    const reported = [...pod.cgroup.flows, ...pod.cgroup.routes].map(({ source }) => source);
    if (reported.length > 0) for (const exporter of this.exporters) exporter.end(reported, t);
    pod.cgroup = null;
  }

  #delete(workload: Workload, pod: Pod, t: number): void {
    if (pod.deleted) return;
    if (pod.phase !== 'Succeeded') this.#stop(pod, t);
    pod.deleted = true;
    workload.pods.delete(pod);
  }

  #claimsOf(pod: Pod): Claim[] {
    const names = pod.claimNames;
    return this.claims.filter(({ spec }) => spec.namespace === pod.namespace && names.includes(spec.name));
  }

  #open(...sources: Source[]): void {
    for (const source of sources) this.#observer?.opened(source);
  }

  #change(source: Source, t: number, level: bigint): void {
    source.change(t, level);
    this.#observer?.changed(source);
  }

  #close(source: Source, t: number): void {
    source.change(t, 0n);
    this.#observer?.closed(source, t);
  }
}
