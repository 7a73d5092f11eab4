/**
 * Samples and decisions into an empty store: the same closes, the same floors, at the same cuts. In: records
 * in any order within a stage, then the decision that ends the stage. Out: statements, corrections and
 * settled quantities, byte for byte those of the store that decided.
 */
import type { LogPosition, LogRecord } from '../../core/eventlog/sample-log.ts';
import type { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { Ingest } from '../ingest/ingest.ts';
import { RollUp } from '../rollup/roll-up.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { Closer } from './closer.ts';
import { appendFloor, type Decision } from './decisions.ts';
import { NOTHING_DECLARED } from './declared.ts';
import { appendErasure } from './erasure/decision.ts';
import { Ledger } from './ledger.ts';
import { ONE_PROCESS, Quiet } from './quiet.ts';
import { SettingsInForce } from './settings-in-force.ts';
import { Settler } from './settler.ts';

export interface ReplayDeps {
  readonly store: UsageStore;
  readonly clock: Clock;
  readonly facts: FactSink;
}

export class DecisionReplay {
  readonly #settings: SettingsInForce;
  readonly #deps: ReplayDeps;
  readonly #ingest: Ingest;
  readonly #rollUp: RollUp;
  readonly #settler: Settler;
  readonly #ledger: Ledger;

  /** `declared` are the settings of what no decision covers; closes bring their own. */
  constructor(declared: SettingsTimeline, decisions: readonly Decision[], deps: ReplayDeps) {
    this.#deps = deps;
    this.#settings = new SettingsInForce(declared);
    this.#settings.pin(decisions.filter((decision) => decision.kind === 'close'));
    const settings = this.#settings.always;
    const config = { settings, clusterOfTopic: (): undefined => undefined, maxBatchBytes: 0, pollMs: 0 };
    this.#ingest = new Ingest(config, deps);
    this.#rollUp = new RollUp({ settings, settingsAt: (hour) => this.#settings.at(hour) }, deps);
    this.#ledger = new Ledger(deps);
    this.#settler = new Settler({ ...deps, ledger: this.#ledger });
  }

  /** Records of the stage that the next decision ends. */
  async take(records: readonly LogRecord[]): Promise<void> {
    await this.#ingest.take(records);
  }

  async decide(decision: Decision): Promise<void> {
    if (decision.kind !== 'close') {
      await this.#rollUp.pass();
      if (decision.kind === 'erasure') await appendErasure(this.#deps.store, decision);
      else await appendFloor(this.#deps.store, decision);
      return;
    }
    const deps = {
      ...this.#deps,
      ...{ ledger: this.#ledger, settler: this.#settler, rollUp: this.#rollUp, settings: this.#settings },
      quiet: new Quiet(ONE_PROCESS, this.#deps),
      declared: () => Promise.resolve(NOTHING_DECLARED),
    };
    await new Closer({ clusters: decision.clusters }, deps).repeat(decision);
  }

  /** After the last decision: everything that is due is rolled up and settled. */
  async finish(): Promise<void> {
    await this.#rollUp.pass();
    await this.#settler.pass();
  }
}

/** How many of the decisions did not know the record yet: it belongs to the stage of that number. */
export function stageOf(
  record: Pick<LogRecord, 'topic' | 'partition' | 'offset'>,
  decisions: readonly Decision[],
): number {
  const stage = decisions.findIndex(({ cut }) => record.offset < nextOf(cut, record));
  return stage < 0 ? decisions.length : stage;
}

function nextOf(
  cut: readonly LogPosition[],
  { topic, partition }: { topic: string; partition: number },
): bigint {
  return cut.find((position) => position.topic === topic && position.partition === partition)?.next ?? 0n;
}
