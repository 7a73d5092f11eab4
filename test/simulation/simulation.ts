/**
 * A world, run: its records come into the log, its processes work, its faults happen, and after the last
 * record the faults stop and everything comes to rest. What must hold at every moment is looked at between
 * the steps.
 */
import type { Declared } from '../../aggregator/ledger/declared.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { TopicPartition } from '../../core/eventlog/sample-log.ts';
import type { ModelRecord } from '../model/record.ts';
import { Random } from '../property/worlds/random.ts';
import { logRecord } from '../support/pipeline.ts';
import { nameOf, SimulatedLog } from './log.ts';
import { Process } from './process.ts';
import { Scheduler, type Caller, type Outcome, type Request } from './scheduler.ts';
import { freshRecord, HOUR, MINUTE } from './traffic.ts';
import { Watcher } from './watcher.ts';
import { NO_FAULTS, type FaultRates, type Step, type World } from './world.ts';

/** Rounds of passes after the last fault until nothing is left to do. */
const ROUNDS_TO_REST = 12;
/** Requests of one round; more, and somebody runs in circles. */
const LONGEST_ROUND = 20_000;
/** Lost time after a crash. */
const LONGEST_OUTAGE_MS = 90_000;

export interface Told {
  readonly name: string;
  readonly fields: unknown;
}

/** Decides over each request: by the seed, or for the loop over every call. */
export type Judge = (request: Request) => Outcome;

export interface SimulationOptions {
  readonly judge?: Judge;
  /** Whoever died finishes its step after a restart, before anything else comes in. */
  readonly finishSteps?: boolean;
}

export class Simulation {
  readonly world: World;
  readonly store: UsageStore;
  readonly watcher: Watcher;
  readonly told: Told[] = [];
  readonly scheduler: Scheduler;
  /** What was appended, the fresh record at the end included. */
  readonly appended: ModelRecord[] = [];
  crashes = 0;
  readonly #finishSteps: boolean;
  readonly #random: Random;
  readonly #log: SimulatedLog;
  readonly #processes: (Process | undefined)[] = [];
  #rates: FaultRates;
  /** What no process may throw. */
  #bug: Error | undefined;

