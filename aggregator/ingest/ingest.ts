/**
 * Log -> samples. In: a consumer's records. Out: everything they say, in the store, journalled; then their
 * offsets are committed. A committed offset implies durable samples.
 *
 * A crash anywhere means that records come again; all tables are sets, so nothing counts twice. A store that
 * is away is waited for, with the same batch: what was read is never dropped. A record that cannot be read is
 * put in quarantine and passed over; it never stops its partition.
 */
import type { LogConsumer, LogPosition, LogRecord } from '../../core/eventlog/sample-log.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { retried } from '../../core/runtime/retry.ts';
import { countErasures, readErasures } from '../ledger/erasure/decision.ts';
import { EVERYTHING_KEPT, KeptHours } from '../ledger/erasure/kept-hours.ts';
import { activeHolds } from '../ledger/quiet.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { BatchWriter } from './batch-writer.ts';
import type { Batch } from './batch.ts';
import { CatchUp } from './catch-up.ts';
import { Effects } from './effects.ts';
import { RecordReader } from './record-reader.ts';

export interface IngestConfig {
  readonly settings: MeteringSettings;
  /** The cluster a topic belongs to; undefined: the records' own label decides. */
  readonly clusterOfTopic: (topic: string) => string | undefined;
  /** Bytes of records read into one batch. */
  readonly maxBatchBytes: number;
  /** How long the log is waited for before an empty poll returns. */
  readonly pollMs: number;
  /**
   * From one poll to the next where the first has not filled a batch: a few large inserts cost the store much
   * less than many small ones. Nothing is waited for while there is a backlog.
   */
  readonly restMs?: number;
}

/** How often a held ingest looks whether it may go on. */
const HELD_MS = 100;

export class Ingest {
  readonly #config: IngestConfig;
  readonly #store: UsageStore;
  readonly #clock: Clock;
  readonly #facts: FactSink;
  readonly #reader: RecordReader;
  readonly #effects: Effects;
  readonly #writer: BatchWriter;
  readonly #catchUp = new CatchUp();
  #kept = EVERYTHING_KEPT;
  #erasures = 0;
  #hasBacklog = false;

