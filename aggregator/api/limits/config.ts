/** How much may be asked of the API at once, by one and by all. */
import { z } from 'zod';

const rate = (perSecond: number, burst: number) =>
  z
    .strictObject({
      /** Requests a second that go on for ever. */
      perSecond: z.number().positive().max(1_000_000).default(perSecond),
      /** Requests at once after a rest. */
      burst: z.int().min(1).max(1_000_000).default(burst),
    })
    .prefault({});

const minutesSchema = z
  .strictObject({
    /** Hours of minutes in one answer. */
    rangeHours: z.int().min(1).max(24).default(6),
    /** Samples behind one answer; a series counts as 20 more in each hour. */
    maxSamples: z.int().min(1_000).max(1_000_000_000).default(5_000_000),
    /** Answers that are made at once; further ones are refused with 503. */
    running: z.int().min(1).max(100).default(2),
    /** How long samples may be read and folded for one answer. */
    timeoutMs: z.int().min(100).default(20_000),
  })
  .prefault({});

export const limitsSchema = z.strictObject({
  /** Of a request's body: a query's lists at their longest fit in well. */
  bodyBytes: z.int().min(1024).max(16_777_216).default(131_072),
  /** Of a request's line and headers in all; a token has to fit in. */
  headerBytes: z.int().min(8_192).max(65_536).default(16_384),
  /** How long a request may take to arrive. */
  requestTimeoutMs: z.int().min(100).default(10_000),
  /** How long an answer may take until it begins, queries and all; and then may stand still, unread. */
  answerTimeoutMs: z.int().min(100).default(30_000),
  /** The store gives up on one query after this time (`max_execution_time`). */
  queryTimeoutMs: z.int().min(10).default(10_000),
  /** Queries that the store works on for the API at once; further ones wait. */
  queries: z.int().min(1).max(10_000).default(8),
  /** Queries that wait; further ones are refused with 503. */
  queriesWaiting: z.int().min(0).max(100_000).default(64),
  /** How long a query waits before its request is refused with 503. */
  queryWaitMs: z.int().min(0).default(2_000),
  /** Above this mean delay of the event loop over a second, requests are refused with 503. */
  eventLoopDelayMs: z.int().min(10).default(500),
  /** Requests of one identity that are being answered at once; further ones are refused with 429. */
  requestsPerIdentity: z.int().min(1).max(10_000).default(32),
  /** Requests of one member of organizations; beyond it 429. */
  memberRate: rate(50, 200),
  /** Requests of one service account that reads every tenant; beyond it 429. */
  readAllRate: rate(500, 2_000),
  /** Requests without a good token from one address; beyond it 429 for everybody behind that address. */
  deniedRate: rate(20, 100),
  /** Usage by the minute, which is made from samples while somebody waits for it. */
  minutes: minutesSchema,
});

export type LimitsConfig = Readonly<z.output<typeof limitsSchema>>;
export type RateConfig = LimitsConfig['memberRate'];
export type MinutesConfig = LimitsConfig['minutes'];

export const DEFAULT_LIMITS: LimitsConfig = limitsSchema.parse({});
