/**
 * The aggregator role: consumes the log, keeps usage in step, and says how it is doing. Input: a log and a
 * store, both open and migrated. A fault that no retry mends ends the role; its restart goes on from durable
 * state.
 */
import { randomUUID } from 'node:crypto';
import type { LogPosition, SampleLog } from '../core/eventlog/sample-log.ts';
import { clusterOfUsageTopic, usageTopic } from '../core/eventlog/usage-topic.ts';
import type { SettingsTimeline } from '../core/metering/settings-timeline.ts';
import { every, type Clock } from '../core/runtime/clock.ts';
import type { FactSink } from '../core/runtime/facts.ts';
import { retried } from '../core/runtime/retry.ts';
import type { ReadinessCheck } from './api/health.ts';
import type { SharedStore } from './coordination/neighbours.ts';
import { Members } from './coordination/members.ts';
import { Writer } from './coordination/writer.ts';
import { Ingest } from './ingest/ingest.ts';
import { refuseOtherLog } from './ingest/log-continuity.ts';
import { Reread } from './ingest/reread.ts';
import { RestartPoint, type Restart } from './ingest/restart-point.ts';
import { Accounts } from './ledger/accounts.ts';
import { Closer } from './ledger/closer.ts';
import { DeclaredFile, type Declared } from './ledger/declared.ts';
import { Erasure } from './ledger/erasure.ts';
import { Ledger } from './ledger/ledger.ts';
import { LedgerPublisher, type PublisherConfig } from './ledger/publisher.ts';
import { ONE_PROCESS, Quiet, SEVERAL_PROCESSES } from './ledger/quiet.ts';
import { SettingsInForce } from './ledger/settings-in-force.ts';
import { Settler } from './ledger/settler.ts';
import { RollUp } from './rollup/roll-up.ts';
import { journalPosition, openMarks, remarkRolledSince } from './rollup/unit-marks.ts';
import { Retention } from './store/retention.ts';
import type { UsageStore } from './store/usage-store.ts';

export interface AggregatorConfig {
  readonly settings: SettingsTimeline;
  /** Each has a topic of its own, `usage.<cluster>`. */
  readonly clusters: readonly string[];
  /** The group whose positions say what is stored. */
  readonly group?: string;
  /**
   * Where the committed positions of the last minutes are kept, for a store that does not fsync every insert.
   * Without it what the store answered for is taken to be on its disk.
   */
  readonly restartFile?: string;
  /** Waivers and erasures, under version control; read again before each use. */
  readonly declaredFile?: string | undefined;
  /** Where the ledger's entries are published, if anywhere. */
  readonly ledgerTopic?: PublisherConfig | undefined;
  readonly detailRetentionMs?: number;
  /** Where other processes may work on the same store; without it, it is this process's alone. */
  readonly shared?: SharedStore | undefined;
}

export interface AggregatorDeps {
  readonly store: UsageStore;
  readonly log: SampleLog;
  readonly clock: Clock;
  readonly facts: FactSink;
  /** Removes what the log no longer needs; called now and then. */
  readonly retain: () => Promise<unknown>;
}

const DEFAULT_GROUP = 'aggregator';
/**
 * Large, so that a backlog is worked off in few inserts; at the head of the log batches are small by
 * themselves.
 */
const MAX_BATCH_BYTES = 12 * 1024 * 1024;
const POLL_MS = 500;
const REST_MS = 1_000;
/** Of a store that keeps what it has answered for. */
const NOTHING_TO_REPEAT: Restart = { unclean: false, sinceMs: 0, positions: [] };
const HOUSEKEEPING_MS = 60_000;
/** The store of one process: nobody waits for its lease, and it waits for nobody's. */
const ALONE: SharedStore = { place: 'alone', leaseMs: 30_000, renewEveryMs: 60_000 };

export class Aggregator {
  readonly #config: AggregatorConfig;
  readonly #deps: AggregatorDeps;
  readonly #topics: readonly string[];
  readonly #restartPoint: RestartPoint | undefined;
  readonly #ingest: Ingest;
  readonly #settings: SettingsInForce;
  readonly #quiet: Quiet;
  readonly #writer: Writer;
  readonly #members: Members | undefined;
  readonly #retention: Retention;
  readonly #declared: DeclaredFile;
  readonly #erasure: Erasure;
  readonly #stopping = new AbortController();
  #consumer: Reread | undefined;
  #loops: Promise<unknown>[] = [];
  #isLogInDoubt = false;

