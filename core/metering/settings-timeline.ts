/**
 * Settings by period. An edit counts from a month on and never re-bills an earlier one: each version says
 * from when it is valid, and of a closed month the version that was pinned by its close stays. The first
 * version also covers everything before it.
 */
import { nextPeriod, periodOf, type Period } from './period.ts';
import type { MeteringSettings } from './settings.ts';

export interface SettingsVersion {
  readonly validFrom: Period;
  readonly settings: MeteringSettings;
}

/**
 * What decides about records as they come in, or what is kept, has no month of its own: the same in every
 * version.
 */
export const UNVERSIONED = [
  'tenantLabel',
  'networkInterface',
  'latenessMs',
  'rawRetentionMs',
  'hoursRetentionMs',
] as const;

export class SettingsTimeline {
  readonly #versions: readonly SettingsVersion[];

  /** At least one. */
  constructor(versions: readonly SettingsVersion[]) {
    this.#versions = [...versions].sort((a, b) => a.validFrom - b.validFrom);
  }

  /** Oldest first. */
  get versions(): readonly SettingsVersion[] {
    return this.#versions;
  }

  of(period: Period): MeteringSettings {
    const version = this.#versions.findLast(({ validFrom }) => validFrom <= period) ?? this.#versions[0];
    if (version === undefined) throw new RangeError('a timeline has at least one version');
    return version.settings;
  }

  /** Of the period that the instant lies in. */
  at(ms: number): MeteringSettings {
    return this.of(periodOf(ms));
  }

  /** The same with these periods, without gap and oldest first, as their closes pinned them. */
  pinned(
    closed: readonly { readonly period: Period; readonly settings: MeteringSettings }[],
  ): SettingsTimeline {
    const last = closed.at(-1);
    if (last === undefined) return this;
    const open = nextPeriod(last.period);
    return new SettingsTimeline([
      ...closed.map(({ period, settings }) => ({ validFrom: period, settings })),
      { validFrom: open, settings: this.of(open) },
      ...this.#versions.filter(({ validFrom }) => validFrom > open),
    ]);
  }
}
