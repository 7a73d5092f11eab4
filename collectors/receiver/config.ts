/**
 * What the receiver listens on, whom it knows and what it takes. Input: a file's values, secrets included.
 * Output: one frozen configuration. Guarantee: unknown keys are refused, every problem is told at once, and a
 * token is never shown.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { DAY_MS } from '../../core/metering/hour.ts';
import { FUTURE_TOLERANCE_MS } from '../../core/metering/settings.ts';
import { loadConfig } from '../../core/runtime/config.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { type Secret, secretSchema } from '../../core/runtime/secret.ts';

const MIB = 1024 * 1024;
const MAX_BYTES = 256 * MIB;
/** What RFC 6750 can carry, and nobody can guess. */
const TOKEN = /^(?=.{16})[A-Za-z0-9._~+/-]+=*$/;
const CLUSTER_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}$/;

const count = (limit: number): z.ZodNumber => z.int().positive().max(limit);

/** What one request may hold, and what is done at once for one cluster. */
const limits = {
  /** Of the body as it is sent. */
  bodyBytes: count(MAX_BYTES),
  /** Of the body unpacked, and of the points that are made of it. */
  unpackedBytes: count(MAX_BYTES),
  /** Of a JSON body unpacked: JSON takes many times its bytes while it is read. */
  jsonBytes: count(MAX_BYTES),
  /** Series of a remote write, resources of an OTLP request. */
  series: count(1_000_000),
  /** Samples, histograms and exemplars together. */
  samples: count(5_000_000),
  /** Of one series or point. */
  labels: count(10_000),
  /** Of each label. */
  labelNameBytes: count(MIB),
  /** Of each label. */
  labelValueBytes: count(MIB),
  /** Older samples are refused: the aggregator would not take them (`rawRetentionMs`). */
  sampleAgeMs: count(400 * DAY_MS),
  /** Samples further ahead of this machine's clock are refused, as the aggregator does. */
  futureMs: count(FUTURE_TOLERANCE_MS),
  /** Requests under way; more are answered with 429. */
  requests: count(10_000),
};

const limitsForAll = z.strictObject({
  bodyBytes: limits.bodyBytes.default(8 * MIB),
  unpackedBytes: limits.unpackedBytes.default(32 * MIB),
  jsonBytes: limits.jsonBytes.default(2 * MIB),
  series: limits.series.default(20_000),
  samples: limits.samples.default(50_000),
  labels: limits.labels.default(64),
  labelNameBytes: limits.labelNameBytes.default(256),
  labelValueBytes: limits.labelValueBytes.default(2_048),
  sampleAgeMs: limits.sampleAgeMs.default(45 * DAY_MS),
  futureMs: limits.futureMs.default(FUTURE_TOLERANCE_MS),
  requests: limits.requests.default(16),
});

const limitsOfOne = z.strictObject(limits).partial();

const tokenSchema = secretSchema.refine(
  (token) => TOKEN.test(token.reveal()),
  'must be 16 characters or more, of letters, digits and "-._~+/", with "=" at the end at most',
);

const clusterSchema = z.strictObject({
  /** Bearer tokens; several while one takes the place of another. In one text, they are parted by spaces. */
  tokens: z.preprocess(listed, z.array(tokenSchema)).default([]),
  /** Files with more of them, one on a line, as secrets are mounted; read at the start. */
  tokenFiles: z.array(z.string().min(1)).default([]),
  /** In place of the limits for all. */
  limits: limitsOfOne.default({}),
});

