/**
 * A consumer that is sent back to what the store may not have: after an unclean stop, or because the store
 * knows less than was committed. In: the positions it had committed. It reads again what lies below them
 * without committing it a second time, and says once when all of it is stored. A crash before that is one
 * more unclean stop: nothing newer than the place it was sent back to has been noted in between.
 */
import type { LogConsumer, LogPosition, LogRecord, PollOptions } from '../../core/eventlog/sample-log.ts';

interface Behind {
  next: bigint;
  readonly until: bigint;
}

export interface RereadOptions {
  /** A poll that gives nothing says that there is no more: true of a log in this process. */
  readonly isEmptyTheEnd?: boolean;
}

export class Reread implements LogConsumer {
  readonly #consumer: LogConsumer;
  readonly #caughtUp: () => Promise<void>;
  readonly #isEmptyTheEnd: boolean;
  readonly #behind = new Map<string, Behind>();
  readonly #done = Promise.withResolvers<undefined>();
  #told = false;

  constructor(consumer: LogConsumer, caughtUp: () => Promise<void>, options: RereadOptions = {}) {
    this.#consumer = consumer;
    this.#caughtUp = caughtUp;
    this.#isEmptyTheEnd = options.isEmptyTheEnd ?? true;
  }

  /** Records below the committed positions that are still to be read again. */
  get remaining(): bigint {
    return [...this.#behind.values()].reduce((sum, { next, until }) => sum + until - next, 0n);
  }

  get isCaughtUp(): boolean {
    return this.#told;
  }

  /** Resolves when everything is read again. */
  get caughtUp(): Promise<undefined> {
    return this.#done.promise;
  }

  /** Goes back to these positions, each below the committed one; partitions of before are others' to read. */
  async begin(back: readonly LogPosition[]): Promise<void> {
    const committed = new Map((await this.committed()).map((position) => [nameOf(position), position.next]));
    await this.#consumer.seek(back);
    this.#behind.clear();
    for (const position of back) {
      const until = committed.get(nameOf(position)) ?? position.next;
      this.#behind.set(nameOf(position), { next: position.next, until });
    }
    await this.#tell();
  }

  async poll(options: PollOptions): Promise<readonly LogRecord[]> {
    const records = await this.#consumer.poll(options);
    // The log has no more: what is still missing was removed from it, and everything else was committed
    // before.
    if (this.#isEmptyTheEnd && records.length === 0 && options.signal?.aborted !== true) {
      this.#behind.clear();
      await this.#tell();
    }
    return records;
  }

  async commit(positions: readonly LogPosition[]): Promise<void> {
    await this.#consumer.commit(positions.filter((position) => this.#isNew(position)));
    await this.#tell();
  }

  seek(positions: readonly LogPosition[]): Promise<void> {
    return this.#consumer.seek(positions);
  }

  waiting(): bigint {
    return this.#consumer.waiting();
  }

  committed(): Promise<readonly LogPosition[]> {
    return this.#consumer.committed();
  }

  close(): Promise<void> {
    return this.#consumer.close();
  }

  #isNew(position: LogPosition): boolean {
    const behind = this.#behind.get(nameOf(position));
    if (behind === undefined) return true;
    behind.next = position.next;
    if (position.next < behind.until) return false;
    this.#behind.delete(nameOf(position));
    return true;
  }

  async #tell(): Promise<void> {
    if (this.#told || this.#behind.size > 0) return;
    await this.#caughtUp();
    this.#told = true;
    this.#done.resolve(undefined);
  }
}

function nameOf({ topic, partition }: LogPosition): string {
  return `${topic}/${partition}`;
}
