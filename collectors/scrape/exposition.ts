/**
 * Exposition text -> samples: Prometheus text 0.0.4 and OpenMetrics 1.0.
 *
 * Input: the body of a scrape, from anywhere. Output: every sample of it, or the first thing wrong with its
 * line. Guarantee: all or nothing, as Prometheus does it: a body that does not parse to its end gives no
 * sample at all. It never throws, takes time linear in the body and memory linear in what the limits allow.
 *
 * What is accepted is what Prometheus's own parsers accept (the classic format takes any blanks, a missing
 * last line end and raw line breaks inside quotes; OpenMetrics takes single spaces and needs its `# EOF`),
 * with quoted UTF-8 names in both. Three choices of our own: a line may end in CR LF; the same label twice is
 * an error here already; times are whole ms, seconds rounded half to even.
 *
 * `_created` lines of OpenMetrics counters, histograms and summaries become the start time of the samples
 * they belong to (as Prometheus's created-timestamp ingestion reads them) and are no series of their own;
 * unlike there, they may stand anywhere in their family. Exemplars are checked and dropped: no usage depends
 * on them.
 */
import { isUtf8 } from 'node:buffer';
import { secondsToMs } from '../../core/metering/quantity.ts';
import { type Family, withStartTimes } from './created-time.ts';
import { type ExposedSample, type Label, MAX_TIME_MS } from './exposed-sample.ts';

export type ExpositionFormat = 'text' | 'openmetrics';

export interface ExpositionLimits {
  readonly maxSamples: number;
}

export type ExpositionResult =
  | { readonly ok: true; readonly samples: readonly ExposedSample[] }
  | { readonly ok: false; readonly reason: 'unparsable' | 'too_many_samples'; readonly detail: string };

/** Name and labels of one series as text; no real one comes near. */
export const MAX_SERIES_CHARS = 64 * 1024;
export const MAX_LABELS = 512;

const METRIC_NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL_NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const BLANKS = /[ \t]*/y;
const DIGITS = /\d+/y;
const TEXT_VALUE = /[^{ \t\r\n]+/y;
const STRICT_TOKEN = /[^ \r\n]+/y;
const TEXT_METADATA = /#[ \t]+(HELP|TYPE)[ \t]+/y;
const STRICT_METADATA = /# (HELP|TYPE|UNIT) /y;
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;

const TEXT_TYPES = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);
const STRICT_TYPES = new Set([
  'counter',
  'gauge',
  'histogram',
  'gaugehistogram',
  'summary',
  'info',
  'stateset',
  'unknown',
]);

const SPECIAL_NUMBERS: ReadonlyMap<string, number> = new Map([
  ['nan', NaN],
  ['inf', Infinity],
  ['+inf', Infinity],
  ['-inf', -Infinity],
  ['infinity', Infinity],
  ['+infinity', Infinity],
  ['-infinity', -Infinity],
]);

export function parseExposition(
  body: Uint8Array,
  format: ExpositionFormat,
  limits: ExpositionLimits,
): ExpositionResult {
  if (!isUtf8(body)) {
    return { ok: false, reason: 'unparsable', detail: `line ${firstBadLine(body)}: not UTF-8` };
  }
  const reader = new ExpositionReader(
    Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString(),
    format,
    limits,
  );
  try {
    return { ok: true, samples: reader.read() };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return {
      ok: false,
      reason: error.reason,
      detail: `line ${reader.lineOf(error.offset)}: ${error.message}`,
    };
  }
}

function firstBadLine(body: Uint8Array): number {
  let line = 1;
  for (let from = 0; from < body.length; line++) {
    const end = body.indexOf(10, from);
    if (end === -1 || !isUtf8(body.subarray(from, end))) break;
    from = end + 1;
  }
  return line;
}

/** The way out of a body that does not parse; never leaves this file. */
class Malformed extends Error {
  readonly offset: number;
  readonly reason: 'unparsable' | 'too_many_samples';

  constructor(message: string, offset: number, reason: 'unparsable' | 'too_many_samples' = 'unparsable') {
    super(message);
    this.offset = offset;
    this.reason = reason;
  }
}

interface OpenFamily extends Family {
  /** Index of its first sample. */
  readonly from: number;
}

class ExpositionReader {
  private readonly text: string;
  private readonly strict: boolean;
  private readonly maxSamples: number;
  private readonly samples: ExposedSample[] = [];
  private family: OpenFamily | undefined;
  private at = 0;

  constructor(text: string, format: ExpositionFormat, limits: ExpositionLimits) {
    this.text = text;
    this.strict = format === 'openmetrics';
    this.maxSamples = limits.maxSamples;
  }

