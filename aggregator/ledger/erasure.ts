/**
 * Erasure of a tenant's raw data (docs/privacy.md). In: declarations in a file under version control. Out:
 * samples and names gone, and the ledger says so; usage, statements and closes stay byte for byte.
 *
 * Order of the durable steps: the decision, with the hours it takes and the cut of the log it was made at, in
 * a moment in which everything below the cut is rolled up -> samples, ends of pods, labels, details,
 * excerpts -> the ledger's entry. From the decision on the roll-up leaves those hours alone, so that nothing
 * is made of what is half gone. A crash anywhere after it: the next run goes on from the decision, whatever
 * the file says by then, and the entry comes last.
 *
 * Samples of those hours that come afterwards are refused by ingest. What a disk brings back, because a power
 * failure took the deletion with it, counts for nothing and is deleted by the next run.
 */
import { parsePeriod, periodEnd, periodName, type Period } from '../../core/metering/period.ts';
import { PLATFORM_TENANT, UNATTRIBUTED_TENANT, type MeteringSettings } from '../../core/metering/settings.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { WriteRight } from '../coordination/writer.ts';
import { openMarks } from '../rollup/unit-marks.ts';
import { frozenBefore } from '../store/retention.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { readLastClose } from './decisions.ts';
import type { Declared } from './declared.ts';
import {
  appendErasure,
  erasureEntry,
  erasureId,
  readErasures,
  type ErasedStretch,
  type ErasureDecision,
} from './erasure/decision.ts';
import { readOwnedHours } from './erasure/owned-hours.ts';
import { RawData } from './erasure/raw-data.ts';
import { Ledger } from './ledger.ts';
import { readPeriods } from './periods.ts';
import type { Quiet } from './quiet.ts';

/** How often it is told that an erasure waits. */
const TELL_EVERY_MS = 3_600_000;
/** Clocks of processes that roll up differ by less. */
const SLACK_MS = 600_000;

export interface ErasureDeps {
  readonly store: UsageStore;
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly quiet: Quiet;
  /** Where the store is shared: who may decide. */
  readonly right?: WriteRight;
  /** Platform namespaces may differ from period to period. */
  readonly settings: { of: (period: Period) => Pick<MeteringSettings, 'platformNamespaces'> };
  readonly declared: () => Promise<Pick<Declared, 'erasures'>>;
}

type Declaration = Declared['erasures'][number];

/**
 * Why an erasure has not been done:
 * - `period_open`: the period is not closed, so its samples can still change what is billed;
 * - `unknown_tenant`: no namespace was ever labelled with it: a spelling mistake, or nothing to erase;
 * - `not_a_tenant`: the platform's own usage, or what nobody owns;
 * - `not_rolled_up`: late samples of these hours have still to be counted;
 * - `busy`: ingest could not be made to wait, or somebody else was faster.
 */
export type ErasureHold = 'period_open' | 'unknown_tenant' | 'not_a_tenant' | 'not_rolled_up' | 'busy';

export interface ErasureOutcome {
  readonly tenant: string;
  readonly through: string;
  /** `done` now, or before; else what it waits for. */
  readonly state: 'done' | 'done before' | ErasureHold;
}

export class Erasure {
  readonly #deps: ErasureDeps;
  readonly #ledger: Ledger;
  /** Ids of those whose entry is known to be in the ledger. */
  readonly #done = new Set<string>();
  readonly #told = new Map<string, number>();
  /** When the hours of those that are done were last looked through. */
  #sweptAt: number | undefined;

  constructor(deps: ErasureDeps) {
    this.#deps = deps;
    this.#ledger = new Ledger(deps);
  }

  /** What is declared and due, and what an earlier run did not finish. Harmless at any time. */
  async enforce(): Promise<readonly ErasureOutcome[]> {
    const { erasures } = await this.#deps.declared();
    const decided = await readErasures(this.#deps.store);
    if (decided.length === 0 && erasures.length === 0) return [];
    const unfinished = await this.#unfinished(decided);
    for (const decision of unfinished) await this.#finish(decision);
    await this.#sweep(decided);
    const known = new Map(decided.map((decision) => [idOf(decision), unfinished.includes(decision)]));
    const outcomes: ErasureOutcome[] = [];
    for (const declaration of erasures) {
      const isNew = known.get(idOf({ ...declaration, through: throughOf(declaration) }));
      const state = isNew === undefined ? await this.#begin(declaration) : isNew ? 'done' : 'done before';
      outcomes.push({ tenant: declaration.tenant, through: declaration.through, state });
    }
    return outcomes;
  }

  async #begin(declaration: Declaration): Promise<'done' | ErasureHold> {
    const decision = await this.#decide(declaration);
    if (typeof decision === 'string') {
      this.#tellHeld(declaration, decision);
      return decision;
    }
    await this.#finish(decision);
    return 'done';
  }

