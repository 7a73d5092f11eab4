import { z } from 'zod';
import { DAY_MS } from '../metering/hour.ts';
import { parsePeriod } from '../metering/period.ts';
import { SettingsTimeline, UNVERSIONED } from '../metering/settings-timeline.ts';
import { loadConfig, readConfigFile } from './config.ts';
import { MeteringError } from './errors.ts';

const count = (limit: number): z.ZodNumber => z.int().positive().max(limit);

/**
 * What the metering rule may be told (METERING.md): every key has a default, unknown keys are refused.
 * These numbers decide usage figures, so a file of them is under version control and pinned at a close.
 */
export const meteringSettingsSchema = z.strictObject({
  /** Label of `kube_namespace_labels` that names the tenant of a namespace. */
  tenantLabel: z
    .string()
    .regex(/^label_[a-zA-Z0-9_]+$/, 'must be a label name as kube-state-metrics writes it: label_...')
    .default('label_gh0stcloud_io_tenant'),
  /** Namespaces of the platform itself; they go to the tenant `platform` whatever their label says. */
  platformNamespaces: z
    .array(z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be a namespace name'))
    .default(['kube-system'])
    .readonly(),
  /** How long a gauge holds its value without a next sample. */
  maxHoldMs: count(DAY_MS).default(300_000),
  /** How late a sample may come and still count in its own period. */
  latenessMs: count(31 * DAY_MS).default(172_800_000),
  /** A pod cannot have used more cores than this. */
  maxCores: count(1_000_000).default(256),
  /** A pod cannot have moved more bytes per second than this. */
  maxLinkBytesPerSecond: count(Number.MAX_SAFE_INTEGER).default(12_500_000_000),
  /** The interface of a pod whose traffic is metered. */
  networkInterface: z.string().min(1).default('eth0'),
  /** How long raw samples are kept; what is older is quarantined before the insert. */
  rawRetentionMs: count(400 * DAY_MS).default(3_888_000_000),
  /**
   * How long usage by the hour is kept, and scrapes, births, owners and the state of series with it; daily
   * usage, the ledger, closes and statements are kept for ever. At least the raw retention, the lateness and
   * 32 days.
   */
  hoursRetentionMs: count(40_000 * DAY_MS).default(34_560_000_000),
});

export type MeteringSettings = Readonly<z.infer<typeof meteringSettingsSchema>>;

/** Hours go by whole months, and only those that no sample can change any more. */
const LONGEST_MONTH_MS = 32 * DAY_MS;

const versionSchema = meteringSettingsSchema.extend({
  /** The month, UTC, from which on this version counts. */
  validFrom: z.string().regex(/^2\d{3}-(0[1-9]|1[0-2])$/, 'must be a month, such as 2026-11'),
});

const versionsSchema = z.strictObject({
  /** Each is complete by itself: a key that is left out has its default. */
  versions: z.array(versionSchema).min(1),
});

/**
 * A file of settings: one set of them, or `{"versions": [{"validFrom": "2026-11", ...}]}` to change some from
 * a month on. Without a file, the defaults.
 */
export function readSettingsTimeline(file: string | undefined): SettingsTimeline {
  const values = file === undefined ? {} : readConfigFile(file);
  const name = file ?? 'the metering settings';
  if (!Object.hasOwn(values, 'versions')) {
    const settings = loadConfig(meteringSettingsSchema, { name, values });
    refuse(name, retentionProblems(settings));
    return new SettingsTimeline([{ validFrom: 0, settings }]);
  }
  const { versions } = loadConfig(versionsSchema, { name, values });
  refuseUnversionable(name, versions);
  return new SettingsTimeline(
    versions.map(({ validFrom, ...settings }) => ({ validFrom: parsePeriod(validFrom) ?? 0, settings })),
  );
}

/** Hours outlive their samples: a late one needs the births, owners and state of series before it. */
function retentionProblems(settings: MeteringSettings): string[] {
  const { rawRetentionMs, latenessMs, hoursRetentionMs } = settings;
  const least = rawRetentionMs + latenessMs + LONGEST_MONTH_MS;
  if (hoursRetentionMs >= least) return [];
  return [
    `hoursRetentionMs is ${hoursRetentionMs}: hours outlive their samples, so it is at least ${least}, ` +
      'which is rawRetentionMs, latenessMs and 32 days together',
  ];
}

function refuseUnversionable(name: string, versions: readonly z.output<typeof versionSchema>[]): void {
  const months = versions.map((version) => version.validFrom);
  const problems = [
    ...UNVERSIONED.filter((key) => new Set(versions.map((version) => version[key])).size > 1).map(
      (key) => `${key} holds for all months alike: give all versions the same`,
    ),
    ...months
      .filter((month, i) => months.indexOf(month) < i)
      .map((month) => `${month} has two versions: keep one`),
    ...new Set(versions.flatMap((version) => retentionProblems(version))),
  ];
  refuse(name, problems);
}

function refuse(name: string, problems: readonly string[]): void {
  if (problems.length > 0) throw new MeteringError('METER_CONFIG_INVALID', `${name}: ${problems.join('; ')}`);
}
