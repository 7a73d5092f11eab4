/**
 * What an entry of the ledger looks like to others: the feed of the API and the topic `usage-ledger` show the
 * same object. PURE. One schema says what it is; documentation and tests are made from it.
 *
 * Integers of the ledger are decimal strings, for JSON numbers end at 2^53; hours and periods are named as
 * statements name them. `id` is what a reader takes once. `seq` is the entry's place: it grows, may leave
 * numbers out, and says nothing about what the entry means.
 */
import { z } from 'zod';
import { meterNamed } from '../../core/metering/catalogue.ts';
import { parsePeriod, periodName } from '../../core/metering/period.ts';
import { quantityOf, type LedgerEntry, type Quarters } from './entry.ts';
import { instant } from './statements/canonical.ts';
import { flagNames } from './statements/json.ts';
import { definitionOf } from './statements/presented.ts';
import { QUOTA_WINDOWS } from './quota.ts';

/** An entry as the store has it, with what the store gave to it. */
export interface StoredEntry extends LedgerEntry {
  readonly seq: bigint;
  readonly ruleVersion: number;
  /** ms; evidence, in no hash. */
  readonly writtenAtMs: number;
}

const integer = z.string().regex(/^(0|-?[1-9]\d*)$/);
const natural = z.string().regex(/^(0|[1-9]\d*)$/);
const quarters = z.tuple([integer, integer, integer, integer]);
const instantText = z.iso.datetime();
const fingerprint = z.string().regex(/^[0-9a-f]{32}$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const period = z
  .string()
  .regex(/^\d{4}-\d{2}$/)
  .refine((name) => parsePeriod(name) !== undefined, 'no period');

const ofAll = {
  id: fingerprint,
  /** Place in the ledger; left out for who reads some tenants alone: it tells how much others have. */
  seq: natural.optional(),
  /** A calendar month (UTC) that the entry is dated to. */
  period,
  writtenAt: instantText,
};

const ofAnHour = {
  /** Start of the hour. */
  hour: instantText,
  cluster: z.string(),
  meter: z.string().refine((name) => meterNamed(name) !== undefined, 'no meter of the catalogue'),
  /** 1 for the first entry of the hour's key, then one more each time. */
  revision: z.int().min(1),
  ruleVersion: z.int().min(1),
};

const ofAKey = { ...ofAnHour, tenant: z.string().min(1), namespace: z.string(), unit: z.string() };

const ofAValue = {
  missingMs: natural,
  samples: natural,
  flags: z.int().min(0),
  flagNames: z.array(z.string()),
  /** How much of the hour was seen, of what should have been. */
  coveredMs: natural,
  expectedMs: natural,
  inputHash: fingerprint,
};

/** An hour of a key, settled: the newest revision counts, and replaces the ones before. */
const usageSchema = z.strictObject({
  kind: z.literal('usage'),
  ...ofAll,
  ...ofAKey,
  quantity: integer,
  quarters,
  ...ofAValue,
});

const ofACorrection = {
  /** At the last close, and now; `quantity` is the difference, to be added to what was billed. */
  before: integer,
  after: integer,
  quantity: integer,
  quartersBefore: quarters,
  quartersAfter: quarters,
};

/** An hour of a closed period has another value now. Nothing is billed by it until a close fixes it. */
const provisionalSchema = z.strictObject({
  kind: z.literal('correction'),
  final: z.literal(false),
  ...ofAll,
  ...ofAKey,
  ...ofACorrection,
  ...ofAValue,
});

/** A correction as a close fixed it: a line of the statement of the period that it is dated to. */
const fixedSchema = z.strictObject({
  kind: z.literal('correction'),
  final: z.literal(true),
  ...ofAll,
  ...ofAKey,
  ...ofACorrection,
});

const coverageSchema = z.strictObject({
  kind: z.literal('coverage'),
  ...ofAll,
  ...ofAnHour,
  coveredMs: natural,
  expectedMs: natural,
  inputHash: fingerprint,
});

const startedPeriodSchema = z.strictObject({
  kind: z.literal('period'),
  state: z.enum(['open', 'settling']),
  ...ofAll,
});

const closedPeriodSchema = z.strictObject({
  kind: z.literal('period'),
  state: z.literal('closed'),
  ...ofAll,
  /** Of the close, and of the one before; '' for the first. */
  hash: sha256,
  previousHash: z.union([sha256, z.literal('')]),
  /** How many were written. */
  statements: z.int().min(0),
  waivers: z.array(z.strictObject({ cluster: z.string(), reason: z.string(), approvedBy: z.string() })),
});

/** A tenant's raw data was deleted, up to the end of a period; what was billed stays. */
const erasureSchema = z.strictObject({
  kind: z.literal('erasure'),
  ...ofAll,
  tenant: z.string().min(1),
  reason: z.string(),
  samples: natural,
  series: z.int().min(0),
});

/** A declared quota was reached, or a threshold of it. */
export const breachSchema = z.strictObject({
  kind: z.literal('breach'),
  ...ofAll,
  tenant: z.string().min(1),
  meter: ofAnHour.meter,
  unit: z.string(),
  window: z.enum(QUOTA_WINDOWS),
  /** Of the window, [from, to). */
  from: instantText,
  to: instantText,
  /** Per cent of the limit that was reached, as declared. */
  threshold: z.int().min(1),
  limit: natural,
  /** What had been used of it by then. */
  quantity: natural,
});

export const publicEntrySchema = z.discriminatedUnion('kind', [
  usageSchema,
  z.discriminatedUnion('final', [provisionalSchema, fixedSchema]),
  coverageSchema,
  z.discriminatedUnion('state', [startedPeriodSchema, closedPeriodSchema]),
  breachSchema,
  erasureSchema,
]);

export type PublicEntry = Readonly<z.output<typeof publicEntrySchema>>;

/** Bodies say more than is passed on: the key once more. */
const periodBodySchema = z.discriminatedUnion('state', [
  z.object(startedPeriodSchema.pick({ state: true }).shape),
  z.object(closedPeriodSchema.omit({ kind: true, id: true, seq: true, period: true, writtenAt: true }).shape),
]);
const breachBodySchema = z.object(
  breachSchema.pick({ window: true, from: true, to: true, threshold: true, limit: true, quantity: true })
    .shape,
);
const erasureBodySchema = z.object(erasureSchema.pick({ reason: true, samples: true, series: true }).shape);

export function publicEntry(entry: StoredEntry): PublicEntry {
  const ofEvery = {
    ...{ id: entry.id.toString('hex'), seq: entry.seq.toString(), period: periodName(entry.period) },
    writtenAt: new Date(entry.writtenAtMs).toISOString(),
  };
  switch (entry.kind) {
    case 'usage':
      return { kind: 'usage', ...ofEvery, ...keyOf(entry), ...amountOf(entry), ...valueOf(entry) };
    case 'correction': {
      const correction = { ...ofEvery, ...keyOf(entry), ...differenceOf(entry) };
      return entry.final
        ? { kind: 'correction', final: true, ...correction }
        : { kind: 'correction', final: false, ...correction, ...valueOf(entry) };
    }
    case 'coverage': {
      const { coveredMs, expectedMs, inputHash } = valueOf(entry);
      return { kind: 'coverage', ...ofEvery, ...hourOf(entry), coveredMs, expectedMs, inputHash };
    }
    case 'period':
      return { kind: 'period', ...ofEvery, ...periodBodySchema.parse(JSON.parse(entry.body)) };
    case 'breach': {
      const { tenant, meter } = entry;
      const { unit } = definitionOf(meter);
      const body = breachBodySchema.parse(JSON.parse(entry.body));
      return { kind: 'breach', ...ofEvery, tenant, meter, unit, ...body };
    }
    case 'erasure': {
      const { tenant } = entry;
      return { kind: 'erasure', ...ofEvery, tenant, ...erasureBodySchema.parse(JSON.parse(entry.body)) };
    }
  }
}

type OfAnHour = Pick<z.output<typeof usageSchema>, keyof typeof ofAnHour>;
type OfAKey = Pick<z.output<typeof usageSchema>, keyof typeof ofAKey>;
type OfAValue = Pick<z.output<typeof usageSchema>, keyof typeof ofAValue>;

function hourOf({ hour, cluster, meter, revision, ruleVersion }: StoredEntry): OfAnHour {
  return { hour: instant(hour), cluster, meter, revision, ruleVersion };
}

function keyOf(entry: StoredEntry): OfAKey {
  const { tenant, namespace, meter } = entry;
  return { ...hourOf(entry), tenant, namespace, unit: definitionOf(meter).unit };
}

function amountOf(entry: StoredEntry): { quantity: string; quarters: QuarterTexts } {
  return { quantity: quantityOf(entry.quarters).toString(), quarters: textsOf(entry.quarters) };
}

function differenceOf(entry: StoredEntry): Pick<z.output<typeof fixedSchema>, keyof typeof ofACorrection> {
  const [before, after] = [quantityOf(entry.before), quantityOf(entry.quarters)];
  return {
    ...{ before: before.toString(), after: after.toString(), quantity: (after - before).toString() },
    ...{ quartersBefore: textsOf(entry.before), quartersAfter: textsOf(entry.quarters) },
  };
}

function valueOf(entry: StoredEntry): OfAValue {
  const { missingMs, samples, flags, coveredMs, expectedMs, inputHash } = entry;
  return {
    ...{ missingMs: missingMs.toString(), samples: samples.toString() },
    ...{ flags, flagNames: flagNames(flags) },
    ...{ coveredMs: coveredMs.toString(), expectedMs: expectedMs.toString() },
    inputHash: inputHash.toString('hex'),
  };
}

type QuarterTexts = [string, string, string, string];

function textsOf([q0, q1, q2, q3]: Quarters): QuarterTexts {
  return [q0.toString(), q1.toString(), q2.toString(), q3.toString()];
}
