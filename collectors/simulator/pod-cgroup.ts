import { type Flow, podFlows } from './flow.ts';
import { type ContainerSpec } from './inventory.ts';
import { type PodIdentity } from './pod-identity.ts';
import { type Random } from './random.ts';
import { type Route, podRoutes } from './route.ts';
import { Source, type TrueMeter } from './source.ts';

const PAGE_BYTES = 4_096n;
const NS_PER_MS_OF_A_MILLICORE = 1_000n;

/** What housekeeping saw of one pod at `t`, in base units. */
export interface PodReading {
  readonly t: number;
  readonly cpu: bigint;
  readonly memory: bigint;
  readonly transmit: bigint;
  readonly receive: bigint;
}

/** A container in the pod's cgroup. A restart makes a new one, whose counters begin at 0. */
export interface Container {
  readonly spec: ContainerSpec;
  readonly id: string;
  readonly startedMs: number;
  /** The pod's CPU total when this container began. */
  readonly podCpuBefore: bigint;
}

interface Varying {
  readonly source: Source;
  /** At a load of 100 percent. */
  readonly level: bigint;
}

/**
 * A running pod: what it uses, at the levels its load asks for. Its own counters begin at 0 when it starts
 * and never go back, however often its containers are replaced.
 */
export class PodCgroup {
  readonly pod: PodIdentity;
  readonly startedMs: number;
  readonly sandboxId: string;
  readonly cpu: Source;
  readonly memory: Source;
  /** Absent where the pod sees the node's own interfaces. */
  readonly network: { readonly transmit: Source; readonly receive: Source } | null;
  readonly flows: readonly Flow[];
  readonly routes: readonly Route[];
  containers: readonly Container[];
  reading: PodReading | null = null;
  readonly #varying: readonly Varying[];

  constructor(pod: PodIdentity, startedMs: number, random: Random, neighbours: readonly PodIdentity[]) {
    this.pod = pod;
    this.startedMs = startedMs;
    this.sandboxId = random.hex(64);
    const load = BigInt(random.int(40, 160));
    this.flows = podFlows(pod, startedMs, random, neighbours);
    this.routes = podRoutes(pod, startedMs, load);
    const source = (meter: TrueMeter, level: bigint): Source =>
      new Source({ meter, namespace: pod.namespace, node: pod.node.name, bornMs: startedMs, level });
    const millicores = BigInt(pod.spec.millicores);
    this.cpu = source('cpu', (millicores * NS_PER_MS_OF_A_MILLICORE * load) / 100n);
    this.memory = source('memory', wholePages(BigInt(pod.spec.memoryBytes)));
    const sent = this.flows.reduce((sum, flow) => sum + flow.source.level, 0n);
    this.network = pod.spec.hostNetwork
      ? null
      : {
          transmit: source('network_transmit', sent + 7n),
          receive: source('network_receive', sent * 2n + 11n),
        };
    this.containers = pod.spec.containers.map((spec) => ({
      spec,
      id: random.hex(64),
      startedMs,
      podCpuBefore: 0n,
    }));
    const network = this.network === null ? [] : [this.network.transmit, this.network.receive];
    this.#varying = [
      { source: this.cpu, level: millicores * NS_PER_MS_OF_A_MILLICORE },
      ...[...network, ...this.flows.map((flow) => flow.source)].map((each) => ({
        source: each,
        level: each.level,
      })),
      ...this.routes.map((route) => ({ source: route.source, level: route.perMinute })),
    ];
  }

  /** Everything that is truly used here. */
  *sources(): Iterable<Source> {
    yield this.cpu;
    yield this.memory;
    if (this.network !== null) yield* [this.network.transmit, this.network.receive];
    for (const flow of this.flows) yield flow.source;
    for (const route of this.routes) yield route.source;
  }

  /** New levels at a load (in percent); memory follows its own, because it is rarely given back. */
  *levels(loadPercent: number, memoryPercent: number): Iterable<readonly [Source, bigint]> {
    for (const { source, level } of this.#varying) yield [source, (level * BigInt(loadPercent)) / 100n];
    yield [this.memory, wholePages((BigInt(this.pod.spec.memoryBytes) * BigInt(memoryPercent)) / 100n)];
  }

  read(t: number): PodReading {
    const transmit = this.network?.transmit.total(t) ?? 0n;
    const receive = this.network?.receive.total(t) ?? 0n;
    this.reading = { t, cpu: this.cpu.total(t), memory: this.memory.level, transmit, receive };
    return this.reading;
  }

  /** The container is replaced by a fresh one in the same pod. */
  restart(name: string, id: string, t: number): void {
    this.containers = this.containers.map((container) =>
      container.spec.name === name
        ? { spec: container.spec, id, startedMs: t, podCpuBefore: this.cpu.total(t) }
        : container,
    );
  }
}

function wholePages(bytes: bigint): bigint {
  return bytes - (bytes % PAGE_BYTES);
}
