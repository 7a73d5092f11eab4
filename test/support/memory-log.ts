import type {
  LogAppend,
  LogConsumer,
  LogPosition,
  LogRecord,
  PollOptions,
  SampleLog,
  TopicPartition,
} from '../../core/eventlog/sample-log.ts';
import { type Clock, SystemClock } from '../../core/runtime/clock.ts';
import { invariant } from '../../core/runtime/errors.ts';

export interface MemoryLogOptions {
  readonly partitions?: number;
  readonly clock?: Clock;
  /** Runs before an append lands; what it throws is what the appender sees, and nothing lands. */
  readonly beforeAppend?: (records: readonly LogAppend[]) => Promise<void> | void;
}

/** The port in memory: its whole contract but durability. One consumer of a group owns every partition. */
export class MemoryLog implements SampleLog {
  private readonly partitions: number;
  private readonly clock: Clock;
  private readonly beforeAppend: NonNullable<MemoryLogOptions['beforeAppend']>;
  private readonly lists = new Map<string, LogRecord[]>();
  private readonly committed = new Map<string, Map<string, LogPosition>>();
  private waiting = new Set<() => void>();

  constructor(options: MemoryLogOptions = {}) {
    this.partitions = options.partitions ?? 1;
    this.clock = options.clock ?? new SystemClock();
    this.beforeAppend = options.beforeAppend ?? (() => undefined);
  }

  /** Every record of a topic, partition by partition. */
  records(topic: string): readonly LogRecord[] {
    return this.partitionsOf([topic]).flatMap((one) => this.list(one));
  }

  async append(records: readonly LogAppend[]): Promise<void> {
    await this.beforeAppend(records);
    for (const { topic, partition, timestampMs, key, headers, value } of records) {
      const at = { topic, partition: partition ?? this.partitionOf(key) };
      const list = this.list(at);
      list.push({ ...at, offset: BigInt(list.length), timestampMs, key, headers: headers ?? {}, value });
    }
    for (const wake of this.waiting) wake();
  }

  async consumer(options: {
    readonly group: string;
    readonly topics: readonly string[];
  }): Promise<LogConsumer> {
    const committed = this.committed.get(options.group) ?? new Map<string, LogPosition>();
    this.committed.set(options.group, committed);
    const partitions = this.partitionsOf(options.topics);
    const starts = () => partitions.map((one) => committed.get(nameOf(one)) ?? { ...one, next: 0n });
    const positions = new Map(starts().map((position) => [nameOf(position), position]));
    return {
      poll: (poll) => this.poll(positions, poll),
      commit: async (wanted) => {
        for (const position of wanted) {
          const before = committed.get(nameOf(position))?.next ?? 0n;
          invariant(position.next >= before, 'a commit never goes back');
          committed.set(nameOf(position), position);
        }
      },
      seek: async (wanted) => wanted.forEach((position) => positions.set(nameOf(position), position)),
      waiting: () =>
        [...positions.values()].reduce(
          (sum, position) => sum + BigInt(this.list(position).length) - position.next,
          0n,
        ),
      committed: async () => starts(),
      close: async () => undefined,
    };
  }

  async endPositions(topics: readonly string[]): Promise<readonly LogPosition[]> {
    return this.partitionsOf(topics).map((one) => ({ ...one, next: BigInt(this.list(one).length) }));
  }

  async close(): Promise<void> {
    for (const wake of this.waiting) wake();
  }

  private async poll(
    positions: Map<string, LogPosition>,
    options: PollOptions,
  ): Promise<readonly LogRecord[]> {
    const now = this.take(positions, options.maxBytes);
    if (now.length > 0 || options.signal?.aborted) return now;
    await this.nextAppend(options);
    return this.take(positions, options.maxBytes);
  }

  private take(positions: Map<string, LogPosition>, maxBytes: number): readonly LogRecord[] {
    const taken: LogRecord[] = [];
    let bytes = 0;
    for (const [name, position] of positions) {
      for (const record of this.list(position).slice(Number(position.next))) {
        if (taken.length > 0 && bytes + record.value.length > maxBytes) return taken;
        bytes += record.value.length;
        taken.push(record);
        positions.set(name, { ...position, next: record.offset + 1n });
      }
    }
    return taken;
  }

  private async nextAppend(options: PollOptions): Promise<void> {
    const done = new AbortController();
    const wake = () => done.abort();
    this.waiting.add(wake);
    options.signal?.addEventListener('abort', wake);
    await this.clock.sleep(options.waitMs, done.signal);
    options.signal?.removeEventListener('abort', wake);
    this.waiting.delete(wake);
  }

  private partitionOf(key: Uint8Array | null): number {
    return [...(key ?? [])].reduce((sum, byte) => (sum * 31 + byte) % this.partitions, 0);
  }

  private partitionsOf(topics: readonly string[]): readonly TopicPartition[] {
    return topics.flatMap((topic) =>
      Array.from({ length: this.partitions }, (_, partition) => ({ topic, partition })),
    );
  }

  private list(at: TopicPartition): LogRecord[] {
    const known = this.lists.get(nameOf(at)) ?? [];
    this.lists.set(nameOf(at), known);
    return known;
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