  constructor(config: AggregatorConfig, deps: AggregatorDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#topics = config.clusters.map(usageTopic);
    const { restartFile } = config;
    this.#restartPoint = restartFile === undefined ? undefined : new RestartPoint(restartFile);
    this.#settings = new SettingsInForce(config.settings);
    this.#ingest = new Ingest(
      {
        settings: this.#settings.always,
        clusterOfTopic: clusterOfUsageTopic,
        maxBatchBytes: MAX_BATCH_BYTES,
        pollMs: POLL_MS,
        restMs: REST_MS,
      },
      deps,
    );
    const { detailRetentionMs, shared = ALONE } = config;
    this.#writer = new Writer({ ...shared, isAlone: shared === ALONE }, deps);
    this.#quiet = new Quiet(shared === ALONE ? ONE_PROCESS : SEVERAL_PROCESSES, deps);
    this.#members = shared === ALONE ? undefined : new Members(shared, deps);
    const right = this.#writer;
    const kept = { ...this.#settings.always, detailRetentionMs };
    this.#retention = new Retention(kept, { ...deps, quiet: this.#quiet, right });
    this.#declared = new DeclaredFile(config.declaredFile, deps);
    this.#erasure = new Erasure({
      ...deps,
      ...{ quiet: this.#quiet, right, settings: this.#settings },
      declared: () => Promise.resolve(this.#declared.read()),
    });
  }

