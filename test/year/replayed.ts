/**
 * The year from its records and decisions alone, in a process and a store of its own: in the order of the
 * log, or shuffled within days, in batches of other sizes, and with records that come twice. Started by
 * `year.ts`; its result is the last line it writes.
 */
import { readDecisionLines } from '../../aggregator/ledger/decision-lines.ts';
import type { Decision } from '../../aggregator/ledger/decisions.ts';
import { DecisionReplay, stageOf } from '../../aggregator/ledger/replay-decisions.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { Random } from '../property/worlds/random.ts';
import { readDigest, type YearDigest } from './digest.ts';
import { Progress, type Cost, type Memory } from './progress.ts';
import { periodsOf, YearRecords, type YearPlan } from './records.ts';
import { DayClock, timeline } from './stages.ts';
import { openYearStore } from './store.ts';

export interface ReplayRequest {
  readonly name: string;
  readonly plan: YearPlan;
  /** Where the store goes. */
  readonly directory: string;
  readonly decisionsFile: string;
  readonly order: 'as logged' | 'shuffled';
}

export interface ReplayedYear {
  readonly digest: YearDigest;
  readonly cost: Cost;
  readonly memory: Memory;
  readonly storeBytes: number;
}

/** Days that are shuffled together, if they are of one stage. */
const WINDOW_DAYS = 3;
const MOST_BATCHES = 3;
const REPEATED = 0.02;

async function replayedYear(request: ReplayRequest): Promise<ReplayedYear> {
  const { name, plan, directory, decisionsFile, order } = request;
  const progress = new Progress(name);
  const facts: FactSink = {
    event: (fact) => {
      if (fact === 'unitRolledUp') progress.units(1);
    },
  };
  const opened = await openYearStore(directory, order.replace(' ', '-'));
  try {
    const { store } = opened;
    const decisions = readDecisionLines(decisionsFile);
    const clock = new DayClock();
    const replay = new DecisionReplay(timeline(), decisions, { store, clock, facts });
    const delivery =
      order === 'shuffled' ? new Shuffled(replay, new Random(plan.seed)) : new AsLogged(replay);
    const stages = new Stages(decisions);
    for (const { endMs, records } of new YearRecords(plan).days()) {
      clock.moveTo(endMs);
      for (const { ofStage, decision } of stages.next(records)) {
        await delivery.take(ofStage);
        if (decision === undefined) continue;
        await delivery.flush();
        await replay.decide(decision);
        if (decision.kind === 'close') progress.say(`closed ${decision.period}`);
      }
      progress.day(endMs);
    }
    await delivery.flush();
    await replay.finish();
    const [cost, memory] = [progress.cost(), progress.memory()];
    return {
      digest: await readDigest(store, periodsOf(plan)),
      cost,
      memory,
      storeBytes: await opened.size(),
    };
  } finally {
    await opened.dispose();
  }
}

/** Records by the decision that ends their stage, which is made once everything below its cut was there. */
class Stages {
  #decisions: readonly Decision[];
  readonly #reached = new Map<string, bigint>();

  constructor(decisions: readonly Decision[]) {
    this.#decisions = decisions;
  }

  *next(
    records: readonly LogRecord[],
  ): Generator<{ readonly ofStage: readonly LogRecord[]; readonly decision: Decision | undefined }> {
    for (const { topic, partition, offset } of records)
      this.#reached.set(`${topic}/${partition}`, offset + 1n);
    let rest = records;
    for (;;) {
      const [decision] = this.#decisions;
      const isReached = decision?.cut.every(
        ({ topic, partition, next }) => (this.#reached.get(`${topic}/${partition}`) ?? 0n) >= next,
      );
      const ofStage = rest.filter((record) => stageOf(record, this.#decisions) === 0);
      if (decision === undefined || isReached !== true) {
        yield { ofStage: rest, decision: undefined };
        return;
      }
      yield { ofStage, decision };
      rest = rest.filter((record) => !ofStage.includes(record));
      this.#decisions = this.#decisions.slice(1);
    }
  }
}

interface Delivery {
  take(records: readonly LogRecord[]): Promise<void>;
  /** Nothing may wait any more: a stage ends. */
  flush(): Promise<void>;
}

class AsLogged implements Delivery {
  readonly #replay: DecisionReplay;

  constructor(replay: DecisionReplay) {
    this.#replay = replay;
  }

  async take(records: readonly LogRecord[]): Promise<void> {
    if (records.length > 0) await this.#replay.take(records);
  }

  async flush(): Promise<void> {
    await Promise.resolve();
  }
}

/**
 * Batches of days, each a random part of what they brought, in offset order within itself as any consumer
 * polls.
 */
class Shuffled implements Delivery {
  readonly #replay: DecisionReplay;
  readonly #random: Random;
  #waiting: LogRecord[] = [];
  #days = 0;

  constructor(replay: DecisionReplay, random: Random) {
    this.#replay = replay;
    this.#random = random;
  }

  async take(records: readonly LogRecord[]): Promise<void> {
    this.#waiting.push(...records);
    this.#days++;
    if (this.#days >= WINDOW_DAYS) await this.flush();
  }

  async flush(): Promise<void> {
    const batches = Array.from({ length: this.#random.int(1, MOST_BATCHES) }, (): LogRecord[] => []);
    const anyOf = (): LogRecord[] => batches[this.#random.int(0, batches.length - 1)] ?? [];
    for (const record of this.#waiting) {
      const first = anyOf();
      first.push(record);
      const again = anyOf();
      if (again !== first && this.#random.chance(REPEATED)) again.push(record);
    }
    this.#waiting = [];
    this.#days = 0;
    for (const batch of batches.filter(({ length }) => length > 0)) await this.#replay.take(batch);
  }
}

if (process.argv[1] === import.meta.filename) {
  const result = await replayedYear(JSON.parse(process.argv[2] ?? '') as ReplayRequest);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