export const receiverConfigSchema = z.strictObject({
  /** Address to listen on. There is no TLS here: put it in front, or listen within an encrypted network. */
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 takes any free port. */
  port: z.int().min(0).max(65_535).default(9_201),
  /** By name: topic (`usage.<cluster>`), tokens and limits. */
  clusters: z.record(z.string(), clusterSchema).superRefine((clusters, context) => {
    for (const name of Object.keys(clusters)) {
      if (CLUSTER_NAME.test(name)) continue;
      const message = 'is no name of a cluster: letters, digits, ".", "_" or "-"';
      context.addIssue({ code: 'custom', path: [name], message });
    }
  }),
  /** For every cluster that has none of its own. */
  limits: limitsForAll.prefault({}),
  /** Bodies and records that wait for the log, of all clusters; while they are more, the answer is 503. */
  bytesInFlight: count(4096 * MIB).default(256 * MIB),
  /** How long a request may take to arrive. */
  requestTimeoutMs: count(600_000).default(30_000),
  /** How long the log may take; after it the answer is 503, and the sender sends again. */
  appendTimeoutMs: count(600_000).default(10_000),
  /** What a sender that is to come back is told to wait. */
  retryAfterMs: count(600_000).default(5_000),
});

export type ReceiverLimits = { readonly [K in keyof typeof limits]: number };

export interface ClusterConfig {
  readonly name: string;
  readonly tokens: readonly Secret[];
  readonly limits: ReceiverLimits;
}

/** As a file says it, checked. */
export type ReceiverValues = z.output<typeof receiverConfigSchema>;

export interface ReceiverConfig extends Readonly<Omit<ReceiverValues, 'clusters' | 'limits'>> {
  readonly clusters: readonly ClusterConfig[];
}

export function receiverConfig(
  values: z.input<typeof receiverConfigSchema>,
  name = 'the receiver',
): ReceiverConfig {
  return receiverConfigOf(loadConfig(receiverConfigSchema, { name, values }), name);
}

/** Every cluster with its tokens and all its limits: its own, else those for all. */
export function receiverConfigOf(values: ReceiverValues, name = 'the receiver'): ReceiverConfig {
  const { clusters, limits: forAll, ...rest } = values;
  const known = Object.entries(clusters).map(([cluster, { tokens, tokenFiles, limits: own }]) => ({
    name: cluster,
    tokens: [...tokens, ...tokenFiles.flatMap((file) => tokensIn(file, `${name}: clusters.${cluster}`))],
    limits: Object.freeze({ ...forAll, ...set(own) }),
  }));
  const problems = [
    ...tokenProblems(known),
    ...known.flatMap((cluster) => roomProblems(cluster, rest.bytesInFlight)),
  ];
  if (problems.length > 0) throw new MeteringError('METER_CONFIG_INVALID', `${name}: ${problems.join('; ')}`);
  return { ...rest, clusters: known };
}

function listed(value: unknown): unknown {
  return typeof value === 'string' ? value.split(/[\s,]+/).filter((token) => token !== '') : value;
}

function tokensIn(file: string, where: string): readonly Secret[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const problem = `${where}: the token file ${file} cannot be read; check its mount`;
    throw new MeteringError('METER_CONFIG_INVALID', problem, { cause });
  }
  return loadConfig(z.preprocess(listed, z.array(tokenSchema)), { name: file, values: text });
}

function tokenProblems(clusters: readonly ClusterConfig[]): readonly string[] {
  const owners = new Map<string, string>();
  return clusters.flatMap(({ name, tokens }) => {
    const problems = tokens.length === 0 ? [`clusters.${name} has no token; nobody could send as it`] : [];
    for (const token of tokens) {
      const owner = owners.get(token.reveal());
      if (owner === undefined) owners.set(token.reveal(), name);
      else problems.push(`clusters.${name} has a token that ${owner} has already; a token stands once`);
    }
    return problems;
  });
}

/** The largest request allowed has to fit into an idle receiver, else it would be sent for ever. */
function roomProblems({ name, limits: { bodyBytes, unpackedBytes } }: ClusterConfig, room: number): string[] {
  const needed = bodyBytes + unpackedBytes;
  if (needed <= room) return [];
  return [`bytesInFlight is ${room}, a request of ${name} may need ${needed} (bodyBytes and unpackedBytes)`];
}

type SomeLimits = { readonly [K in keyof ReceiverLimits]?: number };

/** Without the keys that are there and undefined: they would hide what stands below. */
function set(some: z.output<typeof limitsOfOne>): SomeLimits {
  return Object.fromEntries(Object.entries(some).filter(([, value]) => value !== undefined));
}
