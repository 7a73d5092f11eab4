/**
 * What the hashes of statements and closes are made of. PURE. A hash is the SHA-256, in hex, of a text:
 * UTF-8, one record a line, each line ended by LF, its fields parted by TAB. Within a field backslash, TAB,
 * LF and CR are written `\\`, `\t`, `\n` and `\r`, so no content can pass for a separator; a NUL or half a
 * surrogate pair is refused. Integers are decimals, instants ISO 8601 in UTC without a fraction of a second.
 * The first line names what the text is, so that one kind of text can never stand for another, and the
 * version of this form. It is what `jq -r` writes with `@tsv`: docs/statements.md has the commands.
 *
 *   lines       1  -> linesHash
 *   line        meter  cluster  namespace  quantity  hours  missingMs  samples  flags  hoursHash
 *   correction  hour  meter  cluster  namespace  before  after  id
 *
 *   statement   1  period  tenant  ruleVersion  settingsHash  previousCloseHash  linesHash  -> statementHash
 *   waiver      cluster  reason  approvedBy
 *   coverage    meter  cluster  coveredMs  expectedMs
 *
 *   close       1  period  ruleVersion  settingsHash  previousCloseHash  -> closeHash
 *   waiver      cluster  reason  approvedBy
 *   statement   tenant  statementHash
 *
 *   hours       1  -> hoursHasher
 *   hour        ms since the epoch  q0  q1  q2  q3  missingMs  samples  flags
 *
 * Records of a kind are sorted by the fields of their key from left to right (a line by meter, cluster,
 * namespace; a correction by hour first), text by its UTF-8 bytes: see order.ts.
 *
 * Worked example, one hour of 60 core-s at 10:00 on 2026-10-01 UTC, `→` for TAB:
 *
 *   hours→1
 *   hour→1790848800000→60000000000→0→0→0→0→120→0
 *   = c3bf4fa499a96e150bc6488ea0a4b306c6f267d19016ca804eeaca15df81c37c
 *
 *   lines→1
 *   line→cpu→prod-1→shop→60000000000→1→0→120→0→c3bf...c37c
 *   = 150a2733dddb80af63543c69c0c6f7e070676468f0e1cb78e4254b384e41e1f1
 */
import { createHash, type Hash } from 'node:crypto';
import { HOUR_MS } from '../../../core/metering/hour.ts';
import type { MeteringSettings } from '../../../core/metering/settings.ts';
import { invariant } from '../../../core/runtime/errors.ts';
import type { Statement, WaiverLine } from '../statement.ts';
import { compareText, inOrder, statementsInOrder, waiversInOrder } from './order.ts';

/** Of the text above; another one needs another number, for closed periods keep theirs. */
const FORM = 1;

type Field = string | number | bigint;

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** One line of a canonical text. */
function textLine(...fields: readonly Field[]): string {
  return `${fields.map(fieldText).join('\t')}\n`;
}

function fieldText(field: Field): string {
  if (typeof field === 'bigint') return field.toString();
  if (typeof field === 'number') {
    invariant(Number.isSafeInteger(field), 'a number in a hashed text is an integer');
    return String(field);
  }
  invariant(field.isWellFormed() && !field.includes('\0'), 'a hashed text is UTF-8 without NUL');
  return field.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? character);
}

function sha256(lines: readonly string[]): string {
  const hash = createHash('sha256');
  for (const line of lines) hash.update(line);
  return hash.digest('hex');
}

