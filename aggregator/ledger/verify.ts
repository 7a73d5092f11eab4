/**
 * A closed period once more, from what is stored: samples -> parts -> hours of the ledger -> statements ->
 * close, and every figure and hash on the way held against the one that was written then. In: a store and a
 * period. Out: a report; nothing is written. A crash leaves nothing behind.
 *
 *   parts        what units give to hours, states of series after them, coverage: stored against recomputed
 *   details      usage broken down: its sums against the parts
 *   usage        value and input hash of every hour and key: the ledger's newest entry against the samples
 *   coverage     the same of how much was seen
 *   corrections  what they say was billed before, and those that the close fixed
 *   statements   bytes and hash of each, built anew from the ledger up to the close
 *   close        its hash, the chain from the first close to it, what the ledger says of it
 *
 * Late samples after the close make the newest entries corrections; the statements stay what they were. So
 * both hold: the ledger's newest word is what the samples say now, and the statements are what the ledger
 * said then.
 *
 * What cannot be known is said: hours whose samples are past their retention or erased are verified from the
 * ledger on only, and where hours that change meanwhile differ, it is no finding.
 */
import { periodName, type Period } from '../../core/metering/period.ts';
import type { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { Check, placeKey, type Place } from './verify/check.ts';
import { compareDetails } from './verify/details.ts';
import { compareHours } from './verify/hours.ts';
import { readMotion, readStanding, type InMotion } from './verify/motion.ts';
import { Recomputation } from './verify/recompute.ts';
import type { VerifyReport } from './verify/report.ts';
import { readScope, type VerifyScope } from './verify/scope.ts';
import {
  compareBefores,
  compareCloses,
  compareDecisions,
  compareFixed,
  compareLedgerEntries,
  compareStatements,
} from './verify/statements.ts';
import { boundsOf, IN_PERIOD, readClusters } from './verify/units.ts';

export { renderVerifyReport, verifyStatus, type VerifyReport } from './verify/report.ts';

export interface VerifyDeps {
  readonly store: UsageStore;
  readonly facts: FactSink;
  /** A line for the person who waits. */
  readonly progress: (line: string) => void;
}

export interface VerifyRequest {
  readonly period: Period;
  /** Others than those that the closes pinned: what would have come out under them. */
  readonly settings?: SettingsTimeline | undefined;
}

/** `METER_CONFIG_INVALID` if the period is not closed. */
export async function verify(deps: VerifyDeps, request: VerifyRequest): Promise<VerifyReport> {
  const { store } = deps;
  const scope = await readScope(store, request);
  const standing = await readStanding(store);
  const checks = {
    ...{ parts: new Check('parts'), details: new Check('details') },
    ...{ usage: new Check('usage'), coverage: new Check('coverage') },
    ...{
      corrections: new Check('corrections'),
      statements: new Check('statements'),
      close: new Check('close'),
    },
  };
  const recomputed = new Map<string, Recomputation>();
  for (const cluster of await readClusters(store, scope)) {
    const one = new Recomputation(cluster, scope, { ...deps, parts: checks.parts });
    await one.run();
    await compareHours(store, cluster, { scope, recomputed: one, checks });
    await compareDetails(store, cluster, { scope, check: checks.details });
    recomputed.set(cluster, one);
  }
  deps.progress('statements and closes');
  await compareBefores(store, scope, checks.corrections);
  await compareFixed(store, scope, checks.corrections);
  await compareStatements(store, scope, checks.statements);
  compareCloses(scope, checks.close);
  await compareDecisions(store, scope, checks.close);
  await compareLedgerEntries(store, scope, checks.close);
  const moved = movingHours(await readMotion(store, standing), recomputed, scope);
  const moving = moved.filter((place) => Object.values(checks).some((check) => check.differsIn(place)));
  const known = await countHours(store, scope);
  const report = reportOf(scope, {
    checks: Object.values(checks).map((check) => check.result(moving)),
    hours: hoursOf(known, moving.length),
    samples: [...recomputed.values()].reduce((sum, { samples }) => sum + samples, 0),
  });
  tell(deps.facts, report);
  return report;
}

/**
 * Hours of the period that units in motion give to, and those that wait to be settled. Equal ones may be
 * among them.
 */
function movingHours(
  motion: InMotion,
  recomputed: ReadonlyMap<string, Recomputation>,
  { firstWithSamples, end }: VerifyScope,
): Place[] {
  const moving = new Map<string, Place>();
  const add = (place: Place): void => {
    if (place.hour >= firstWithSamples && place.hour < end) moving.set(placeKey(place), place);
  };
  motion.hours.forEach(add);
  for (const [cluster, unit] of motion.units) {
    for (const hour of recomputed.get(cluster)?.reachedFrom(unit) ?? []) add({ cluster, hour });
  }
  return [...moving.values()];
}

interface KnownHours {
  readonly withSamples: number;
  readonly without: number;
}

async function countHours(store: UsageStore, scope: VerifyScope): Promise<KnownHours> {
  const [row] = await store.rows<{ later: string; earlier: string }>(
    `SELECT countIf(hour >= toDateTime({floor:Int64}, 'UTC')) AS later,
       countIf(hour < toDateTime({floor:Int64}, 'UTC')) AS earlier
     FROM (
       SELECT DISTINCT cluster, hour FROM unit_mark WHERE ${IN_PERIOD}
       UNION DISTINCT SELECT DISTINCT cluster, hour FROM ledger WHERE cluster != '' AND ${IN_PERIOD})`,
    { ...boundsOf(scope), floor: scope.firstWithSamples / 1000 },
  );
  return { withSamples: Number(row?.later ?? 0), without: Number(row?.earlier ?? 0) };
}

function hoursOf({ withSamples, without }: KnownHours, inMotion: number): VerifyReport['hours'] {
  return { fromSamples: Math.max(0, withSamples - inMotion), ledgerOnly: without, inMotion };
}

function reportOf(
  scope: VerifyScope,
  made: Pick<VerifyReport, 'checks' | 'hours' | 'samples'>,
): VerifyReport {
  const { fromSamples, ledgerOnly, inMotion } = made.hours;
  const isWhole = scope.reservations.length === 0 && inMotion === 0;
  return {
    ...made,
    period: periodName(scope.period),
    equal: made.checks.every(({ differing }) => differing === 0),
    verified: isWhole
      ? 'from samples'
      : fromSamples === 0 && ledgerOnly > 0
        ? 'ledger only'
        : 'partly from samples',
    reservations: [
      ...scope.reservations,
      ...(inMotion > 0 ? [`${inMotion} hours are being rolled up or settled: verify again`] : []),
    ],
  };
}

function tell(facts: FactSink, { period, checks }: VerifyReport): void {
  const [first] = checks.flatMap(({ differences }) => differences);
  if (first === undefined) return;
  const others = checks.reduce((sum, { differing }) => sum + differing, 0) - 1;
  const more = others === 0 ? '' : `, and ${others} more`;
  const { what, recomputed, stored } = first;
  facts.event('periodMismatch', { period, expected: `${what}: ${recomputed}`, actual: `${stored}${more}` });
}