  constructor(store: UsageStore, world: World, options: SimulationOptions = {}) {
    this.world = world;
    this.store = store;
    this.watcher = new Watcher(store, new Set(world.waivers.map(({ waiver }) => waiver.cluster)));
    this.#finishSteps = options.finishSteps === true;
    this.#random = new Random(world.seed ^ 0x5eed);
    this.#rates = world.faults;
    this.#log = new SimulatedLog(this.#random, world.faults);
    this.scheduler = new Scheduler(world.records[0]?.timestampMs ?? 0, {
      random: this.#random,
      judge: options.judge ?? (() => this.#outcome()),
      crashed: (caller) => this.#crashed(caller),
    });
  }

  async run(): Promise<void> {
    const { records, steps, endMs } = this.world;
    this.#start();
    let at = 0;
    for (const step of [...steps, { atMs: endMs, do: 'pass' } satisfies Step]) {
      const until = records.findIndex(({ timestampMs }) => timestampMs > step.atMs);
      const due = records.slice(at, until < 0 ? records.length : Math.max(at, until));
      at += due.length;
      for (const batch of this.#batches(due)) await this.#arrive(batch);
      await this.#step(step.atMs, () => this.#wake(step.do));
    }
    await this.rest();
    await this.#fresh();
  }

  /** Faults stop; everything is read, rolled up, settled and closed. */
  async rest(): Promise<void> {
    this.#rates = NO_FAULTS;
    this.#log.faults = NO_FAULTS;
    this.#log.stalled.clear();
    this.scheduler.stall(undefined);
    for (const process of this.#processes) if (process !== undefined) process.skewMs = 0;
    for (let round = 0; round < ROUNDS_TO_REST; round++) {
      const before = await this.watcher.state();
      this.#start();
      this.#log.wake();
      for (const process of this.#processes) process?.wakeAccounts();
      await this.#untilIdle();
      await this.watcher.look();
      if (before === (await this.watcher.state())) return;
    }
    throw new Error('it does not come to rest');
  }

  async #untilIdle(): Promise<void> {
    const from = this.scheduler.count;
    do {
      this.#start();
      await this.scheduler.run(this.#later(), 200);
      if (this.#bug !== undefined) throw this.#bug;
      if (this.scheduler.count - from > LONGEST_ROUND) throw new Error('somebody runs in circles');
    } while (this.#processes.some((process) => process?.isIdle !== true) || !this.scheduler.isIdle);
  }

  /** After all that went wrong, a pod of a cluster that still reports is met for the first time. */
  async #fresh(): Promise<void> {
    const { cluster } = this.world.clusters[0] ?? { cluster: '' };
    const toMs = this.scheduler.nowMs + HOUR;
    const before = this.appended.filter(
      ({ topic, partition }) => topic === `usage.${cluster}` && partition === 0,
    );
    await this.#arrive([freshRecord(cluster, { offset: BigInt(before.length), toMs })]);
    await this.rest();
  }

  *#batches(records: readonly ModelRecord[]): Generator<readonly ModelRecord[]> {
    for (let at = 0; at < records.length;) {
      const size = this.#random.int(20, 120);
      yield records.slice(at, at + size);
      at += size;
    }
  }

  async #arrive(records: readonly ModelRecord[]): Promise<void> {
    const atMs = records.at(-1)?.timestampMs ?? 0;
    await this.#step(atMs, () => {
      for (const record of records) {
        this.#log.append(logRecord(record, this.#random.chance(0.1) ? 'json' : 'protobuf'));
        this.appended.push(record);
      }
    });
  }

  /** One of the processes, or all. */
  #wake(what: Step['do']): void {
    const only = this.#random.chance(0.4) ? -1 : this.#random.int(0, this.#processes.length - 1);
    this.#processes.forEach((process, i) => {
      if (only >= 0 && i !== only) return;
      if (what === 'pass') process?.wakeAccounts();
      else process?.wakeRetention();
    });
  }

  async #step(atMs: number, act: () => void): Promise<void> {
    this.scheduler.jump(atMs);
    this.#start();
    this.#disturb();
    act();
    const unfinished = this.#random.chance(this.#rates.unfinished);
    const crashes = this.crashes;
    await this.scheduler.run(this.#later(), unfinished ? this.#random.int(1, 80) : Infinity);
    if (this.#finishSteps && this.crashes > crashes) await this.#finish();
    if (this.#bug !== undefined) throw this.#bug;
    await this.watcher.look();
  }

  /** What a crash has interrupted; the hold of whoever died is waited for. */
  async #finish(): Promise<void> {
    this.#start();
    this.#log.wake();
    await this.scheduler.run(this.#later());
    this.scheduler.jump(this.#later());
    this.#wake('pass');
    await this.scheduler.run(this.#later());
  }

  #later(): number {
    return this.scheduler.nowMs + LONGEST_OUTAGE_MS;
  }

  #disturb(): void {
    const random = this.#random;
    const { stall, clockJump, partitionStall } = this.#rates;
    const processes = this.#processes.filter((process) => process !== undefined);
    const some = processes[random.int(0, processes.length - 1)];
    this.scheduler.stall(random.chance(stall) ? some : undefined);
    if (some !== undefined && random.chance(clockJump))
      some.skewMs += random.chance(0.5) ? random.int(1, 30) * HOUR : -random.int(1, 30) * MINUTE;
    this.#log.stalled.clear();
    if (random.chance(partitionStall)) {
      const partitions = this.#partitions();
      const one = partitions[random.int(0, partitions.length - 1)];
      if (one !== undefined) this.#log.stalled.add(nameOf(one));
    } else this.#log.wake();
  }

  #outcome(): Outcome {
    const { refused, unanswered, crash } = this.#rates;
    const chance = this.#random.next();
    if (chance < refused) return 'refused';
    if (chance < refused + unanswered) return 'unanswered';
    if (chance < refused + unanswered + crash) return 'crash before';
    return chance < refused + unanswered + 2 * crash ? 'crash after' : 'done';
  }

  #crashed(caller: Caller): void {
    const place = this.#processes.findIndex((process) => process === caller);
    if (place < 0) return;
    this.crashes++;
    this.#processes[place] = undefined;
  }

  #partitions(): TopicPartition[] {
    return this.world.clusters.flatMap(({ cluster, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => ({ topic: `usage.${cluster}`, partition })),
    );
  }

  /** Whoever does not run is started. */
  #start(): void {
    const count = this.world.sharing === 'alone' ? 1 : 2;
    for (let i = 0; i < count; i++) this.#processes[i] ??= this.#process(i, count);
  }

  #process(index: number, count: number): Process {
    const { settings, clusters, sharing } = this.world;
    const partitions = this.#partitions().filter((_, i) => sharing !== 'split' || i % count === index);
    const config = {
      ...{ name: `process ${String(index)}`, settings, partitions, skewMs: 0 },
      clusters: clusters.map(({ cluster }) => cluster),
      maxBatchBytes: this.#random.pick([50_000, 1_000_000, 1_000_000]),
      spanHours: this.#random.pick([48, 48, 24]),
    };
    return new Process(config, {
      ...{ scheduler: this.scheduler, store: this.store, log: this.#log },
      declared: () => this.#declared(),
      told: (name, fields) => this.#tell(name, fields),
    });
  }

  #tell(name: string, fields: unknown): void {
    if (name === 'bug') this.#bug ??= fields instanceof Error ? fields : new Error(String(fields));
    this.told.push({ name, fields });
  }

  #declared(): Declared {
    const known = this.world.waivers.filter(({ atMs }) => atMs <= this.scheduler.nowMs);
    return { waivers: known.map(({ waiver }) => waiver), quotas: [], erasures: [] };
  }
}
