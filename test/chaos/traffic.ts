/**
 * What a cluster's senders push, from a seed: one request per node and scrape, in order. And what usage that
 * is, by adding up on the way, without any of the program's code: scrapes fall on the ends of hours, so no
 * interval lies across one.
 *
 * Every pod has a CPU, a memory, a bytes sent and a bytes received series. Counters start again from nothing now and
 * then (their process did), and every tenth pod is born while metering goes on.
 */
import { snappy, type Labels } from '../support/remote-write.ts';
import { WriteTemplate } from './write-template.ts';

export interface TrafficPlan {
  readonly cluster: string;
  readonly seed: number;
  readonly nodes: number;
  readonly podsPerNode: number;
  /** Of the first scrape; on the step. */
  readonly startMs: number;
  /** Between scrapes; hours are whole multiples of it. */
  readonly stepMs: number;
}

export interface WriteRequest {
  readonly body: Buffer;
  readonly timeMs: number;
  /** Metered samples; what else is in it says how they are to be read. */
  readonly samples: number;
}

const HOUR_MS = 3_600_000;
const NAMESPACES = 40;
const TENANTS = 8;
const BORN_LATER = 10;
/** Pods that are born later are so within this many scrapes. */
const BIRTHS_WITHIN = 60;
/** One in so many samples of a counter begins again. */
const RESETS = 499;
/** CPU seconds in these parts are whole nanoseconds, and exact as doubles. */
const CPU_PARTS = 64;
const NS_PER_CPU_PART = 1_000_000_000 / CPU_PARTS;
const COUNTERS = 3;
const METERS = ['cpu', 'network_transmit', 'network_receive', 'memory'] as const;
export const SERIES_PER_POD = METERS.length;
const METRICS = [
  'container_cpu_usage_seconds_total',
  'container_network_transmit_bytes_total',
  'container_network_receive_bytes_total',
  'container_memory_working_set_bytes',
] as const;

export class Traffic {
  readonly plan: TrafficPlan;
  readonly nodes: readonly NodeTraffic[];
  readonly owners: Owners;
  readonly #sums = new Sums();

