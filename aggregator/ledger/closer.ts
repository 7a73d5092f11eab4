/**
 * Periods: open -> settling -> closed (METERING 12). In: the ledger, the watermarks of the declared clusters,
 * waivers. Out: a close: statements per tenant, chained to the close before; corrections of earlier periods,
 * fixed; the decision with its cut, which a replay takes as input.
 *
 * Order of the durable steps, in a moment in which the store holds exactly the records below the cut:
 * everything rolled up and settled -> statements -> the decision (from here on the period is closed) -> the
 * ledger's entries about it. A crash before the decision leaves statements that no decision names, and the
 * close is done anew, maybe at a later cut. After it, the entries are written by the next pass: their ids are
 * made of the period and the key.
 */
import { randomUUID } from 'node:crypto';
import type { LogPosition } from '../../core/eventlog/sample-log.ts';
import { nextPeriod, periodEnd, periodName, periodStart, type Period } from '../../core/metering/period.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { WriteRight } from '../coordination/writer.ts';
import { MarkSource } from '../rollup/marks.ts';
import type { RollUp } from '../rollup/roll-up.ts';
import { markUnits } from '../rollup/unit-marks.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { appendClose, readCloses, readLastClose, type Close } from './decisions.ts';
import type { Declared } from './declared.ts';
import { correctionId, NOTHING, RULE_VERSION, type LedgerEntry } from './entry.ts';
import type { Ledger } from './ledger.ts';
import { periodEntry, readPeriods } from './periods.ts';
import type { Quiet } from './quiet.ts';
import { isAllDone, unitsInTwoVersions } from './rest.ts';
import type { SettingsInForce } from './settings-in-force.ts';
import type { Settler } from './settler.ts';
import {
  readCorrections,
  readStatements,
  type FixedCorrection,
  type StatementScope,
} from './statement-reader.ts';
import { closeHash, settingsHash, statementHash } from './statements/canonical.ts';
import { renderJson } from './statements/json.ts';
import { readWatermarks } from './watermarks.ts';

/** Statements in one insert. */
const STATEMENTS_AT_ONCE = 100;
/** Other processes finish what they are at in one or two. */
const ROUNDS_TO_REST = 10;
/** How often a held close is told. */
const TELL_EVERY_MS = 600_000;

export interface CloserConfig {
  /** Clusters whose watermarks a close waits for. */
  readonly clusters: readonly string[];
}

export interface CloserDeps {
  readonly store: UsageStore;
  readonly ledger: Ledger;
  readonly settler: Settler;
  readonly settings: SettingsInForce;
  readonly rollUp: RollUp;
  readonly quiet: Quiet;
  /** Where the store is shared: who may decide. */
  readonly right?: WriteRight;
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly declared: () => Promise<Declared>;
}

interface ClosePlan {
  readonly period: Period;
  readonly previous: Close | undefined;
  readonly waivers: Declared['waivers'];
  /** Of the settings, where the close was decided elsewhere. */
  readonly pinnedHash?: string;
}

export class Closer {
  readonly #config: CloserConfig;
  readonly #deps: CloserDeps;
  /** The last close whose ledger entries are known to be there. */
  #completed: Period = 0;
  /** When it was last said, by cluster, that a close waits for it. */
  readonly #told = new Map<string, number>();
  readonly #marks = new MarkSource(`rollup:${randomUUID()}`);