  lineOf(offset: number): number {
    let line = 1;
    let end = this.text.indexOf('\n');
    for (; end !== -1 && end < offset; end = this.text.indexOf('\n', end + 1)) line++;
    return line;
  }

  read(): readonly ExposedSample[] {
    if (this.strict) this.readOpenMetrics();
    else this.readText();
    return this.samples;
  }

  private readText(): void {
    while (this.at < this.text.length) {
      this.skip(BLANKS);
      if (this.at === this.text.length || this.takeLineEnd()) continue;
      if (this.peek() !== '#') this.sample();
      else if (!this.textMetadata()) this.toLineEnd();
    }
  }

  private readOpenMetrics(): void {
    while (!this.text.startsWith('# EOF', this.at)) {
      if (this.at === this.text.length) this.fail('data does not end with # EOF');
      if (this.peek() === '#') this.strictMetadata();
      else this.sample();
    }
    this.at += '# EOF'.length;
    this.takeLineEnd();
    if (this.at !== this.text.length) this.fail('unexpected data after # EOF');
    this.endFamily();
  }

  /** False for a line that is a comment and no metadata. */
  private textMetadata(): boolean {
    const start = this.at;
    const keyword = this.match(TEXT_METADATA)?.[1];
    if (keyword === undefined) return false;
    this.metadataName(keyword);
    const rest = this.toLineEnd();
    if (keyword === 'TYPE' && !TEXT_TYPES.has(rest.slice(1))) this.fail('invalid metric type', start);
    return true;
  }

  private strictMetadata(): void {
    const start = this.at;
    const keyword = this.match(STRICT_METADATA)?.[1];
    if (keyword === undefined) this.fail('expected HELP, TYPE, UNIT or EOF after "# "');
    const name = this.metadataName(keyword);
    if (this.peek() !== ' ') this.fail(`expected text in ${keyword}`);
    const rest = this.toLineEnd().slice(1);
    if (keyword === 'UNIT' && rest !== '' && !name.endsWith(`_${rest}`))
      this.fail('unit is no suffix of the metric', start);
    if (keyword !== 'TYPE') return;
    if (!STRICT_TYPES.has(rest)) this.fail('invalid metric type', start);
    this.endFamily();
    this.family = { name, type: rest, from: this.samples.length };
  }

  private metadataName(keyword: string): string {
    if (this.peek() === '"') return this.quoted();
    return this.match(METRIC_NAME)?.[0] ?? this.fail(`expected metric name after ${keyword}`);
  }

  private sample(): void {
    const start = this.at;
    const labels: Label[] = [];
    let name = this.match(METRIC_NAME)?.[0];
    if (name === undefined && this.peek() !== '{') this.fail('expected a metric name');
    this.blanks();
    if (this.peek() === '{') name = this.labelSet(labels, name);
    if (name === undefined || name === '') this.fail('metric name not set');
    if (labels.length > 1 && new Set(labels.map(([label]) => label)).size < labels.length) {
      this.fail('label name is not unique');
    }
    if (this.at - start > MAX_SERIES_CHARS) this.fail(`series longer than ${MAX_SERIES_CHARS} characters`);
    const value = this.number('value');
    const timestampMs = this.strict ? this.strictTimestamp() : this.textTimestamp();
    if (this.strict && this.peek() === ' ') this.exemplar();
    if (!this.takeLineEnd() && (this.strict || this.at < this.text.length))
      this.fail('expected the end of the line');
    if (this.samples.length >= this.maxSamples) {
      throw new Malformed(`more than ${this.maxSamples} samples`, start, 'too_many_samples');
    }
    this.samples.push({ name, labels, value, timestampMs, startMs: undefined });
  }

  /** Reads `{…}` into `labels`; gives the metric's name, which may stand in there, quoted. */
  private labelSet(labels: Label[], name: string | undefined): string | undefined {
    let metric = name;
    this.at++;
    for (;;) {
      this.blanks();
      if (this.take('}')) return metric;
      const isQuoted = this.peek() === '"';
      const label = isQuoted
        ? this.quoted()
        : (this.match(LABEL_NAME)?.[0] ?? this.fail('expected a label name'));
      this.blanks();
      if (isQuoted && (this.peek() === ',' || this.peek() === '}')) {
        if (metric !== undefined) this.fail('metric name already set');
        metric = label;
        this.take(',');
        continue;
      }
      if (!this.take('=')) this.fail('expected = after the label name');
      this.blanks();
      if (this.peek() !== '"') this.fail('expected a label value in quotes');
      this.addLabel(labels, label, this.quoted());
      this.blanks();
      if (!this.take(',') && this.strict && this.peek() !== '}') this.fail('expected , or } after a label');
    }
  }

