import { nextTurn, type Clock } from '../../runtime/clock.ts';
import type { FactSink } from '../../runtime/facts.ts';
import type { RetentionConfig } from './config.ts';
import type { LogFile, Partition, RecordHead } from './log-file.ts';

/** Removed in one transaction; the process does other things in between. */
const MAX_STEP_RECORDS = 64;

export interface Trimmed {
  readonly records: number;
  readonly bytes: number;
}

export interface RetentionDeps {
  readonly file: LogFile;
  readonly clock: Clock;
  readonly facts: FactSink;
}

/** Judges the oldest record of a partition, in order; the first that stays ends the step. */
type Removable = (head: RecordHead, offset: bigint) => boolean;

/**
 * Removes the oldest records of the log: consumed ones that are too old, then consumed ones beyond the size.
 * What a group has not committed is kept, up to the hard limit of the size, beyond which it is removed and
 * said to be lost. A topic that no group has ever read is not consumed. The file does not shrink: the space
 * is used again. A crash leaves whole steps.
 */
export class Retention {
  readonly #config: RetentionConfig;
  readonly #deps: RetentionDeps;

  constructor(config: RetentionConfig, deps: RetentionDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  async retain(): Promise<Trimmed> {
    const trimmed = [await this.#trimAge(), await this.#trimSize(), await this.#trimHard()].reduce(add);
    const bytesLeft = this.#bytes();
    if (trimmed.records > 0) this.#deps.facts.event('logTrimmed', { ...trimmed, bytesLeft });
    return trimmed;
  }

  async #trimAge(): Promise<Trimmed> {
    let trimmed = NOTHING;
    for (const partition of this.#partitions()) {
      const held = this.#held(partition);
      const oldestMs = this.#deps.clock.now() - this.#config.maxAgeMs;
      const removable: Removable = (head, offset) => offset < held && head.timestampMs < oldestMs;
      for (let step = this.#step(partition, removable); step.records > 0;) {
        trimmed = add(trimmed, step);
        await nextTurn();
        step = this.#step(partition, removable);
      }
    }
    return trimmed;
  }

  async #trimSize(): Promise<Trimmed> {
    const { maxBytes, minAgeMs } = this.#config;
    const trimmed = await this.#trimOldest(maxBytes, (partition) => {
      const held = this.#held(partition);
      const youngestMs = this.#deps.clock.now() - minAgeMs;
      return (head, offset) => offset < held && head.timestampMs <= youngestMs;
    });
    const bytes = this.#bytes();
    const waitingFor = [...new Set(this.#partitions().flatMap((partition) => this.#behind(partition)))];
    if (bytes > maxBytes && waitingFor.length > 0) {
      this.#deps.facts.event('logRetentionHeld', { bytes, maxBytes, waitingFor: waitingFor.join(', ') });
    }
    return trimmed;
  }

  /** What is consumed goes first, however young; what is not goes only if that was not enough. */
  async #trimHard(): Promise<Trimmed> {
    const { hardMaxBytes } = this.#config;
    const consumed = await this.#trimOldest(hardMaxBytes, (partition) => {
      const held = this.#held(partition);
      return (_, offset) => offset < held;
    });
    return add(consumed, await this.#trimOldest(hardMaxBytes, () => () => true));
  }

  /** Takes from the partition with the oldest record until the log is small enough or nothing may go. */
  async #trimOldest(maxBytes: number, rule: (partition: Partition) => Removable): Promise<Trimmed> {
    let trimmed = NOTHING;
    for (let excess = this.#bytes() - maxBytes; excess > 0; excess = this.#bytes() - maxBytes) {
      const candidates = this.#partitions()
        .map((partition) => ({ partition, head: this.#deps.file.heads(partition, 1)[0] }))
        .filter(({ partition, head }) => head !== undefined && rule(partition)(head, partition.state.start))
        .sort((a, b) => (a.head?.timestampMs ?? 0) - (b.head?.timestampMs ?? 0));
      const oldest = candidates[0];
      if (oldest === undefined) return trimmed;
      trimmed = add(trimmed, this.#step(oldest.partition, rule(oldest.partition), excess));
      await nextTurn();
    }
    return trimmed;
  }

  #step(partition: Partition, removable: Removable, excess = Infinity): Trimmed {
    const { file } = this.#deps;
    const { start, next, bytes } = partition.state;
    let step = NOTHING;
    for (const head of file.heads(partition, MAX_STEP_RECORDS)) {
      if (step.bytes >= excess || !removable(head, start + BigInt(step.records))) break;
      step = { records: step.records + 1, bytes: step.bytes + head.bytes };
    }
    if (step.records === 0) return step;
    const state = { start: start + BigInt(step.records), next, bytes: bytes - step.bytes };
    const held = this.#held(partition);
    file.transaction(() => {
      file.removeBelow(partition, state.start);
      file.saveState(partition, state);
    });
    partition.state = state;
    this.#tellLost(partition, start, held, step);
    return step;
  }

  #tellLost(partition: Partition, start: bigint, held: bigint, step: Trimmed): void {
    const lost = partition.state.start - (held > start ? held : start);
    if (lost <= 0n) return;
    const { topic, number } = partition;
    const records = Number(lost);
    this.#deps.facts.event('logRecordsLost', { topic, partition: number, records, bytes: step.bytes });
  }

  /** Offset of the first record that some group has not consumed. */
  #held(partition: Partition): bigint {
    const positions = [...this.#deps.file.positions().values()].flatMap(
      (group) => group.get(partition.id) ?? [],
    );
    if (positions.length === 0) return partition.state.start;
    return positions.reduce((least, position) => (position < least ? position : least));
  }

  /** Groups with records of this partition still to read; a partition nobody reads waits for anyone. */
  #behind(partition: Partition): readonly string[] {
    const { start, next } = partition.state;
    if (start === next) return [];
    const groups = [...this.#deps.file.positions()].flatMap(([name, group]) => {
      const position = group.get(partition.id);
      return position === undefined ? [] : [{ name, position }];
    });
    if (groups.length === 0) return [`any reader of ${partition.topic}`];
    return groups.filter(({ position }) => position < next).map(({ name }) => name);
  }

  #partitions(): readonly Partition[] {
    return [...this.#deps.file.topics().values()].flat();
  }

  #bytes(): number {
    return this.#partitions().reduce((sum, { state }) => sum + state.bytes, 0);
  }
}

const NOTHING: Trimmed = { records: 0, bytes: 0 };

function add(a: Trimmed, b: Trimmed): Trimmed {
  return { records: a.records + b.records, bytes: a.bytes + b.bytes };
}