  async #decide(declaration: Declaration): Promise<ErasureDecision | ErasureHold> {
    const { tenant, reason } = declaration;
    const through = throughOf(declaration);
    if (tenant === PLATFORM_TENANT || tenant === UNATTRIBUTED_TENANT) return 'not_a_tenant';
    const { store, settings } = this.#deps;
    if (through > ((await readLastClose(store))?.period ?? 0)) return 'period_open';
    const [first = through] = (await readPeriods(store)).keys();
    const settingsOf = (period: Period): ReturnType<typeof settings.of> => settings.of(period);
    const stretches = await readOwnedHours(store, { tenant, through, first, settingsOf });
    if (stretches.length === 0 && !(await this.#wasSeen(tenant))) return 'unknown_tenant';
    if (!(await this.#isRolledUp(stretches))) return 'not_rolled_up';
    const counts = await new RawData(store, stretches).count();
    const decided = await this.#deps.quiet.during('erasure', async (moment) => {
      if (!(await this.#isRolledUp(stretches))) return 'not_rolled_up';
      if (!(await moment.lasts())) return 'busy';
      const decision = { kind: 'erasure' as const, tenant, through, reason, ...counts, stretches };
      await appendErasure(store, { ...decision, cut: moment.cut }, this.#deps.right);
      return { ...decision, cut: moment.cut };
    });
    return decided ?? 'busy';
  }

  /** A label has been seen, or usage was billed before labels were let go. */
  async #wasSeen(tenant: string): Promise<boolean> {
    const rows = await this.#deps.store.rows(
      `SELECT 1 AS found FROM label_history WHERE tenant = {tenant:String} LIMIT 1
       UNION ALL SELECT 1 FROM usage_day WHERE tenant = {tenant:String} LIMIT 1`,
      { tenant },
    );
    return rows.length > 0;
  }

  /** Whatever comes after this counts for nothing; what came before has to be in. */
  async #isRolledUp(stretches: readonly ErasedStretch[]): Promise<boolean> {
    const ends = new Map<string, number>();
    for (const { cluster, to } of stretches) ends.set(cluster, Math.max(to, ends.get(cluster) ?? 0));
    const marks = await openMarks(this.#deps.store);
    return marks.every(({ cluster, hour }) => hour >= (ends.get(cluster) ?? 0));
  }

  async #unfinished(decided: readonly ErasureDecision[]): Promise<readonly ErasureDecision[]> {
    const unsure = decided.filter((decision) => !this.#done.has(idOf(decision)));
    if (unsure.length === 0) return [];
    const rows = await this.#deps.store.rows<{ entry: string }>(
      "SELECT lower(hex(id)) AS entry FROM ledger WHERE kind = 'erasure'",
    );
    for (const { entry } of rows) this.#done.add(entry);
    return unsure.filter((decision) => !this.#done.has(idOf(decision)));
  }

  async #finish(decision: ErasureDecision): Promise<void> {
    const { store, clock, facts } = this.#deps;
    const begin = clock.now();
    const raw = new RawData(store, decision.stretches);
    await raw.deleteSamples();
    await raw.deletePodEnds();
    await raw.forgetLabels();
    await raw.deleteDetails();
    await raw.blankExcerpts();
    await this.#ledger.append([erasureEntry(decision)]);
    this.#done.add(idOf(decision));
    const { tenant, samples, series } = decision;
    facts.event('tenantErased', {
      ...{ tenant, through: periodName(decision.through), samples: Number(samples), series },
      durationMs: clock.now() - begin,
    });
  }

  /** Deletes what came back. Only hours that were rolled up since the last time can hold any. */
  async #sweep(decided: readonly ErasureDecision[]): Promise<void> {
    const { store, clock, facts } = this.#deps;
    const [begin, since] = [clock.now(), this.#sweptAt];
    const floor = await frozenBefore(store);
    for (const { tenant, through, stretches } of decided) {
      if (periodEnd(through) <= floor) continue;
      const raw = new RawData(store, stretches);
      // Looked for by themselves: a disk may bring back these and not the samples.
      await raw.deleteDetails();
      const options = since === undefined ? {} : { rolledSince: since - SLACK_MS };
      if (!(await raw.deleteSamples(options))) continue;
      await raw.deletePodEnds();
      await raw.forgetLabels();
      await raw.blankExcerpts();
      facts.event('erasureRepeated', { tenant, through: periodName(through) });
    }
    this.#sweptAt = begin;
  }

  #tellHeld({ tenant, through }: Declaration, reason: ErasureHold): void {
    const key = JSON.stringify([tenant, through, reason]);
    const now = this.#deps.clock.now();
    if (now - (this.#told.get(key) ?? -Infinity) < TELL_EVERY_MS) return;
    this.#told.set(key, now);
    this.#deps.facts.event('erasureHeld', { tenant, through, reason });
  }
}

function idOf(erasure: Pick<ErasureDecision, 'tenant' | 'through'>): string {
  return erasureId(erasure).toString('hex');
}

/** The file was validated: a period that cannot be read is not in it. */
function throughOf({ through }: Declaration): Period {
  return parsePeriod(through) ?? Infinity;
}
