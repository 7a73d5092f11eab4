import { nextTurn, type Clock } from '../../runtime/clock.ts';
import { invariant, MeteringError } from '../../runtime/errors.ts';
import type { FactSink } from '../../runtime/facts.ts';
import { FIRST_RETRY_MS, MAX_RETRY_MS } from '../../runtime/retry.ts';
import { WakeUp } from '../wake-up.ts';
import type {
  ConsumerOptions,
  LogConsumer,
  LogPosition,
  LogRecord,
  PollOptions,
  TopicPartition,
} from '../sample-log.ts';
import type { KafkaAdmin } from './admin.ts';
import { Assignment, sourceOf, type Cursor } from './assignment.ts';
import type { KafkaClients } from './client.ts';
import type { KafkaLogConfig } from './config.ts';
import type { ConnectionWatch } from './connection-watch.ts';
import { isReassigned, translateFault } from './faults.ts';
import { FetchBuffer } from './fetch-buffer.ts';
import { GroupSession, type FetchedBatch, type SessionListener } from './group-session.ts';
import { reasonUnreadable, recordOf } from './record.ts';
import { StartingPoints } from './starting-points.ts';
import type { Topics } from './topics.ts';

/** Tries of a commit, about fifteen seconds in all. */
const COMMIT_TRIES = 8;
/** A group is left politely within this time, or by its session's end. */
const LEAVE_MS = 3_000;

export interface GroupConsumerDeps {
  readonly clients: KafkaClients;
  readonly admin: KafkaAdmin;
  readonly topics: Topics;
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly watch: ConnectionWatch;
  readonly onClose: () => void;
}

/**
 * A member of a consumer group. Input: what the brokers push, into a bounded buffer. Guarantee: polls take
 * from it in offset order by partition; while nobody polls, fetching pauses and membership goes on.
 *
 * Partitions come and go with rebalances. `joining` ends what may be committed, `joined` says what is ours
 * now, `stayed` that it is what it was; polls tell the caller before they return the first record of it. A
 * crash of the library's consumer is mended here by a new session, waiting twice as long each time; a fault
 * that no waiting mends is what poll and commit throw.
 */
export class KafkaGroupConsumer implements LogConsumer {
  readonly #config: KafkaLogConfig;
  readonly #options: ConsumerOptions;
  readonly #deps: GroupConsumerDeps;
  readonly #starting: StartingPoints;
  readonly #wakeUp: WakeUp;
  readonly #buffer = new FetchBuffer();
  readonly #closing = new AbortController();
  #session: GroupSession | undefined;
  #assignment = new Assignment([]);
  /** The assignment that the caller knows of. */
  #told: Assignment | undefined;
  #isJoined = false;
  #isPaused = false;
  #crashes = 0;
  #failure: unknown;
  #crash: unknown;
  #isMending = false;

  constructor(config: KafkaLogConfig, options: ConsumerOptions, deps: GroupConsumerDeps) {
    this.#config = config;
    this.#options = options;
    this.#deps = deps;
    this.#wakeUp = new WakeUp(deps.clock);
    this.#starting = new StartingPoints(options.group, deps);
  }