  constructor(config: IngestConfig, deps: { store: UsageStore; clock: Clock; facts: FactSink }) {
    this.#config = config;
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#facts = deps.facts;
    this.#reader = new RecordReader({
      ...config,
      frozenBefore: (cluster, namespace) => this.#kept.frozenBefore(cluster, namespace),
    });
    this.#effects = new Effects(deps.store, config.settings.latenessMs);
    this.#writer = new BatchWriter(deps.store, this.#effects);
  }

  /** As of the newest batch, there is a backlog in the log or at the senders. */
  get isBehind(): boolean {
    return this.#hasBacklog || this.#catchUp.isUnderWay;
  }

  /** Store what these records say, journal row included. Records of one partition are in offset order. */
  async take(records: readonly LogRecord[]): Promise<Batch> {
    const batch = await this.#read(records);
    await this.#write(batch);
    return batch;
  }

  /**
   * Poll, store, commit, until the signal aborts. A batch in hand is finished first, unless the store is
   * away.
   */
  async run(consumer: LogConsumer, signal: AbortSignal): Promise<void> {
    const { restMs = 0 } = this.#config;
    while (!signal.aborted) {
      const begin = this.#clock.now();
      const records = await this.#poll(consumer, signal);
      if (records.length === 0) {
        // Worked off, or given to somebody else.
        this.#hasBacklog = false;
        this.#catchUp.end();
        continue;
      }
      const batch = await this.#storeAll(records, signal);
      if (batch === undefined) return;
      const retrying = { operation: 'commit offsets', clock: this.#clock, facts: this.#facts, signal };
      await retried(() => consumer.commit(positionsOf(batch)), retrying);
      this.#tell(batch);
      this.#hasBacklog = this.#isBacklog(consumer, records);
      this.#catchUp.see(batch, this.#clock.now());
      const passedMs = Math.max(0, this.#clock.now() - begin);
      if (!this.#hasBacklog && passedMs < restMs) await this.#clock.sleep(restMs - passedMs, signal);
    }
  }

  /**
   * Of a backlog in the log, as much as makes a batch: to wait for what is on its way costs less than to
   * store bits.
   */
  async #poll(consumer: LogConsumer, signal: AbortSignal): Promise<readonly LogRecord[]> {
    const { maxBatchBytes: maxBytes, pollMs, restMs = 0 } = this.#config;
    const size = this.#hasBacklog
      ? { minBytes: maxBytes / 2, waitMs: Math.max(pollMs, restMs) }
      : { waitMs: pollMs };
    return await consumer.poll({ maxBytes, ...size, signal });
  }

  /** The batch was full, or as much again is there already: what comes while one rests is less. */
  #isBacklog(consumer: LogConsumer, records: readonly LogRecord[]): boolean {
    const bytes = records.reduce((sum, { value }) => sum + value.length, 0);
    return bytes > this.#config.maxBatchBytes / 2 || consumer.waiting() >= records.length;
  }

  /** The batch that was stored; undefined: told to stop before it was. */
  async #storeAll(records: readonly LogRecord[], signal: AbortSignal): Promise<Batch | undefined> {
    const retrying = { operation: 'store a batch', clock: this.#clock, facts: this.#facts, signal };
    const work: { batch?: Batch; isStored: boolean } = { isStored: false };
    const write = async (): Promise<void> => {
      if (!(await this.#released(signal))) return;
      work.batch = await this.#read(records, work.batch);
      await this.#write(work.batch);
      work.isStored = true;
    };
    await retried(write, retrying);
    return work.isStored ? work.batch : undefined;
  }

  /**
   * What the records say; once more if an erasure was decided since they were read. Whoever decides one has
   * everybody wait, so what is read after the wait knows of it, or the decision is not made.
   */
  async #read(records: readonly LogRecord[], former?: Batch): Promise<Batch> {
    // Every batch asks: so only for their number, and what they took is read when there is one more.
    const erasures = await countErasures(this.#store);
    if (erasures === this.#erasures) return former ?? this.#reader.read(records);
    this.#kept = new KeptHours(await readErasures(this.#store), 0);
    this.#erasures = erasures;
    this.#reader.reset();
    this.#effects.reset();
    return this.#reader.read(records);
  }

  /**
   * Waits while somebody needs the store to stand still: a close looks at the records below its cut alone.
   * False: told to stop meanwhile.
   */
  async #released(signal: AbortSignal): Promise<boolean> {
    while ((await activeHolds(this.#store, this.#clock.now())).length > 0) {
      await this.#clock.sleep(HELD_MS, signal);
      if (signal.aborted) return false;
    }
    return true;
  }

  async #write(batch: Batch): Promise<void> {
    try {
      await this.#writer.write(batch);
    } catch (error) {
      this.#effects.forget(batch);
      throw error;
    }
  }

  /** After the consumer went back, or got other partitions: others may have read meanwhile. */
  reassigned(): void {
    this.#reader.forgetTargets();
    this.#effects.reset();
  }

  #tell(batch: Batch): void {
    for (const tally of batch.partitions.values()) {
      const { topic, partition, records, points, samples } = tally;
      const lagMs = Math.max(0, this.#clock.now() - tally.newestTimestamp);
      this.#facts.event('batchCommitted', { topic, partition, records, points, lagMs });
      this.#facts.event('samplesInserted', { count: samples });
      for (const [reason, count] of tally.rejected) {
        const fact = reason === 'undecodable' ? 'recordsQuarantined' : 'pointsRejected';
        this.#facts.event(fact, { reason, count });
      }
    }
  }
}

function positionsOf(batch: Batch): LogPosition[] {
  return [...batch.partitions.values()].map(({ topic, partition, lastOffset }) => ({
    topic,
    partition,
    next: lastOffset + 1n,
  }));
}