  constructor(plan: TrafficPlan) {
    if (HOUR_MS % plan.stepMs !== 0 || plan.startMs % plan.stepMs !== 0)
      throw new RangeError('scrapes have to fall on the ends of hours');
    this.plan = plan;
    this.nodes = Array.from({ length: plan.nodes }, (_, index) => new NodeTraffic(plan, index, this.#sums));
    this.owners = new Owners(plan);
  }

  get seriesCount(): number {
    return this.plan.nodes * this.plan.podsPerNode * SERIES_PER_POD;
  }

  /** Samples of all requests that were made so far. */
  get samples(): number {
    return this.nodes.reduce((sum, node) => sum + node.samples, 0);
  }

  /** Usage of everything that was made so far, as `metering replay` prints it, sorted. */
  usage(): readonly string[] {
    return this.#sums.lines(this.plan);
  }
}

/** Which tenant each namespace belongs to, as kube-state-metrics says it. */
export class Owners {
  readonly #plan: TrafficPlan;
  readonly #template: WriteTemplate;
  #scrapes = 0;

  constructor(plan: TrafficPlan) {
    this.#plan = plan;
    const target = { cluster: plan.cluster, job: 'kube-state-metrics', instance: 'kube-state-metrics' };
    const labels = Array.from({ length: NAMESPACES }, (_, number) => ({
      ...{ __name__: 'kube_namespace_labels', ...target },
      ...{ namespace: namespaceOf(number), label_gh0stcloud_io_tenant: tenantOf(number) },
    }));
    this.#template = new WriteTemplate([...labels, { __name__: 'up', ...target }]);
  }

  next(): WriteRequest {
    const timeMs = this.#plan.startMs + this.#scrapes++ * this.#plan.stepMs;
    const values = Array.from({ length: NAMESPACES + 1 }, () => 1);
    return { body: snappy(this.#template.filled(timeMs, values)), timeMs, samples: 0 };
  }
}

/** A node's kubelet: its requests one after the other. */
export class NodeTraffic {
  samples = 0;
  readonly #plan: TrafficPlan;
  readonly #index: number;
  readonly #sums: Sums;
  readonly #pods: readonly Pod[];
  #template: WriteTemplate | undefined;
  #alive: readonly Pod[] = [];
  #scrapes = 0;

  constructor(plan: TrafficPlan, index: number, sums: Sums) {
    this.#plan = plan;
    this.#index = index;
    this.#sums = sums;
    this.#pods = Array.from(
      { length: plan.podsPerNode },
      (_, i) => new Pod(plan.seed, index * plan.podsPerNode + i),
    );
  }

  /** When the next one is scraped. */
  get dueMs(): number {
    return this.#plan.startMs + this.#scrapes * this.#plan.stepMs;
  }

  next(): WriteRequest {
    const timeMs = this.dueMs;
    const scrape = this.#scrapes++;
    const alive = this.#pods.filter((pod) => pod.bornAt <= scrape);
    if (this.#template === undefined || alive.length > this.#alive.length) {
      this.#template = new WriteTemplate([
        ...alive.flatMap((pod) => this.#labelsOf(pod)),
        { __name__: 'up', ...this.#target },
      ]);
    }
    this.#alive = alive;
    const values = alive.flatMap((pod) => pod.scraped(scrape, this.#sums.at(timeMs - 1, pod.number)));
    const samples = values.length;
    this.samples += samples;
    return { body: snappy(this.#template.filled(timeMs, [...values, 1])), timeMs, samples };
  }

  get #target(): Labels {
    const { cluster } = this.#plan;
    return { cluster, job: 'kubelet', instance: `node-${this.#index}`, node: `node-${this.#index}` };
  }

  #labelsOf({ number }: Pod): Labels[] {
    const uid = number.toString(16).padStart(32, '0');
    const id = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid}.slice`;
    const pod = `workload-${number % 17}-${uid.slice(-10)}`;
    const of = { ...this.#target, id, namespace: namespaceOf(number), pod };
    return METRICS.map((__name__) => {
      if (__name__.includes('network')) return { __name__, ...of, interface: 'eth0' };
      return __name__.includes('cpu') ? { __name__, ...of, cpu: 'total' } : { __name__, ...of };
    });
  }
}

class Pod {
  readonly number: number;
  /** Number of its first scrape. */
  readonly bornAt: number;
  readonly #seed: number;
  readonly #counters = [0, 0, 0];
  #memory = 0;

  constructor(seed: number, number: number) {
    this.#seed = seed;
    this.number = number;
    const isLater = number % BORN_LATER === BORN_LATER - 1;
    this.bornAt = isLater ? 1 + (mixed(seed, number) % BIRTHS_WITHIN) : 0;
  }

  /** Its values in this scrape; what they add to usage goes into the sums of the interval that ends with it. */
  scraped(scrape: number, sums: Float64Array): number[] {
    for (let counter = 0; counter < COUNTERS; counter++) {
      const chance = mixed(this.#seed ^ (this.number * COUNTERS + counter), scrape);
      // Of a CPU: up to 8 parts of 64 in a scrape.
      const grown = counter === 0 ? chance % 8 : chance % 65_536;
      const before = this.#counters[counter] ?? 0;
      const isReset = (chance >>> 8) % RESETS === 0 && grown < before;
      this.#counters[counter] = isReset ? grown : before + grown;
      // Metering began with the first scrape: what stood there then is nobody's.
      if (scrape > 0) sums[counter] = (sums[counter] ?? 0) + grown;
    }
    // A gauge counts from its sample on, so what is added is what it held until now.
    if (scrape > this.bornAt) sums[COUNTERS] = (sums[COUNTERS] ?? 0) + this.#memory;
    this.#memory = 1_000_000 + (mixed(this.#seed ^ -this.number, scrape) % 100_000_000);
    const [cpu = 0, sent = 0, received = 0] = this.#counters;
    return [cpu / CPU_PARTS, sent, received, this.#memory];
  }
}

/** By hour and namespace, what its pods grew by: CPU parts, bytes sent and received, memory as it was held. */
class Sums {
  readonly #rows = new Map<string, Float64Array>();

  at(timeMs: number, pod: number): Float64Array {
    const key = `${Math.floor(timeMs / HOUR_MS)},${pod % NAMESPACES}`;
    let row = this.#rows.get(key);
    if (row === undefined) this.#rows.set(key, (row = new Float64Array(METERS.length)));
    return row;
  }

  lines({ cluster, stepMs }: TrafficPlan): readonly string[] {
    const scale = [NS_PER_CPU_PART, 1, 1, stepMs];
    const lines = [...this.#rows].flatMap(([key, row]) => {
      const [hour = 0, number = 0] = key.split(',').map(Number);
      const start = new Date(hour * HOUR_MS).toISOString().replace('.000Z', 'Z');
      return METERS.flatMap((meter, index) => {
        const quantity = BigInt(row[index] ?? 0) * BigInt(scale[index] ?? 0);
        const columns = [start, tenantOf(number), cluster, namespaceOf(number), meter, quantity];
        return quantity === 0n ? [] : [columns.join()];
      });
    });
    return lines.sort();
  }
}

function namespaceOf(number: number): string {
  return `team-${number % NAMESPACES}`;
}

function tenantOf(number: number): string {
  return `tenant-${(number % NAMESPACES) % TENANTS}`;
}

/** 32 bits of two numbers, spread evenly. */
function mixed(a: number, b: number): number {
  let z = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  z = Math.imul(z ^ (z >>> 15), 0x2c1b3c6d);
  z = Math.imul(z ^ (z >>> 12), 0x297a2d39);
  return (z ^ (z >>> 15)) >>> 0;
}
