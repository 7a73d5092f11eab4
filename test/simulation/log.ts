/**
 * The log of the simulation. Records of a partition come in the order of their offsets, and each comes at
 * least once: a consumer may be sent back to what it has read, be shown one partition long before another,
 * and lose what it committed. Committed positions are shared by whoever reads a partition, and never go back.
 */
import type { LogPosition, LogRecord, TopicPartition } from '../../core/eventlog/sample-log.ts';
import type { Random } from '../property/worlds/random.ts';

export interface LogFaults {
  /** How often a poll begins again with records that were read before. */
  readonly repeats: number;
  /** How often a poll leaves a partition out. */
  readonly omissions: number;
}

export class SimulatedLog {
  readonly #random: Random;
  readonly #lists = new Map<string, LogRecord[]>();
  readonly #committed = new Map<string, bigint>();
  readonly #waiting = new Set<() => void>();
  /** Partitions that nobody can read for now. */
  readonly stalled = new Set<string>();
  faults: LogFaults;

  constructor(random: Random, faults: LogFaults) {
    this.#random = random;
    this.faults = faults;
  }

  append(record: LogRecord): void {
    const name = nameOf(record);
    const list = this.#lists.get(name) ?? [];
    this.#lists.set(name, list);
    if (record.offset !== BigInt(list.length)) throw new Error(`${name} has a hole at ${record.offset}`);
    list.push(record);
    this.wake();
  }

  /** Something may be there to read. */
  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  consumer(partitions: readonly TopicPartition[]): SimulatedConsumer {
    return new SimulatedConsumer(partitions, {
      random: this.#random,
      faults: () => this.faults,
      records: (partition) =>
        this.stalled.has(nameOf(partition)) ? [] : (this.#lists.get(nameOf(partition)) ?? []),
      committed: this.#committed,
    });
  }

  /** Resolves when there is something that the consumer has not read. */
  async readable(consumer: SimulatedConsumer): Promise<void> {
    while (!consumer.hasMore) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }
}

interface ConsumerDeps {
  readonly random: Random;
  readonly faults: () => LogFaults;
  readonly records: (partition: TopicPartition) => readonly LogRecord[];
  readonly committed: Map<string, bigint>;
}

export class SimulatedConsumer {
  readonly #deps: ConsumerDeps;
  readonly #positions: Map<string, { readonly at: TopicPartition; next: number }>;

  constructor(partitions: readonly TopicPartition[], deps: ConsumerDeps) {
    this.#deps = deps;
    this.#positions = new Map(
      partitions.map((at) => [nameOf(at), { at, next: Number(deps.committed.get(nameOf(at)) ?? 0n) }]),
    );
  }

  get hasMore(): boolean {
    return this.waiting > 0;
  }

  get waiting(): number {
    const { records } = this.#deps;
    return [...this.#positions.values()].reduce((sum, { at, next }) => sum + records(at).length - next, 0);
  }

  poll(maxBytes: number): readonly LogRecord[] {
    const { random, faults, records } = this.#deps;
    const taken: LogRecord[] = [];
    let bytes = 0;
    for (const position of this.#positions.values()) {
      if (random.chance(faults().omissions)) continue;
      if (random.chance(faults().repeats)) position.next = Math.max(0, position.next - random.int(1, 5));
      for (const record of records(position.at).slice(position.next)) {
        if (taken.length > 0 && bytes + record.value.length > maxBytes) return taken;
        bytes += record.value.length;
        taken.push(record);
        position.next = Number(record.offset) + 1;
      }
    }
    return taken;
  }

  commit(positions: readonly LogPosition[]): void {
    for (const position of positions) {
      const before = this.#deps.committed.get(nameOf(position)) ?? 0n;
      if (position.next > before) this.#deps.committed.set(nameOf(position), position.next);
    }
  }
}

export function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${String(partition)}`;
}