/** `2026-10-01T10:00:00Z`. */
export function instant(ms: number): string {
  invariant(ms % 1000 === 0, `${ms} is a whole second`);
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

/** Over what is billed: the lines and the corrections. */
export function linesHash(statement: Statement): string {
  const { lines, corrections } = inOrder(statement);
  return sha256([
    textLine('lines', FORM),
    ...lines.map((line) =>
      textLine(
        ...['line', line.meter, line.cluster, line.namespace, line.quantity, line.hours, line.missingMs],
        ...[line.samples, line.flags, line.hoursHash],
      ),
    ),
    ...corrections.map(({ hour, meter, cluster, namespace, before, after, id }) =>
      textLine('correction', instant(hour), meter, cluster, namespace, before, after, id),
    ),
  ]);
}

/**
 * Over all that a statement says: its lines by their hash, and under which rules and what coverage they came
 * about.
 */
export function statementHash(statement: Statement): string {
  const { period, tenant, ruleVersion, settingsHash, previousCloseHash, waivers, coverage } =
    inOrder(statement);
  const head = [period, tenant, ruleVersion, settingsHash, previousCloseHash, linesHash(statement)];
  return sha256([
    textLine('statement', FORM, ...head),
    ...waivers.map(waiverText),
    ...coverage.map(({ meter, cluster, coveredMs, expectedMs }) =>
      textLine('coverage', meter, cluster, coveredMs, expectedMs),
    ),
  ]);
}

export interface ClosedPeriod {
  /** `2026-10`. */
  readonly period: string;
  readonly ruleVersion: number;
  readonly settingsHash: string;
  /** '' for the first close. */
  readonly previousCloseHash: string;
  readonly waivers: readonly WaiverLine[];
  readonly statements: readonly (readonly [tenant: string, hash: string])[];
}

/** A link of the chain: whoever changes a statement changes its close and every close after it. */
export function closeHash(close: ClosedPeriod): string {
  const { period, ruleVersion, settingsHash, previousCloseHash, waivers, statements } = close;
  return sha256([
    textLine('close', FORM, period, ruleVersion, settingsHash, previousCloseHash),
    ...waiversInOrder(waivers).map(waiverText),
    ...statementsInOrder(statements).map(([tenant, hash]) => textLine('statement', tenant, hash)),
  ]);
}

function waiverText({ cluster, reason, approvedBy }: WaiverLine): string {
  return textLine('waiver', cluster, reason, approvedBy);
}

/** An hour of a line, as the ledger has it. */
export interface HashedHour {
  /** Start, ms. */
  readonly hour: number;
  readonly quarters: readonly [bigint, bigint, bigint, bigint];
  readonly missingMs: bigint;
  readonly samples: bigint;
  readonly flags: number;
}

export interface HoursHasher {
  /** Hours come in order, each once, and only those that say something. */
  add(hour: HashedHour): void;
  /** Ends it. */
  digest(): string;
}

/** Over the hours of one line, one by one, so a month never has to be in memory. */
export function hoursHasher(): HoursHasher {
  return new IncrementalHours();
}

/** Rows are handed to the hash together: one call costs more than what it hashes. */
const PENDING_CHARACTERS = 8192;

class IncrementalHours implements HoursHasher {
  readonly #hash: Hash = createHash('sha256');
  #pending = textLine('hours', FORM);
  #last = -Infinity;

  add({ hour, quarters, missingMs, samples, flags }: HashedHour): void {
    invariant(hour > this.#last && hour % HOUR_MS === 0, `hour ${hour} follows hour ${this.#last}`);
    const something =
      quarters.some((quarter) => quarter !== 0n) || missingMs !== 0n || samples !== 0n || flags !== 0;
    invariant(something, 'an hour of a line says something: hours of nothing are no rows');
    this.#last = hour;
    this.#pending += `hour\t${textLine(hour, ...quarters, missingMs, samples, flags)}`;
    if (this.#pending.length < PENDING_CHARACTERS) return;
    this.#hash.update(this.#pending);
    this.#pending = '';
  }

  digest(): string {
    return this.#hash.update(this.#pending).digest('hex');
  }
}

/**
 * Over the settings as JSON without spaces, keys sorted. In which order a file lists platform namespaces, and
 * whether one comes twice, says nothing about usage, so they are hashed as a sorted set.
 */
export function settingsHash(settings: MeteringSettings): string {
  const platformNamespaces = [...new Set(settings.platformNamespaces)].sort(compareText);
  return sha256([canonicalJson({ ...settings, platformNamespaces })]);
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).sort(([a], [b]) => compareText(a, b));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
  }
  const known = value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value);
  invariant(known, `a setting can be hashed, ${String(value)} cannot`);
  return JSON.stringify(value);
}
