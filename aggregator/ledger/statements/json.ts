/**
 * A statement as JSON: the form that is stored at a close and that the others are made from. PURE. The bytes
 * are a function of what the statement says: keys in a fixed order, rows sorted, one line, LF at the end.
 * Quantities are decimal strings, for JSON numbers end at 2^53. What is derived (`to`, units, presented
 * quantities, names of flags, `complete`) is for readers: it is made anew from the rest, and reading passes
 * over it. What counts is under the hash.
 */
import { z } from 'zod';
import { meterNamed } from '../../../core/metering/catalogue.ts';
import { parsePeriod, periodEnd, periodStart } from '../../../core/metering/period.ts';
import { HOUR_MS } from '../../../core/metering/hour.ts';
import { invariant, MeteringError } from '../../../core/runtime/errors.ts';
import { FLAG } from '../../conversion/flags.ts';
import type {
  CorrectionLine,
  CoverageLine,
  ProvisionalStatement,
  Statement,
  StatementLine,
} from '../statement.ts';
import { instant, linesHash, statementHash } from './canonical.ts';
import { inOrder } from './order.ts';
import { presentedText } from './presented.ts';

/** Of this form. */
const FORM = 1;

export function renderJson(statement: Statement): string {
  const { period, tenant, ruleVersion, settingsHash, previousCloseHash, ...rows } = inOrder(statement);
  const { startMs, endMs } = boundsOf(period);
  const body = {
    form: FORM,
    ...{ period, from: instant(startMs), to: instant(endMs), tenant },
    ...{ ruleVersion, settingsHash, previousCloseHash },
    ...{ linesHash: linesHash(statement), hash: statementHash(statement) },
    waivers: rows.waivers.map(({ cluster, reason, approvedBy }) => ({ cluster, reason, approvedBy })),
    coverage: rows.coverage.map(coverageBody),
    lines: rows.lines.map(lineBody),
    corrections: rows.corrections.map(correctionBody),
  };
  return `${JSON.stringify(body)}\n`;
}

/** What there would be in a statement: without hashes, and it says that it is none yet. */
export function renderProvisional(statement: ProvisionalStatement, state: string): string {
  const { period, tenant, coverage, lines, corrections } = statement;
  const { startMs, endMs } = boundsOf(period);
  const body = {
    ...{ form: FORM, provisional: true, state },
    ...{ period, from: instant(startMs), to: instant(endMs), tenant },
    coverage: coverage.map(coverageBody),
    lines: lines.map(lineBody),
    corrections: corrections.map(correctionBody),
  };
  return `${JSON.stringify(body)}\n`;
}

export function boundsOf(name: string): { startMs: number; endMs: number } {
  const period = parsePeriod(name);
  invariant(period !== undefined, `${name} is a period`);
  return { startMs: periodStart(period), endMs: periodEnd(period) };
}

export function isComplete({ coveredMs, expectedMs }: CoverageLine): boolean {
  return coveredMs === expectedMs;
}

/** Names of the flags that are set, in the order of their bits. */
export function flagNames(flags: number): string[] {
  return Object.entries(FLAG).flatMap(([name, bit]) => ((flags & bit) === 0 ? [] : [name]));
}

function quantityBody(quantity: bigint, meter: string): Record<string, string> {
  return { quantity: quantity.toString(), ...presentedText(quantity, meter) };
}

function coverageBody(line: CoverageLine): object {
  const { meter, cluster, coveredMs, expectedMs } = line;
  const [covered, expected] = [coveredMs.toString(), expectedMs.toString()];
  return { meter, cluster, coveredMs: covered, expectedMs: expected, complete: isComplete(line) };
}

function lineBody(line: StatementLine): object {
  const { meter, cluster, namespace, quantity, hours, missingMs, samples, flags, hoursHash } = line;
  return {
    ...{ meter, cluster, namespace, ...quantityBody(quantity, meter), hours },
    ...{ missingMs: missingMs.toString(), samples: samples.toString() },
    ...{ flags, flagNames: flagNames(flags), hoursHash },
  };
}

function correctionBody({ id, hour, meter, cluster, namespace, before, after }: CorrectionLine): object {
  return {
    ...{ id, hour: instant(hour), meter, cluster, namespace },
    ...{ before: before.toString(), after: after.toString(), ...quantityBody(after - before, meter) },
  };
}

/** Only what counts is read; what is derived from it is passed over. */
const text = z.string().refine((value) => value.isWellFormed() && !value.includes('\0'), 'no text in UTF-8');
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const integer = z
  .string()
  .regex(/^(0|-?[1-9]\d*)$/)
  .transform(BigInt);
const natural = integer.refine((value) => value >= 0n);
const hour = z.iso
  .datetime()
  .transform((value) => Date.parse(value))
  .refine((ms) => ms % HOUR_MS === 0, 'no start of an hour');
const meter = text.refine((name) => meterNamed(name) !== undefined, 'no meter of the catalogue');

const bodySchema = z.object({
  form: z.literal(FORM),
  period: text.refine((name) => parsePeriod(name) !== undefined, 'no period'),
  tenant: text,
  ruleVersion: z.int().min(0),
  settingsHash: sha256,
  previousCloseHash: z.union([sha256, z.literal('')]),
  linesHash: sha256,
  hash: sha256,
  waivers: z.array(z.object({ cluster: text, reason: text, approvedBy: text })),
  coverage: distinct(
    z.object({ meter: text, cluster: text, coveredMs: natural, expectedMs: natural }),
    (line) => [line.meter, line.cluster],
  ),
  lines: distinct(
    z.object({
      ...{ meter, cluster: text, namespace: text, quantity: integer, hours: z.int().min(0) },
      ...{ missingMs: natural, samples: natural, flags: z.int().min(0), hoursHash: sha256 },
    }),
    (line) => [line.meter, line.cluster, line.namespace],
  ),
  corrections: distinct(
    z.object({ id: text, hour, meter, cluster: text, namespace: text, before: integer, after: integer }),
    (line) => [line.hour, line.meter, line.cluster, line.namespace],
  ),
});

/** Rows of which no two have the same key. */
function distinct<Row extends z.ZodType>(
  row: Row,
  keyOf: (row: z.output<Row>) => readonly unknown[],
): z.ZodArray<Row> {
  return z.array(row).refine((rows) => {
    const keys = rows.map((each) => JSON.stringify(keyOf(each)));
    return new Set(keys).size === keys.length;
  }, 'two rows of one key');
}

/**
 * A stored statement; `METER_INPUT_UNREADABLE` where the text is not one, or says something else than what
 * its own hash was made of. Whether it is the statement that a close names is for the close's hashes to tell.
 */
export function parseStatement(json: string): Statement {
  const parsed = bodySchema.safeParse(jsonValue(json));
  if (!parsed.success) throw unreadable(z.prettifyError(parsed.error), parsed.error);
  const { form: _, linesHash: lines, hash, ...statement } = parsed.data;
  if (linesHash(statement) !== lines)
    throw unreadable('its lines and corrections are not those that were hashed');
  if (statementHash(statement) !== hash)
    throw unreadable('what stands around its lines is not what was hashed');
  return statement;
}

function jsonValue(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw unreadable('it is no JSON', error);
  }
}

function unreadable(why: string, cause?: unknown): MeteringError {
  return new MeteringError('METER_INPUT_UNREADABLE', `a statement cannot be read: ${why}`, { cause });
}
