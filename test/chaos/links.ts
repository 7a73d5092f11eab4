/** Each role's own way to the broker and to the store: what a network can do to one of them alone. */
import type { KafkaBroker } from '../support/kafka-broker.ts';
import type { StoreProcess } from '../support/store-process.ts';
import { TcpLink } from '../support/tcp-link.ts';

interface Ways {
  readonly broker: TcpLink;
  readonly store: TcpLink;
}

export class Links {
  /** By role. */
  readonly #ways: ReadonlyMap<string, Ways>;

  private constructor(ways: ReadonlyMap<string, Ways>) {
    this.#ways = ways;
  }

  static async start(roles: readonly string[]): Promise<Links> {
    const ways = new Map<string, Ways>();
    for (const role of roles) ways.set(role, { broker: await TcpLink.start(), store: await TcpLink.start() });
    return new Links(ways);
  }

  /** Of the links that lead to the broker. */
  get brokerPorts(): readonly number[] {
    return [...this.#ways.values()].map(({ broker }) => broker.port);
  }

  leadTo({ broker, store }: { readonly broker: KafkaBroker; readonly store: StoreProcess }): void {
    for (const way of this.#ways.values()) {
      way.broker.leadTo(broker.portBehind(way.broker.port));
      way.store.leadTo(Number(new URL(store.url).port));
    }
  }

  toBroker(role: string): TcpLink {
    return this.#of(role).broker;
  }

  toStore(role: string): TcpLink {
    return this.#of(role).store;
  }

  async close(): Promise<void> {
    const all = [...this.#ways.values()].flatMap(({ broker, store }) => [broker, store]);
    await Promise.all(all.map((link) => link.close()));
  }

  #of(role: string): Ways {
    const ways = this.#ways.get(role);
    if (ways === undefined) throw new Error(`${role} has no links`);
    return ways;
  }
}