  /** Resolves when the group has given this member its partitions, if any. */
  async start(): Promise<void> {
    await this.#begin();
    while (!this.#assignment.isReady && this.#failure === undefined && !this.#isClosing())
      await this.#wakeUp.wait(MAX_RETRY_MS, this.#closing.signal);
    this.#checkUsable();
    this.#told = this.#assignment;
  }

  async poll({ maxBytes, minBytes = 0, waitMs, signal }: PollOptions): Promise<readonly LogRecord[]> {
    const { clock } = this.#deps;
    this.#checkUsable();
    const deadlineMs = clock.now() + waitMs;
    await nextTurn();
    while (signal?.aborted !== true && !this.#isClosing()) {
      this.#checkUsable();
      if (await this.#tell()) continue;
      const leftMs = deadlineMs - clock.now();
      if (leftMs <= 0 || this.#isEnough(minBytes)) {
        const records = this.#buffer.take(maxBytes);
        this.#goOn();
        if (records.length > 0 || leftMs <= 0) return records;
      }
      await this.#wakeUp.wait(leftMs, signal);
    }
    return [];
  }

  /** Nothing more is coming, or as much has come as was asked for. */
  #isEnough(bytes: number): boolean {
    return this.#isPaused || this.#buffer.bytes >= bytes || this.#unfetched() === 0n;
  }

  async commit(positions: readonly LogPosition[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#checkUsable();
      const assignment = this.#assignment;
      if (this.#told !== assignment || !this.#isJoined) {
        this.#drop(positions);
        return;
      }
      const moved = positions.filter((position) => checkedMove(assignment.cursorOf(position), position));
      if (moved.length === 0) return;
      try {
        await this.#session?.commit(moved);
        for (const position of moved) assignment.cursorOf(position).committed = position.next;
        return;
      } catch (error) {
        if (isReassigned(error)) {
          this.#drop(moved);
          return;
        }
        const fault = translateFault(error, { operation: `commit for group ${this.#options.group}` });
        const passes = fault instanceof MeteringError && fault.retryable && attempt < COMMIT_TRIES;
        if (!passes) throw fault;
        this.#deps.facts.event('logError', { operation: 'commit', error: fault });
        await this.#deps.clock.sleep(waitOf(attempt), this.#closing.signal);
      }
    }
  }

  async seek(positions: readonly LogPosition[]): Promise<void> {
    const assignment = this.#assignment;
    // The caller hears of another assignment before its first record, and can seek then.
    if (this.#told !== assignment) return;
    const targets = positions.map((position) => ({ cursor: assignment.cursorOf(position), position }));
    const starts = await this.#starting.within(positions);
    if (assignment !== this.#assignment) return;
    for (const [index, { cursor, position }] of targets.entries()) {
      cursor.next = starts[index] ?? position.next;
      if (cursor.next > cursor.reached) cursor.reached = cursor.next;
      this.#buffer.drop(sourceOf(cursor));
      this.#session?.seek({ topic: cursor.topic, partition: cursor.partition, next: cursor.next });
    }
    this.#goOn();
  }

  waiting(): bigint {
    return this.#unfetched() + BigInt(this.#buffer.count);
  }

  #unfetched(): bigint {
    const { cursors } = this.#assignment;
    return cursors.reduce((sum, { next, end }) => (end > next ? sum + end - next : sum), 0n);
  }

  async committed(): Promise<readonly LogPosition[]> {
    return this.#assignment.cursors
      .map(({ topic, partition, committed: next }) => ({ topic, partition, next }))
      .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
  }

  async close(): Promise<void> {
    if (this.#isClosing()) return;
    this.#closing.abort();
    this.#wakeUp.ring();
    const leaving = this.#session?.stop().catch(() => undefined);
    const patience = new AbortController();
    await Promise.race([leaving, this.#deps.clock.sleep(LEAVE_MS, patience.signal)]);
    patience.abort();
    this.#deps.onClose();
  }

  async #begin(): Promise<void> {
    await this.#deps.topics.check(this.#options.topics);
    if (this.#isClosing()) return;
    const { clients } = this.#deps;
    const session = new GroupSession(this.#config, this.#options, {
      clients,
      listener: this.#listener(),
    });
    this.#session = session;
    try {
      await session.start();
    } catch (error) {
      await session.stop().catch(() => undefined);
      throw this.#translated(error);
    }
    if (this.#isClosing()) await session.stop();
  }

  #listener(): SessionListener {
    return {
      joining: () => (this.#isJoined = false),
      joined: (partitions) => this.#join(partitions),
      stayed: () => (this.#isJoined = true),
      fetched: (batch) => this.#take(batch),
      ended: (error) => this.#mend(error),
    };
  }

  /** Nothing is fetched until it is known where reading begins. */
  #join(partitions: readonly TopicPartition[]): void {
    const assignment = new Assignment(partitions);
    this.#assignment = assignment;
    this.#isJoined = true;
    this.#isPaused = false;
    this.#buffer.clear();
    this.#session?.pause(partitions);
    this.#load(assignment).catch((error: unknown) => this.#fail(error));
  }

  async #load(assignment: Assignment): Promise<void> {
    const positions = await this.#starting.of(assignment.partitions, {
      isObsolete: () => assignment !== this.#assignment || this.#isClosing(),
      signal: this.#closing.signal,
    });
    if (positions === undefined || assignment !== this.#assignment) return;
    assignment.begin(positions);
    for (const { position } of positions) this.#session?.seek(position);
    this.#session?.resume(assignment.partitions);
    this.#crashes = 0;
    const { group } = this.#options;
    this.#deps.facts.event('logAssigned', { group, partitions: assignment.partitions.map(sourceOf) });
    this.#wakeUp.ring();
  }

  /** False: fetch it again, later or from elsewhere. */
  async #take(batch: FetchedBatch): Promise<boolean> {
    const assignment = this.#assignment;
    const cursor = assignment.find(batch);
    if (cursor === undefined) return false;
    if (batch.askedFor !== cursor.next && !(await this.#settle(assignment, cursor, batch))) return false;
    if (this.#buffer.bytes >= this.#config.fetch.bufferBytes) {
      this.#holdBack();
      return false;
    }
    const records = batch.messages.map((message) => recordOf(batch, message));
    // One fetch reaches over several record batches; those before the place asked for are not wanted.
    const wanted = records.filter(({ offset }) => offset >= cursor.next);
    this.#tellUnreadable(wanted);
    this.#buffer.push(sourceOf(cursor), wanted);
    cursor.next = batch.next;
    cursor.end = batch.end;
    if (cursor.next > cursor.reached) cursor.reached = cursor.next;
    if (this.#buffer.bytes >= this.#config.fetch.bufferBytes) this.#holdBack();
    this.#wakeUp.ring();
    return true;
  }

  /**
   * The library asked for another place than the one that is next here. Either records are gone (retention
   * was faster than this group, told by `within`), or there is nothing for a reader in between (markers of
   * transactions, which it skips by itself: asked again from here, it comes to the same place).
   */
  async #settle(assignment: Assignment, cursor: Cursor, { askedFor }: FetchedBatch): Promise<boolean> {
    const before = cursor.next;
    const [start = before] = await this.#starting.within([cursor]);
    // Sought elsewhere or given away meanwhile: then this batch is nobody's.
    if (assignment !== this.#assignment || cursor.next !== before) return false;
    const isAgreed = askedFor === start || (askedFor > start && cursor.disputed === askedFor);
    cursor.next = isAgreed ? askedFor : start;
    cursor.disputed = isAgreed ? undefined : askedFor;
    if (!isAgreed) this.#session?.seek({ topic: cursor.topic, partition: cursor.partition, next: start });
    return isAgreed;
  }

  #holdBack(): void {
    const { group } = this.#options;
    if (!this.#isPaused) this.#deps.facts.event('logHeldBack', { group, bytes: this.#buffer.bytes });
    this.#isPaused = true;
    this.#session?.pause(this.#assignment.partitions);
  }

  /** Fetching goes on when half of the buffer is free. */
  #goOn(): void {
    if (!this.#isPaused || this.#buffer.bytes > this.#config.fetch.bufferBytes / 2) return;
    this.#isPaused = false;
    if (this.#assignment.isReady) this.#session?.resume(this.#assignment.partitions);
  }

  /** True if there was something to tell: while the caller heard it there may have been another. */
  async #tell(): Promise<boolean> {
    const assignment = this.#assignment;
    if (this.#told === assignment || !assignment.isReady) return false;
    this.#told = assignment;
    await this.#options.onReassigned?.(assignment.starts);
    return true;
  }

  #tellUnreadable(records: readonly LogRecord[]): void {
    const counts = new Map<string, { readonly first: LogRecord; records: number }>();
    for (const record of records) {
      const reason = reasonUnreadable(record);
      if (reason === undefined) continue;
      const count = counts.get(reason);
      if (count === undefined) counts.set(reason, { first: record, records: 1 });
      else count.records++;
    }
    for (const [reason, { first, records: count }] of counts) {
      const { topic, partition, offset } = first;
      const unreadable = { topic, partition, offset, records: count, reason };
      this.#deps.facts.event('logBatchUnreadable', unreadable);
    }
  }

  /** At least once: whoever has the partitions now reads these records again. */
  #drop(positions: readonly LogPosition[]): void {
    const { group } = this.#options;
    this.#deps.facts.event('logCommitDropped', { group, partitions: positions.map(sourceOf) });
  }

  /** A crash while an earlier one is being mended is taken up by the same loop. */
  #mend(error: Error): void {
    this.#isJoined = false;
    this.#session = undefined;
    this.#crash = error;
    if (this.#isMending) return;
    this.#isMending = true;
    this.#restart().catch((failure: unknown) => this.#fail(failure));
  }

  async #restart(): Promise<void> {
    while (this.#crash !== undefined && !this.#isClosing()) {
      const fault = this.#translated(this.#crash);
      if (!(fault instanceof MeteringError) || !fault.retryable) throw fault;
      this.#deps.facts.event('logError', { operation: 'consume', error: fault });
      await this.#deps.clock.sleep(waitOf(++this.#crashes), this.#closing.signal);
      this.#crash = undefined;
      await this.#begin().catch((again: unknown) => (this.#crash = again));
    }
    // In the same step as the last look at the crash, so that none falls in between.
    this.#isMending = false;
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#wakeUp.ring();
  }

  /** A method, because it changes while others wait. */
  #isClosing(): boolean {
    return this.#closing.signal.aborted;
  }

  #checkUsable(): void {
    if (this.#isClosing()) throw new MeteringError('METER_LOG_UNAVAILABLE', 'the consumer is closed');
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  #translated(error: unknown): unknown {
    const { clients, watch } = this.#deps;
    const operation = `consume ${this.#options.topics.join(', ')} in group ${this.#options.group}`;
    const isGroupDenied = watch.takeGroupDenied();
    return translateFault(error, { operation, principal: clients.principal, isGroupDenied });
  }
}

/** True where the position is beyond what is committed. */
function checkedMove(cursor: Cursor, { next }: LogPosition): boolean {
  invariant(next >= cursor.committed, 'a committed position never goes back');
  invariant(next <= cursor.reached || next === cursor.committed, 'a committed position is within the log');
  return next > cursor.committed;
}

function waitOf(attempt: number): number {
  return Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempt - 1));
}
