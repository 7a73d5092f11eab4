/**
 * What is verified: a closed period, under the settings that its close pinned, as far as there are samples.
 */
import {
  parsePeriod,
  periodEnd,
  periodName,
  periodStart,
  type Period,
} from '../../../core/metering/period.ts';
import { SettingsTimeline, type SettingsVersion } from '../../../core/metering/settings-timeline.ts';
import { MeteringError } from '../../../core/runtime/errors.ts';
import { frozenBefore } from '../../store/retention.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import { readAdoptedSettings, readCloses, type Close } from '../decisions.ts';
import { RULE_VERSION } from '../entry.ts';
import { KeptHours } from '../erasure/kept-hours.ts';

export interface VerifyScope {
  readonly period: Period;
  readonly start: number;
  readonly end: number;
  readonly close: Close;
  /** Of every period that is closed, the one that counts; oldest first. */
  readonly closes: readonly Close[];
  readonly settings: SettingsTimeline;
  /** Hours of the period from here on have their samples still. */
  readonly firstWithSamples: number;
  /** What an erasure froze: it is held against what was stored then. */
  readonly kept: KeptHours;
  /** Why less than all of it can be made from samples, in words. */
  readonly reservations: readonly string[];
}

export async function readScope(
  store: UsageStore,
  request: { readonly period: Period; readonly settings?: SettingsTimeline | undefined },
): Promise<VerifyScope> {
  const { period } = request;
  const [start, end] = [periodStart(period), periodEnd(period)];
  const closes = await readCloses(store);
  const close = closes.find((one) => one.period === period);
  if (close === undefined) throw notClosed(period, closes);
  const frozen = Math.min(end, Math.max(start, await frozenBefore(store)));
  const isOtherRule = close.ruleVersion !== RULE_VERSION;
  const erased = await readErased(store, period);
  return {
    ...{ period, start, end, close, closes },
    kept: await KeptHours.read(store),
    settings: request.settings ?? (await settingsPinned(store, closes)),
    firstWithSamples: isOtherRule ? end : frozen,
    reservations: [
      ...(frozen > start
        ? [`samples before ${new Date(frozen).toISOString()} are past their retention`]
        : []),
      ...(isOtherRule ? [`closed under rule version ${close.ruleVersion}; this is ${RULE_VERSION}`] : []),
      ...[...erased].map((tenant) => `samples of ${tenant} were erased`),
    ],
  };
}

function notClosed(period: Period, closes: readonly Close[]): MeteringError {
  const closed = closes.map((close) => periodName(close.period));
  const known = closed.length === 0 ? 'no period is closed yet' : `closed are ${closed.join(', ')}`;
  return new MeteringError(
    'METER_CONFIG_INVALID',
    `${periodName(period)} is not closed, so it has no figures to hold to yet: ${known}`,
  );
}

/** Later units give to the period as well, each under the settings of its own. */
async function settingsPinned(store: UsageStore, closes: readonly Close[]): Promise<SettingsTimeline> {
  const adopted = await readAdoptedSettings(store);
  const open = closes.slice(-1).map(({ settings }) => ({ validFrom: 0, settings }));
  const versions = adopted === undefined ? open : (JSON.parse(adopted) as SettingsVersion[]);
  return new SettingsTimeline(versions).pinned(closes);
}

async function readErased(store: UsageStore, period: Period): Promise<ReadonlySet<string>> {
  const rows = await store.rows<{ tenant: string; period: number; body: string }>(
    "SELECT DISTINCT tenant, period, body FROM ledger WHERE kind = 'erasure' ORDER BY tenant",
  );
  return new Set(rows.filter((row) => erasedThrough(row) >= period).map((row) => row.tenant));
}

function erasedThrough({ period, body }: { period: number; body: string }): Period {
  const { through } = JSON.parse(body === '' ? '{}' : body) as { through?: string };
  return parsePeriod(through ?? '') ?? period;
}
