/**
 * What to scrape. Input: the user's own targets file (JSON or YAML) or plain values. Output: one frozen
 * configuration with every default filled in. Guarantee: unknown keys are refused and every problem is told
 * at once, before the first scrape.
 */
import { z } from 'zod';
import { clusterNameSchema } from '../../core/runtime/cluster-name.ts';
import { loadConfig, readConfigFile } from '../../core/runtime/config.ts';
import { targetId } from './target.ts';

const MIB = 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_INTERVAL_MS = 3_600_000;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Labels that the scraper itself decides. */
const OWN_LABELS = ['job', 'instance', 'cluster'];

const tlsSchema = z.strictObject({
  caFile: z.string().min(1).optional(),
  certFile: z.string().min(1).optional(),
  keyFile: z.string().min(1).optional(),
  serverName: z.string().min(1).optional(),
  insecureSkipVerify: z.boolean().default(false),
});

const labelsSchema = z.record(z.string(), z.string()).superRefine((labels, context) => {
  for (const name of Object.keys(labels)) {
    const message = OWN_LABELS.includes(name)
      ? 'is decided by a setting of its own; remove it here'
      : 'must be a label name: letters, digits and _';
    if (OWN_LABELS.includes(name) || !LABEL_NAME.test(name)) {
      context.addIssue({ code: 'custom', path: [name], message });
    }
  }
});

const targetSchema = z
  .strictObject({
    /** Becomes `job` (service.name). One job and instance is one target, with one `up`. */
    job: z.string().min(1),
    url: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .refine((url) => new URL(url).username === '', 'must not carry credentials; use bearerTokenFile'),
    /** Becomes `instance` (service.instance.id); host and port of the URL where it is not set. */
    instance: z.string().min(1).optional(),
    /** Added to every sample: node, for example. */
    labels: labelsSchema.default({}),
    intervalMs: z.int().min(100).max(MAX_INTERVAL_MS).default(30_000),
    /** For the whole scrape; 10 s, or the interval where that is shorter. */
    timeoutMs: z.int().min(10).max(MAX_INTERVAL_MS).optional(),
    /**
     * Which format to ask for first. The classic one, because kube-state-metrics renames types in the other.
     */
    format: z.enum(['text', 'openmetrics']).default('text'),
    /** Read anew for every scrape, so a rotated token needs no restart. */
    bearerTokenFile: z.string().min(1).optional(),
    tls: tlsSchema.optional(),
    /** Keep a scraped label that a target label also has; otherwise it becomes `exported_<name>`. */
    honorLabels: z.boolean().default(false),
    honorTimestamps: z.boolean().default(true),
    /** Staleness markers also for series with timestamps of their own (cAdvisor's). */
    trackTimestampsStaleness: z.boolean().default(true),
    /** Of the body, unpacked. */
    bodyLimitBytes: z
      .int()
      .min(1)
      .max(1024 * MIB)
      .default(64 * MIB),
    sampleLimit: z.int().min(1).max(5_000_000).default(200_000),
  })
  .refine(({ timeoutMs, intervalMs }) => timeoutMs === undefined || timeoutMs <= intervalMs, {
    path: ['timeoutMs'],
    message: 'must not be longer than intervalMs',
  });

export const scrapeConfigSchema = z.strictObject({
  /** Names the topic (`usage.<cluster>`) and the label `cluster` of every sample. */
  cluster: clusterNameSchema,
  targets: z
    .array(targetSchema)
    .superRefine((targets, context) => {
      const seen = new Map<string, number>();
      for (const [index, target] of targets.entries()) {
        const id = safeTargetId(target);
        const first = seen.get(id);
        if (first === undefined) seen.set(id, index);
        else {
          const message = `is job and instance ${id}, as target ${first} is; give it another job or instance`;
          context.addIssue({ code: 'custom', path: [index], message });
        }
      }
    })
    .readonly(),
  /** Version of the OTLP scope: this program's own. */
  scopeVersion: z.string().default(''),
  /** Records that wait for the log, in bytes. While they are more, scrapes are skipped, not lost. */
  bufferBytes: z
    .int()
    .min(MIB)
    .default(64 * MIB),
  /** How long a stop waits for the log to take what is buffered. */
  drainTimeoutMs: z.int().min(0).default(10_000),
});

export type TlsSettings = z.output<typeof tlsSchema>;

export type ScrapeTarget = Readonly<z.output<typeof targetSchema>> & {
  /** For a composition root that has a token; a file comes from `bearerTokenFile`. */
  readonly bearerToken?: () => string;
};

export interface ScrapeConfig extends Readonly<Omit<z.output<typeof scrapeConfigSchema>, 'targets'>> {
  readonly targets: readonly ScrapeTarget[];
}

export function timeoutMsOf({ timeoutMs, intervalMs }: ScrapeTarget): number {
  return timeoutMs ?? Math.min(DEFAULT_TIMEOUT_MS, intervalMs);
}

export function scrapeConfig(values: z.input<typeof scrapeConfigSchema>, name = 'scrape'): ScrapeConfig {
  return loadConfig(scrapeConfigSchema, { name, values });
}

export function readScrapeConfig(path: string): ScrapeConfig {
  return loadConfig(scrapeConfigSchema, { name: path, values: readConfigFile(path) });
}

/** Runs before it is known that the URL is one. */
function safeTargetId(target: { job: string; url: string; instance?: string | undefined }): string {
  return URL.canParse(target.url) ? targetId({ instance: undefined, ...target }) : JSON.stringify(target);
}
