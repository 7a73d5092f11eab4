/**
 * What is under way, bounded: requests per cluster, so that none takes the place of the others, and bytes in
 * all, so that memory has an end. Whoever enters leaves by the function that it is given, once.
 */
export type Leave = () => void;

export interface InFlightConfig {
  readonly bytes: number;
}

export class InFlight {
  readonly #config: InFlightConfig;
  readonly #requests = new Map<string, number>();
  #bytes = 0;

  constructor(config: InFlightConfig) {
    this.#config = config;
  }

  /** Undefined: the cluster has as many requests under way as it may. */
  enterRequest(cluster: string, limit: number): Leave | undefined {
    const requests = this.#requests.get(cluster) ?? 0;
    if (requests >= limit) return undefined;
    this.#requests.set(cluster, requests + 1);
    return once(() => this.#requests.set(cluster, (this.#requests.get(cluster) ?? 0) - 1));
  }

  /** Undefined: there is no room. */
  enterBytes(bytes: number): Leave | undefined {
    if (this.#bytes + bytes > this.#config.bytes) return undefined;
    this.#bytes += bytes;
    return once(() => (this.#bytes -= bytes));
  }
}

function once(leave: () => void): Leave {
  let isIn = true;
  return () => {
    if (isIn) leave();
    isIn = false;
  };
}
