import { z } from 'zod';

import { DAY_MS } from '../../metering/hour.ts';
import { secretSchema } from '../../runtime/secret.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const bytes = z.int().positive();
const path = z.string().min(1);

const sslSchema = z
  .strictObject({
    /** Authority that signed the brokers' certificates, as PEM; the system's own where it is not set. */
    caFile: path.optional(),
    /** This client's certificate, as PEM, where the brokers ask for one. */
    certFile: path.optional(),
    /** The key of that certificate. */
    keyFile: path.optional(),
    keyPassphrase: secretSchema.optional(),
    /** Name that the brokers' certificates carry, where it is not the host they are reached by. */
    serverName: z.string().min(1).optional(),
  })
  .refine(({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined), {
    path: ['keyFile'],
    message: 'certFile and keyFile belong together; set both or none',
  });

const PASSWORD_SETTINGS = ['username', 'password'] as const;
const TOKEN_SETTINGS = ['tokenUrl', 'clientId', 'clientSecret'] as const;

const saslSchema = z
  .strictObject({
    mechanism: z.enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER']),
    /** With PLAIN and SCRAM. */
    username: z.string().min(1).optional(),
    password: secretSchema.optional(),
    /** With OAUTHBEARER: the token endpoint, of a Keycloak realm for example. */
    tokenUrl: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional(),
    /** The service account that tokens are asked for. */
    clientId: z.string().min(1).optional(),
    clientSecret: secretSchema.optional(),
    scope: z.string().min(1).optional(),
    /** Authority that signed the token endpoint's certificate, as PEM. */
    tokenCaFile: path.optional(),
  })
  .superRefine((sasl, context) => {
    const needed = sasl.mechanism === 'OAUTHBEARER' ? TOKEN_SETTINGS : PASSWORD_SETTINGS;
    for (const name of needed) {
      if (sasl[name] !== undefined) continue;
      const message = `is missing; ${sasl.mechanism} needs ${needed.join(', ')}`;
      context.addIssue({ code: 'custom', path: [name], message });
    }
  });

const topicsSchema = z.strictObject({
  /** At least so many; each is one more unit that members of a group can share. */
  partitions: z.int().min(1).max(10_000).default(4),
  replicationFactor: z.int().min(1).max(32).default(3),
  /** An append waits for so many copies; with fewer it is refused, and kept by the sender. */
  minInsyncReplicas: z.int().min(1).max(32).default(2),
  /** At least so long; it is the longest outage of the store that loses nothing. */
  retentionMs: bytes.default(7 * DAY_MS),
  /** Record batches up to this size, as they are sent. */
  maxMessageBytes: bytes.default(5 * MIB),
});

const fetchSchema = z.strictObject({
  /** How long a broker holds an answer back while there is nothing new. */
  maxWaitMs: z.int().min(10).max(30_000).default(500),
  /** Of one partition, in one answer. */
  maxBytesPerPartition: bytes.default(6 * MIB),
  /** Of all partitions of a broker, in one answer; unpacked it is eight to twenty times as much. */
  maxBytes: bytes.default(MIB),
  /** Fetched records that wait to be polled; beyond it nothing is fetched, or unpacked of an answer. */
  bufferBytes: bytes.default(16 * MIB),
});

const membershipSchema = z
  .strictObject({
    /** A member that is silent for so long loses its partitions to the others. */
    sessionTimeoutMs: z.int().min(1_000).default(60_000),
    heartbeatIntervalMs: z.int().min(100).default(3_000),
    /** How long a rebalance waits for members to come. */
    rebalanceTimeoutMs: z.int().min(1_000).default(60_000),
  })
  .refine(({ sessionTimeoutMs, heartbeatIntervalMs }) => heartbeatIntervalMs * 3 <= sessionTimeoutMs, {
    path: ['heartbeatIntervalMs'],
    message: 'must be a third of sessionTimeoutMs or less',
  });

export const kafkaLogSchema = z
  .strictObject({
    /** Brokers to begin with, as `host:port`; they name the others. */
    brokers: z.array(z.string().regex(/^[^\s,/]+:\d{1,5}$/, 'must be host:port')).min(1),
    /** How the brokers' logs and quotas call this process. */
    clientId: z.string().min(1).default('gh0stmeter'),
    /** Group of the aggregators: they share the partitions, and its positions say what is stored. */
    groupId: z.string().min(1).default('aggregator'),
    ssl: sslSchema.optional(),
    sasl: saslSchema.optional(),
    /** Of the records this program appends; every codec can be read. */
    compression: z.enum(['none', 'gzip', 'zstd']).default('zstd'),
    /** Records appended in one request, before compression. */
    maxRequestBytes: bytes.default(900 * KIB),
    /** One record batch, unpacked; a larger one is put in quarantine. */
    maxUnpackedBytes: bytes.default(64 * MIB),
    /** What the topics have to be; the start refuses those that are not. */
    topics: topicsSchema.prefault({}),
    fetch: fetchSchema.prefault({}),
    membership: membershipSchema.prefault({}),
  })
  .superRefine(({ topics, fetch, maxRequestBytes }, context) => {
    const refuse = (at: string[], message: string): void =>
      context.addIssue({ code: 'custom', path: at, message });
    if (topics.minInsyncReplicas > topics.replicationFactor)
      refuse(['topics', 'minInsyncReplicas'], 'must not be above replicationFactor');
    if (maxRequestBytes > topics.maxMessageBytes)
      refuse(['maxRequestBytes'], 'must not be above topics.maxMessageBytes');
    // A broker gives a batch beyond the limit only to the first partition of an answer: the others starve.
    if (fetch.maxBytesPerPartition < topics.maxMessageBytes)
      refuse(['fetch', 'maxBytesPerPartition'], 'must not be below topics.maxMessageBytes');
  });

export type KafkaLogConfig = Readonly<z.output<typeof kafkaLogSchema>>;
export type SslConfig = NonNullable<KafkaLogConfig['ssl']>;
export type SaslConfig = NonNullable<KafkaLogConfig['sasl']>;
