import { DAY_MS } from '../../core/metering/hour.ts';
import { type Random } from './random.ts';
import { Source } from './source.ts';

/** cAdvisor reads a node's cgroups this often; a scrape shows what the last reading saw, with its time. */
export const HOUSEKEEPING_MS = 10_000;

const SYSTEM_LEVEL = { cpu: 120_000n, memory: 1_610_612_736n, transmit: 900n, receive: 1_400n } as const;

/** CPU (core-ns) and memory (bytes) of one cgroup. */
interface CgroupUse {
  readonly cpu: bigint;
  readonly memory: bigint;
}

/** What one housekeeping round saw. Pods that stopped keep counting in the CPU of `pods`. */
export interface NodeReading {
  readonly t: number;
  readonly system: CgroupUse;
  readonly pods: CgroupUse;
  readonly uplink: { readonly transmit: bigint; readonly receive: bigint };
}

/** A machine of the cluster: what it uses beside its pods, and the rhythm its cgroups are read in. */
export class Node {
  readonly name: string;
  readonly ip: string;
  readonly ordinal: number;
  readonly bootMs: number;
  /** Housekeeping happens at every t with t mod HOUSEKEEPING_MS = this. */
  readonly phaseMs: number;
  reading: NodeReading;
  readonly #cpu: Source;
  readonly #transmit: Source;
  readonly #receive: Source;
  #stoppedPodsCpu = 0n;

  constructor(name: string, ordinal: number, startMs: number, random: Random) {
    this.name = name;
    this.ordinal = ordinal;
    this.ip = `10.9.0.${11 + ordinal}`;
    this.bootMs = startMs - random.int(20, 40) * DAY_MS;
    this.phaseMs = random.int(0, HOUSEKEEPING_MS - 1);
    const shared = { namespace: '', node: name, bornMs: this.bootMs };
    this.#cpu = new Source({ ...shared, meter: 'cpu', level: SYSTEM_LEVEL.cpu });
    this.#transmit = new Source({ ...shared, meter: 'network_transmit', level: SYSTEM_LEVEL.transmit });
    this.#receive = new Source({ ...shared, meter: 'network_receive', level: SYSTEM_LEVEL.receive });
    this.reading = this.#read(this.housekeepingBefore(startMs), []);
  }

  /** The last time at or before `t` at which housekeeping runs. */
  housekeepingBefore(t: number): number {
    return Math.floor((t - this.phaseMs) / HOUSEKEEPING_MS) * HOUSEKEEPING_MS + this.phaseMs;
  }

  housekeep(t: number, running: readonly CgroupUse[]): void {
    this.reading = this.#read(t, running);
  }

  /** A pod's cgroup is gone at once; the counters of its parents keep what it used. */
  keep(cpu: bigint): void {
    this.#stoppedPodsCpu += cpu;
  }

  #read(t: number, running: readonly CgroupUse[]): NodeReading {
    const pods = running.reduce(
      (sum, { cpu, memory }) => ({ cpu: sum.cpu + cpu, memory: sum.memory + memory }),
      { cpu: this.#stoppedPodsCpu, memory: 0n },
    );
    return {
      t,
      system: { cpu: this.#cpu.total(t), memory: SYSTEM_LEVEL.memory },
      pods,
      uplink: { transmit: this.#transmit.total(t), receive: this.#receive.total(t) },
    };
  }
}