  constructor(config: CloserConfig, deps: CloserDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  /** Moves periods on as far as they are due; the period that was closed, if one was. */
  async pass(): Promise<Period | undefined> {
    const { store, clock } = this.#deps;
    const previous = await readLastClose(store);
    if (previous !== undefined) await this.#complete(previous);
    const period = await this.#nextToClose(previous);
    if (period === undefined || clock.now() < periodEnd(period)) return undefined;
    const { waivers } = await this.#deps.declared();
    const ofPeriod = waivers.filter((waiver) => waiver.period === periodName(period));
    const plan = { period, previous, waivers: ofPeriod };
    if ((await this.#behind(plan, periodEnd(period))).length === 0) await this.#settling(period);
    const due = periodEnd(period) + this.#deps.settings.always.latenessMs;
    if (clock.now() < due || !(await this.#allPast(plan, due))) return undefined;
    const closed = await this.#deps.quiet.during('close', async (moment) => {
      // Another process may have closed it before this one got the moment.
      const last = await readLastClose(store);
      return last?.period === previous?.period && (await this.#close(plan, moment));
    });
    return closed === true ? period : undefined;
  }

  /** Closes a period at a cut that was decided elsewhere: a replay takes closes as input. */
  async repeat(close: Pick<Close, 'period' | 'waivers' | 'cut' | 'settingsHash'>): Promise<void> {
    const previous = await readLastClose(this.#deps.store);
    const waivers = close.waivers.map((waiver) => ({ ...waiver, period: periodName(close.period) }));
    const moment = { cut: close.cut, lasts: () => Promise.resolve(true) };
    const { period, settingsHash: pinnedHash } = close;
    await this.#close({ period, previous, waivers, pinnedHash }, moment);
  }

  /** The oldest period that is not closed, if any was opened. */
  async #nextToClose(previous: Close | undefined): Promise<Period | undefined> {
    if (previous !== undefined) return nextPeriod(previous.period);
    const [first] = (await readPeriods(this.#deps.store)).keys();
    return first;
  }

  async #settling(period: Period): Promise<void> {
    await this.#deps.ledger.append([periodEntry(period, 'settling', {})]);
  }

  /** Declared clusters that have not been seen up to `t` and that nobody waived. */
  async #behind({ waivers }: ClosePlan, t: number): Promise<{ cluster: string; watermark: number }[]> {
    const watermarks = await readWatermarks(this.#deps.store);
    const waived = new Set(waivers.map((waiver) => waiver.cluster));
    return this.#config.clusters
      .filter((cluster) => !waived.has(cluster))
      .map((cluster) => ({ cluster, watermark: watermarks.get(cluster) ?? 0 }))
      .filter(({ watermark }) => watermark < t);
  }

  async #allPast(plan: ClosePlan, due: number): Promise<boolean> {
    const behind = await this.#behind(plan, due);
    for (const { cluster, watermark } of behind) this.#tellHeld(plan.period, { cluster, watermark, due });
    return behind.length === 0;
  }

  #tellHeld(period: Period, held: { cluster: string; watermark: number; due: number }): void {
    const { cluster, watermark, due } = held;
    const now = this.#deps.clock.now();
    if (now - (this.#told.get(cluster) ?? -Infinity) < TELL_EVERY_MS) return;
    this.#told.set(cluster, now);
    this.#deps.facts.event('closeHeld', {
      ...{ period: periodName(period), cluster, heldMs: now - due, needed: new Date(due).toISOString() },
      watermark: watermark === 0 ? 'never' : new Date(watermark).toISOString(),
    });
  }

  /** False: the moment did not last; nothing was decided. */
  async #close(
    plan: ClosePlan,
    moment: { readonly cut: readonly LogPosition[]; lasts: () => Promise<boolean> },
  ): Promise<boolean> {
    const { store, ledger, facts, clock } = this.#deps;
    const { period } = plan;
    const begin = clock.now();
    if (!(await this.#bringUp(period))) return false;
    const upTo = await ledger.head();
    const scope = this.#scope(plan, upTo);
    const hashes: [string, string][] = [];
    let bodies: { tenant: string; hash: string; body: string }[] = [];
    const write = async (): Promise<void> => {
      await store.insert(
        'statement',
        bodies.map((row) => ({ period, ...row })),
      );
      bodies = [];
    };
    for await (const statement of readStatements(store, scope)) {
      const hash = statementHash(statement);
      hashes.push([statement.tenant, hash]);
      bodies.push({ tenant: statement.tenant, hash, body: renderJson(statement) });
      if (bodies.length >= STATEMENTS_AT_ONCE) await write();
    }
    await write();
    hashes.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    if (!(await moment.lasts()) || (await ledger.head()) !== upTo) return false;
    const close = this.#decision(plan, { cut: moment.cut, upTo, statements: hashes });
    await appendClose(store, close, this.#deps.right);
    // Of two that decided at the same moment the first counts, and only that one is completed.
    if ((await readLastClose(store))?.upTo !== upTo) return false;
    await this.#deps.settings.refresh(store);
    const corrections = await this.#complete(close);
    facts.event('periodClosed', {
      ...{ period: periodName(period), statements: hashes.length, corrections, hash: close.hash },
      durationMs: clock.now() - begin,
    });
    return true;
  }

  /** Everything below the cut rolled up and settled. False: others are at it, and it takes them too long. */
  async #bringUp(period: Period): Promise<boolean> {
    const { store, rollUp, settler } = this.#deps;
    const [from, end] = [periodStart(period), periodEnd(period)];
    for (let round = 0; round < ROUNDS_TO_REST; round++) {
      await rollUp.pass(undefined, { finishBefore: end });
      await settler.pass({ allBefore: end });
      const spoilt = await unitsInTwoVersions(store, { from, end });
      if (spoilt.length === 0 && (await isAllDone(store, end))) return true;
      await markUnits(
        store,
        spoilt.flatMap(({ cluster, hour }) => this.#marks.marks(cluster, [hour])),
      );
    }
    return false;
  }

  #scope({ period, previous, waivers, pinnedHash }: ClosePlan, upTo: bigint): StatementScope {
    return {
      ...{ period, upTo, after: previous?.upTo ?? 0n, ruleVersion: RULE_VERSION },
      settingsHash: pinnedHash ?? settingsHash(this.#deps.settings.of(period)),
      previousCloseHash: previous?.hash ?? '',
      waivers: waivers.map(({ cluster, reason, approvedBy }) => ({ cluster, reason, approvedBy })),
    };
  }

  #decision(plan: ClosePlan, made: Pick<Close, 'cut' | 'upTo' | 'statements'>): Close {
    const { clusters } = this.#config;
    const { period, previous } = plan;
    const settings = this.#deps.settings.of(period);
    const scope = this.#scope(plan, made.upTo);
    const previousHash = previous?.hash ?? '';
    return {
      ...made,
      ...{ kind: 'close', period, previousHash, ruleVersion: RULE_VERSION, settings },
      settingsHash: scope.settingsHash,
      waivers: [...scope.waivers],
      clusters: [...clusters],
      hash: closeHash({ ...scope, period: periodName(period), statements: made.statements }),
    };
  }

  /**
   * What the ledger says about a close; written after it, and again by whoever finds it missing. Its
   * corrections.
   */
  async #complete(close: Close): Promise<number> {
    if (this.#completed >= close.period) return 0;
    const { store, ledger } = this.#deps;
    const before = (await readCloses(store)).findLast(({ period }) => period < close.period);
    const corrections = await readCorrections(store, { after: before?.upTo ?? 0n, upTo: close.upTo });
    await ledger.append([
      ...corrections.map((correction) => finalEntry(close.period, correction)),
      periodEntry(close.period, 'closed', {
        ...{ hash: close.hash, previousHash: close.previousHash, statements: close.statements.length },
        waivers: close.waivers,
      }),
    ]);
    await ledger.showAsClosed(close);
    this.#completed = close.period;
    return corrections.length;
  }
}

function finalEntry(closing: Period, correction: FixedCorrection): LedgerEntry {
  const { before, after, revision, ...key } = correction;
  return {
    ...NOTHING,
    ...key,
    ...{ id: correctionId(closing, key), kind: 'correction', period: closing, revision, final: true },
    ...{ quarters: after, before, inputHash: Buffer.alloc(16), body: '' },
  };
}
