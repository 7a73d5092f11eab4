/** What the simulated cluster uses, by the names of the meters it should be billed under. */
export type TrueMeter =
  | 'cpu'
  | 'memory'
  | 'network_transmit'
  | 'network_receive'
  | 'egress'
  | 'egress_internal'
  | 'storage'
  | 'storage_used'
  | 'cpu_request'
  | 'memory_request'
  | 'http_requests';

/** A time of constant level. `sum` is level x ms of everything before `fromMs`. */
export interface Stretch {
  readonly fromMs: number;
  readonly sum: bigint;
  readonly level: bigint;
}

export interface SourceOrigin {
  readonly meter: TrueMeter;
  readonly namespace: string;
  /** Where it is measured; claims and requests are measured for the whole cluster. */
  readonly node: string | null;
  /** When it began to be used; may lie before the world's first moment, its total counts from here. */
  readonly bornMs: number;
  readonly level: bigint;
}

/**
 * One thing that is used: the CPU of a pod, the bytes of a claim, a flow. Its level is what is used per
 * millisecond, constant between known moments, so usage is an exact integral for counters and gauges
 * alike: core-ns per ms, bytes per ms, or bytes held (byte-ms per ms).
 *
 * A counter row shows `total(t)`, a gauge row shows `level`. Requests come slower than one per ms: their
 * level is per minute and `per` is 60,000, so 90 a minute for 2,000 ms make floor(180,000 / 60,000) = 3.
 */
export class Source {
  readonly meter: TrueMeter;
  readonly namespace: string;
  readonly node: string | null;
  readonly bornMs: number;
  readonly per: bigint;
  #stretch: Stretch;

  constructor(origin: SourceOrigin) {
    this.meter = origin.meter;
    this.namespace = origin.namespace;
    this.node = origin.node;
    this.bornMs = origin.bornMs;
    this.per = origin.meter === 'http_requests' ? 60_000n : 1n;
    this.#stretch = { fromMs: origin.bornMs, sum: 0n, level: origin.level };
  }

  get stretch(): Stretch {
    return this.#stretch;
  }

  get level(): bigint {
    return this.#stretch.level;
  }

  /** All that was used from birth to `t`, for a `t` in the newest stretch. */
  total(t: number): bigint {
    return totalIn(this.#stretch, this.per, t);
  }

  change(t: number, level: bigint): void {
    const { fromMs, sum, level: before } = this.#stretch;
    this.#stretch = { fromMs: t, sum: sum + before * BigInt(t - fromMs), level };
  }
}

export function totalIn(stretch: Stretch, per: bigint, t: number): bigint {
  const sum = stretch.sum + stretch.level * BigInt(t - stretch.fromMs);
  return per === 1n ? sum : sum / per;
}