  private addLabel(labels: Label[], name: string, value: string): void {
    if (name === '') this.fail('empty label name');
    if (name === '__name__' || labels.some(([known]) => known === name))
      this.fail('label name is not unique');
    if (labels.length === MAX_LABELS) this.fail(`more than ${MAX_LABELS} labels`);
    labels.push([name, value]);
  }

  private textTimestamp(): number | undefined {
    this.skip(BLANKS);
    const digits = this.match(DIGITS)?.[0];
    this.skip(BLANKS);
    if (digits === undefined) return undefined;
    const timestampMs = Number(digits);
    return timestampMs <= MAX_TIME_MS ? timestampMs : this.fail('timestamp out of range');
  }

  private strictTimestamp(): number | undefined {
    if (this.peek() !== ' ' || this.text.startsWith(' # {', this.at)) return undefined;
    const seconds = this.number('timestamp');
    if (!(seconds >= 0 && seconds <= MAX_TIME_MS / 1000)) this.fail('timestamp out of range');
    return secondsToMs(seconds);
  }

  private exemplar(): void {
    if (!this.text.startsWith(' # {', this.at)) this.fail('expected an exemplar or the end of the line');
    this.at += ' # '.length;
    // A name that is set already: a quoted string alone is no exemplar label.
    this.labelSet([], 'exemplar');
    this.number('exemplar value');
    if (this.peek() !== ' ') return;
    if (!Number.isFinite(this.number('exemplar timestamp'))) this.fail('invalid exemplar timestamp');
  }

  private number(what: string): number {
    if (!this.strict) this.skip(BLANKS);
    else if (!this.take(' ')) this.fail(`expected one space before the ${what}`);
    const token = this.match(this.strict ? STRICT_TOKEN : TEXT_VALUE)?.[0];
    if (token === undefined) this.fail(`expected a ${what}`);
    const special = SPECIAL_NUMBERS.get(token.toLowerCase());
    if (special !== undefined) return special;
    if (!NUMBER.test(token)) this.fail(`${what} is not a number`);
    const value = Number(token);
    return Number.isFinite(value) ? value : this.fail(`${what} out of range`);
  }

  /** From the quote under the cursor to the one that ends it, escapes resolved. */
  private quoted(): string {
    const from = this.at + 1;
    let end = from;
    for (;;) {
      end = this.text.indexOf('"', end);
      if (end === -1) this.fail('quote never ends');
      if (end - from > MAX_SERIES_CHARS) this.fail(`series longer than ${MAX_SERIES_CHARS} characters`);
      let slashes = 0;
      while (this.text[end - 1 - slashes] === '\\' && end - 1 - slashes >= from) slashes++;
      if (slashes % 2 === 0) break;
      end++;
    }
    const raw = this.text.slice(from, end);
    if (this.strict && raw.includes('\n')) this.fail('quote does not end on its line');
    this.at = end + 1;
    return raw.includes('\\')
      ? raw.replace(/\\(["\\n])/g, (_, char) => (char === 'n' ? '\n' : String(char)))
      : raw;
  }

  private endFamily(): void {
    if (this.family === undefined) return;
    const members = this.samples.splice(this.family.from);
    for (const sample of withStartTimes(this.family, members)) this.samples.push(sample);
  }

  private peek(): string | undefined {
    return this.text[this.at];
  }

  private take(char: string): boolean {
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  private takeLineEnd(): boolean {
    if (this.text.startsWith('\r\n', this.at)) this.at++;
    return this.take('\n');
  }

  private toLineEnd(): string {
    const end = this.text.indexOf('\n', this.at);
    if (end === -1 && this.strict) this.fail('data does not end with # EOF');
    const line = this.text.slice(this.at, end === -1 ? undefined : end);
    this.at = end === -1 ? this.text.length : end + 1;
    return line.endsWith('\r') ? line.slice(0, -1) : line;
  }

  private blanks(): void {
    if (!this.strict) this.skip(BLANKS);
  }

  private skip(pattern: RegExp): void {
    pattern.lastIndex = this.at;
    pattern.test(this.text);
    this.at = pattern.lastIndex;
  }

  private match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return undefined;
    this.at = pattern.lastIndex;
    return found;
  }

  private fail(message: string, offset = this.at): never {
    throw new Malformed(message, offset);
  }
}