  /** Resolves when the role runs; `failed` is told of a fault that ends it later. */
  async start(failed: (error: unknown) => void): Promise<void> {
    const { store, clock, facts } = this.#deps;
    this.#declared.load();
    await refuseOtherLog(this.#topics, this.#deps);
    await this.#settings.adopt(store, facts);
    this.#consumer = await this.#recover();
    const accounts = this.#accounts();
    const { signal } = this.#stopping;
    const housekeeping = every(clock, { intervalMs: HOUSEKEEPING_MS, signal }, () => this.#keepHouse());
    this.#loops = [
      this.#ingest.run(this.#consumer, signal),
      this.#accountWhenCaughtUp(accounts),
      housekeeping,
      this.#writer.run(signal),
      ...(this.#members === undefined ? [] : [this.#members.run(signal)]),
      ...this.#publishers().map((publisher) => publisher.run(signal)),
    ];
    for (const loop of this.#loops) loop.catch(failed);
  }

  #accounts(): Accounts {
    const { clusters } = this.#config;
    const settings = this.#settings;
    const { store, clock, facts } = this.#deps;
    const writer = this.#writer;
    const ledger = new Ledger({ store, right: writer });
    const settler = new Settler({ store, ledger, clock, facts });
    const rollUp = new RollUp(
      { settings: settings.always, settingsAt: (hour) => settings.at(hour) },
      { store, clock, facts },
    );
    const declared = (): Promise<Declared> => Promise.resolve(this.#declared.read());
    const stages = { store, ledger, settler, settings, rollUp, clock, facts };
    const closer = new Closer({ clusters }, { ...stages, quiet: this.#quiet, right: writer, declared });
    const isBehind = (): boolean => this.#ingest.isBehind;
    return new Accounts({ ...stages, closer, writer, members: this.#members, isBehind });
  }

  #publishers(): readonly LedgerPublisher[] {
    const { ledgerTopic } = this.#config;
    return ledgerTopic === undefined
      ? []
      : [new LedgerPublisher(ledgerTopic, { ...this.#deps, writer: this.#writer })];
  }

  /** While what may be gone is read again, an hour could be rolled up without it. */
  async #accountWhenCaughtUp(accounts: Accounts): Promise<void> {
    const { signal } = this.#stopping;
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    await Promise.race([this.#consumer?.caughtUp, stopped]);
    await accounts.run(signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const ends = await Promise.allSettled(this.#loops);
    // Without it the others wait until the lease has run out.
    await Promise.allSettled([this.#writer.release(), this.#members?.leave()]);
    await this.#consumer?.close();
    const clean = ends.every((end) => end.status === 'fulfilled') && this.#consumer?.isCaughtUp === true;
    if (clean) await this.#restartPoint?.close();
  }

  checks(): ReadinessCheck[] {
    return [
      {
        name: 'store',
        check: async () => {
          const marks = await openMarks(this.#deps.store);
          return { ready: true, detail: `answers; ${marks.length} marks to roll up` };
        },
      },
      {
        name: 'log',
        check: async () => {
          const behind = await this.#lag();
          return { ready: this.#consumer !== undefined, detail: `${behind} records not read yet` };
        },
      },
      { name: 'ledger', check: async () => ({ ready: true, detail: await this.#writer.describe() }) },
    ];
  }

  async #lag(): Promise<bigint> {
    const committed = (await this.#consumer?.committed()) ?? [];
    const at = new Map(committed.map((position) => [sourceOf(position), position.next]));
    const ends = await this.#deps.log.endPositions(this.#topics);
    const again = this.#consumer?.remaining ?? 0n;
    // Partitions that others read are theirs to tell of.
    return ends.reduce((sum, end) => sum + end.next - (at.get(sourceOf(end)) ?? end.next), again);
  }

  /** After an unclean stop: read again, then roll up again, what may not have reached the disk. */
  async #recover(): Promise<Reread> {
    const { store, log, clock, facts } = this.#deps;
    const restart = await this.#restartPoint?.begin();
    const { unclean, sinceMs, positions } = restart ?? NOTHING_TO_REPEAT;
    const retrying = { operation: 'mark what to roll up again', clock, facts, signal: this.#stopping.signal };
    const shared = await log.consumer({
      group: this.#config.group ?? DEFAULT_GROUP,
      topics: this.#topics,
      onReassigned: () => this.#reassigned(),
    });
    const caughtUp = async (): Promise<void> => {
      if (!unclean) return;
      await retried(() => remarkRolledSince(store, sinceMs, `restart:${randomUUID()}`), retrying);
    };
    const consumer = new Reread(shared, caughtUp, { isEmptyTheEnd: restart !== undefined });
    const committed = await consumer.committed();
    await consumer.begin(await this.#back(committed, unclean ? positions : committed));
    return consumer;
  }

  /**
   * Other members may have read meanwhile, so nothing that was told is known to be the newest. A topic that
   * was made anew is read under an assignment of its own. And reading goes on where the group committed,
   * which a store that was restored, or lost its newest rows, has not seen.
   */
  async #reassigned(): Promise<void> {
    this.#ingest.reassigned();
    this.#isLogInDoubt = true;
    const { clock, facts } = this.#deps;
    const retrying = { operation: 'read the journal', clock, facts, signal: this.#stopping.signal };
    await retried(async () => {
      const committed = (await this.#consumer?.committed()) ?? [];
      await this.#consumer?.begin(await this.#back(committed, committed));
    }, retrying);
  }

  /** Positions to go back to: the safe ones, and never beyond what the store's own journal knows. */
  async #back(committed: readonly LogPosition[], safe: readonly LogPosition[]): Promise<LogPosition[]> {
    const safeAt = new Map(safe.map((position) => [sourceOf(position), position.next]));
    const back: LogPosition[] = [];
    for (const { topic, partition, next: from } of committed) {
      const source = sourceOf({ topic, partition });
      const journal = await journalPosition(this.#deps.store, source);
      const wanted = safeAt.get(source) ?? 0n;
      const next = journal < wanted ? journal : wanted;
      if (next >= from) continue;
      this.#deps.facts.event('consumerRewound', { topic, partition, from, to: next });
      back.push({ topic, partition, next });
    }
    return back;
  }

  async #checkLogInDoubt(): Promise<void> {
    if (!this.#isLogInDoubt) return;
    this.#isLogInDoubt = false;
    const { clock, facts } = this.#deps;
    const retrying = { operation: 'check the log', clock, facts, signal: this.#stopping.signal };
    await retried(() => refuseOtherLog(this.#topics, this.#deps), retrying);
  }

  async #keepHouse(): Promise<void> {
    const { clock, facts, retain } = this.#deps;
    await this.#checkLogInDoubt();
    const consumer = this.#consumer;
    // Until everything is read again, the log must keep it, and what is committed may not all be on disk.
    if (consumer?.isCaughtUp !== true) return;
    await this.#restartPoint?.note(clock.now(), await consumer.committed());
    await retain();
    const retrying = { operation: 'enforce retention', clock, facts, signal: this.#stopping.signal };
    const decide = async (): Promise<void> => {
      if (!(await this.#writer.holds())) return;
      await this.#retention.enforce();
      await this.#erasure.enforce();
    };
    await retried(decide, retrying);
  }
}

function sourceOf(position: { topic: string; partition: number }): string {
  return `${position.topic}/${position.partition}`;
}
