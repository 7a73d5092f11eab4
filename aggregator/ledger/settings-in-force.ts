/**
 * The settings of every hour: of a closed period those that its close pinned, of the others those of the
 * file. When the file has changed since the open periods were last rolled up, they are rolled up again, so
 * that a period is never made half of the old and half of the new.
 */
import { randomUUID } from 'node:crypto';
import { periodName, type Period } from '../../core/metering/period.ts';
import { SettingsTimeline, type SettingsVersion } from '../../core/metering/settings-timeline.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { appendSettings, closedBefore, readAdoptedSettings, readCloses } from './decisions.ts';
import { settingsHash } from './statements/canonical.ts';

export class SettingsInForce {
  readonly #declared: SettingsTimeline;
  #inForce: SettingsTimeline;
  #lastClosed: Period = 0;

  constructor(declared: SettingsTimeline) {
    this.#declared = declared;
    this.#inForce = declared;
  }

  /** Of the period that the hour lies in. */
  at(hour: number): MeteringSettings {
    return this.#inForce.at(hour);
  }

  of(period: Period): MeteringSettings {
    return this.#inForce.of(period);
  }

  /** Those that no version may change. */
  get always(): MeteringSettings {
    return this.#declared.of(0);
  }

  /** A close has pinned more. */
  pin(closes: readonly { readonly period: Period; readonly settings: MeteringSettings }[]): void {
    this.#inForce = this.#declared.pinned(closes);
    this.#lastClosed = closes.at(-1)?.period ?? 0;
  }

  /** Looks for closes that other processes made. */
  async refresh(store: UsageStore): Promise<void> {
    const [row] = await store.rows<{ newest: number }>(
      "SELECT max(period) AS newest FROM decision WHERE kind = 'close'",
    );
    if ((row?.newest ?? 0) > this.#lastClosed) this.pin(await readCloses(store));
  }

  /** On a start: marks the hours of open periods that were made with other settings than these. */
  async adopt(store: UsageStore, facts: FactSink): Promise<void> {
    await this.refresh(store);
    const body = JSON.stringify(this.#declared.versions);
    const text = await readAdoptedSettings(store);
    if (text === body) return;
    if (text !== undefined) {
      const adopted = new SettingsTimeline(JSON.parse(text) as SettingsVersion[]);
      const changed = (await openPeriods(store)).filter(
        (period) => settingsHash(adopted.of(period)) !== settingsHash(this.of(period)),
      );
      await remark(store, changed);
      for (const period of changed) facts.event('settingsChanged', { period: periodName(period) });
    }
    await appendSettings(store, body);
  }
}

/** Those that the open periods were last rolled up with; undefined where nobody has said yet. */
export async function readAdoptedTimeline(store: UsageStore): Promise<SettingsTimeline | undefined> {
  const text = await readAdoptedSettings(store);
  return text === undefined ? undefined : new SettingsTimeline(JSON.parse(text) as SettingsVersion[]);
}

/** Periods with hours that no close has covered. */
async function openPeriods(store: UsageStore): Promise<Period[]> {
  const closes = await readCloses(store);
  const rows = await store.rows<{ period: number }>(
    `SELECT DISTINCT toYYYYMM(hour) AS period FROM unit_mark
     WHERE hour >= toDateTime({open:Int64}, 'UTC') ORDER BY period`,
    { open: closedBefore(closes.at(-1)) / 1000 },
  );
  return rows.map((row) => row.period);
}

async function remark(store: UsageStore, periods: readonly Period[]): Promise<void> {
  if (periods.length === 0) return;
  await store.command(
    `INSERT INTO unit_mark (cluster, hour, source, marked, rolled, rolled_at)
     SELECT DISTINCT cluster, hour, {source:String}, 1, 0, toDateTime64(0, 3, 'UTC') FROM unit_mark
     WHERE toYYYYMM(hour) IN {periods:Array(UInt32)}`,
    { source: `restart:${randomUUID()}`, periods },
  );
}
