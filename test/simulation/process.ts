/**
 * One aggregator of the simulation: the real stages, with a store, a log and a clock that go through the
 * scheduler. Nothing in it outlives a crash: whoever comes after it starts with an empty memory on the same
 * log and store.
 */
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { Accounts } from '../../aggregator/ledger/accounts.ts';
import { Closer } from '../../aggregator/ledger/closer.ts';
import type { Declared } from '../../aggregator/ledger/declared.ts';
import { Ledger } from '../../aggregator/ledger/ledger.ts';
import { Quiet, type QuietConfig } from '../../aggregator/ledger/quiet.ts';
import { SettingsInForce } from '../../aggregator/ledger/settings-in-force.ts';
import { Settler } from '../../aggregator/ledger/settler.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { Retention } from '../../aggregator/store/retention.ts';
import type { BlockInsert, Parameters, UsageStore } from '../../aggregator/store/usage-store.ts';
import type { LogConsumer, TopicPartition } from '../../core/eventlog/sample-log.ts';
import { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { retried } from '../../core/runtime/retry.ts';
import type { SimulatedLog } from './log.ts';
import type { Caller, Outcome, Scheduler } from './scheduler.ts';

export interface ProcessConfig {
  readonly name: string;
  readonly settings: MeteringSettings;
  readonly clusters: readonly string[];
  readonly partitions: readonly TopicPartition[];
  readonly maxBatchBytes: number;
  /** Its clock minus the world's time. */
  readonly skewMs: number;
  readonly spanHours: number;
}

export interface ProcessDeps {
  readonly scheduler: Scheduler;
  readonly store: UsageStore;
  readonly log: SimulatedLog;
  readonly declared: () => Declared;
  readonly told: (name: string, fields: unknown) => void;
}

/** Short, so that the hold of a process that died is over soon. */
const QUIET: QuietConfig = { holdMs: 6_000, claimMs: 0, patienceMs: 3_000 };

export class Process implements Caller {
  readonly name: string;
  isDead = false;
  skewMs: number;
  readonly #config: ProcessConfig;
  readonly #deps: ProcessDeps;
  readonly #passes: Turns;
  readonly #retentions: Turns;

  constructor(config: ProcessConfig, deps: ProcessDeps) {
    this.name = config.name;
    this.skewMs = config.skewMs;
    this.#config = config;
    this.#deps = deps;
    const { settings, clusters } = config;
    const { scheduler } = deps;
    const clock: Clock = {
      now: () => scheduler.nowMs + this.skewMs,
      sleep: (ms, signal) => scheduler.sleep(this, ms, signal),
    };
    const facts: FactSink = { event: (name, fields) => deps.told(name, fields) };
    const store = this.#store();
    const shared = { store, clock, facts };
    const quiet = new Quiet(QUIET, shared);
    const ledger = new Ledger(shared);
    const settler = new Settler({ ...shared, ledger });
    const inForce = new SettingsInForce(new SettingsTimeline([{ validFrom: 0, settings }]));
    const spans = { hours: config.spanHours };
    const rollUp = new RollUp({ settings, settingsAt: (hour) => inForce.at(hour), spans }, shared);
    const stages = { ...shared, ledger, settler, rollUp, settings: inForce };
    const declared = (): Promise<Declared> => Promise.resolve(deps.declared());
    const closer = new Closer({ clusters }, { ...stages, quiet, declared });
    const accounts = new Accounts({ ...stages, closer });
    const retention = new Retention(settings, { ...shared, quiet });
    const ingest = new Ingest(
      {
        ...{ settings, maxBatchBytes: config.maxBatchBytes, pollMs: 0 },
        clusterOfTopic: (topic) => topic.slice('usage.'.length),
      },
      shared,
    );
    const retrying = { operation: 'simulated', clock, facts, signal: new AbortController().signal };
    this.#passes = new Turns(() => retried(() => accounts.pass(), retrying));
    this.#retentions = new Turns(() => retried(() => retention.enforce(), retrying));
    const loops = [ingest.run(this.#consumer(), retrying.signal), this.#passes.run(), this.#retentions.run()];
    for (const loop of loops) loop.catch((error: unknown) => this.#fell(error));
  }

  get isIdle(): boolean {
    return this.#passes.isIdle && this.#retentions.isIdle;
  }

  wakeAccounts(): void {
    this.#passes.wake();
  }

  wakeRetention(): void {
    this.#retentions.wake();
  }

  /** A fault that no retry mends ends the role, and it is started again. A bug ends the simulation. */
  #fell(error: unknown): void {
    if (!(error instanceof MeteringError)) this.#deps.told('bug', error);
    this.#deps.scheduler.kill(this);
  }

  #call<T>(operation: string, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const carryOut = async (outcome: Outcome): Promise<void> => {
        if (outcome === 'refused') {
          reject(away());
          return;
        }
        const result = await work().then(
          (value) => () => resolve(value),
          (error: unknown) => () => reject(error instanceof Error ? error : new Error(String(error))),
        );
        if (outcome === 'done') result();
        if (outcome === 'unanswered') reject(away());
      };
      this.#deps.scheduler.request({ caller: this, operation, carryOut });
    });
  }

  #store(): UsageStore {
    const { store } = this.#deps;
    const call = this.#call.bind(this);
    return {
      rows: (sql, parameters) => call('read', () => store.rows(sql, parameters)),
      rowBinary: (sql, parameters) => chunksOf(call('read', () => collected(store, sql, parameters))),
      command: (sql, parameters) => call('command', () => store.command(sql, parameters)),
      insert: (table, rows) =>
        rows.length === 0 ? Promise.resolve() : call(`insert ${table}`, () => store.insert(table, rows)),
      insertBlock: (insert: BlockInsert) => call(`insert ${insert.table}`, () => store.insertBlock(insert)),
      close: () => Promise.resolve(),
    };
  }

  #consumer(): LogConsumer {
    const consumer = this.#deps.log.consumer(this.#config.partitions);
    return {
      poll: async (options) => {
        await this.#deps.log.readable(consumer);
        return await this.#call('poll', () => Promise.resolve(consumer.poll(options.maxBytes)));
      },
      commit: (positions) =>
        this.#call('commit', () => {
          consumer.commit(positions);
          return Promise.resolve();
        }),
      seek: () => Promise.reject(new Error('nobody seeks')),
      waiting: () => BigInt(consumer.waiting),
      committed: () => Promise.reject(new Error('nobody asks')),
      close: () => Promise.resolve(),
    };
  }
}

function away(): MeteringError {
  return new MeteringError('METER_STORE_UNAVAILABLE', 'simulated', { retryable: true });
}

async function collected(store: UsageStore, sql: string, parameters?: Parameters): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.rowBinary(sql, parameters)) chunks.push(chunk);
  return chunks;
}

async function* chunksOf(chunks: Promise<readonly Uint8Array[]>): AsyncGenerator<Uint8Array> {
  yield* await chunks;
}

/** Work that is done once for any number of wakings before it begins. */
class Turns {
  readonly #work: () => Promise<unknown>;
  #wanted = Promise.withResolvers<undefined>();
  #isWanted = false;
  #isWorking = false;

  constructor(work: () => Promise<unknown>) {
    this.#work = work;
  }

  get isIdle(): boolean {
    return !this.#isWanted && !this.#isWorking;
  }

  wake(): void {
    this.#isWanted = true;
    this.#wanted.resolve(undefined);
  }

  async run(): Promise<never> {
    for (;;) {
      await this.#wanted.promise;
      this.#wanted = Promise.withResolvers<undefined>();
      this.#isWanted = false;
      this.#isWorking = true;
      await this.#work();
      this.#isWorking = false;
    }
  }
}
