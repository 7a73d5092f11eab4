/**
 * The series notation of the `*.vectors` files, in the spirit of promql's tests:
 *
 *     define web-0 = namespace=acme-prod, pod=web-0
 *     case reset_without_start
 *     why  A drop is a reset.
 *     rules 6.2
 *     setting maxHoldMs = 90000
 *     counts resets=1
 *     target kubelet-cadvisor n1 {cluster=rt1, node=n1}
 *       at                                         |   0s  30s  60s
 *       container_cpu_usage_seconds_total{$web-0}  | 1000   40    _
 *     expect 09:00 acme rt1 acme-prod cpu 40000000000
 *     detail 09:00 acme rt1 acme-prod cpu Deployment/web - - 40000000000
 *
 * A case with a `detail` names them all: workload, destination and storage class, `-` where there is none.
 * A target is a job, an instance and the labels it puts on each of its points; `resource {..}` adds resource
 * attributes. Each column of `at` is one scrape and so one record, which also carries `up` 1 unless an `up`
 * row says otherwise. A time is `30s` (from 09:00:00) or `10:15[:00[.000]]`, on 2026-10-01 UTC. `09:55>10:15`
 * was scraped at 09:55 and reached the log at 10:15; otherwise a record is on the log 1.5 s after its scrape.
 *
 * A cell is `_` (no point), `stale` (a marker), `none` (a point without a value), a number (`40`, `1.73e9`,
 * `10Gi`, `NaN`, `+Inf`, `-Inf`), `123i` (sent as an integer) or a clock time (its Unix seconds); then
 * `[10s]`, its start, and `@-2s`, its own time where that is not the scrape's. `as sum` and `as delta` name a
 * wire type other than gauge. `$name` puts defined labels in; a later label wins; an empty one is left out. A
 * line that ends with a backslash goes on in the next, and one that begins with `|` goes on with the line
 * before. `repeat 3` delivers every record three times, out of order.
 */
import type { ModelRecord } from '../model/record.ts';
import { metricsData, onLog, type Row, type RowValue, type WireType } from './otlp-json.ts';

export interface ParsedCase {
  readonly name: string;
  readonly why: string;
  readonly rules: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly records: readonly ModelRecord[];
  readonly expected: readonly ExpectedRow[];
  /** None: nobody says how usage is broken down. */
  readonly details: readonly ExpectedDetail[];
}

export interface ExpectedDetail extends ExpectedRow {
  readonly workload: string;
  readonly destination: string;
  readonly storageClass: string;
}

export interface ExpectedRow {
  /** ISO time of the hour's start. */
  readonly hour: string;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly quantity: string;
}

type LabelText = Record<string, string>;

interface Scrape {
  readonly timeMs: number;
  readonly logMs: number;
  readonly rows: Row[];
}

interface TargetBlock {
  readonly job: string;
  readonly instance: string;
  readonly resource: LabelText;
  readonly labels: LabelText;
  scrapes: Scrape[];
  upShown: boolean;
}

interface OpenCase {
  name: string;
  why: string;
  rules: string;
  repeat: number;
  readonly settings: Record<string, unknown>;
  readonly counts: Record<string, number>;
  readonly targets: TargetBlock[];
  readonly expected: ExpectedRow[];
  readonly details: ExpectedDetail[];
}

const DAY = '2026-10-01';
const ZERO_MS = Date.parse(`${DAY}T09:00:00Z`);
const LOG_DELAY_MS = 1500;
const UNITS: Readonly<Record<string, number>> = { Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 };

/** The cases of one file. Throws on a line it does not understand, with the line. */
export function parseVectors(text: string): ParsedCase[] {
  const parser = new VectorParser();
  for (const line of logicalLines(text)) {
    try {
      parser.take(line);
    } catch (cause) {
      throw new Error(`cannot read the line: ${line}`, { cause });
    }
  }
  return parser.cases.map(closeCase);
}

function logicalLines(text: string): string[] {
  const lines = text
    .replaceAll(/\n\s*\||\s*\\\n\s*/g, (joint) => (joint.includes('|') ? ' |' : ' '))
    .split('\n');
  return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}

class VectorParser {
  readonly cases: OpenCase[] = [];
  readonly #defined = new Map<string, LabelText>();

  readonly #words: Readonly<Record<string, (rest: string, line: string) => void>> = {
    define: (rest) => {
      const [name, labels] = splitOnce(rest, /\s*=\s*/);
      this.#defined.set(name, this.#labels(labels));
    },
    case: (name) => {
      this.cases.push(openCase(name));
    },
    why: (rest) => {
      this.#case().why = rest;
    },
    rules: (rest) => {
      this.#case().rules = rest;
    },
    repeat: (rest) => {
      this.#case().repeat = Number(rest);
    },
    setting: (rest) => {
      const [name, value] = splitOnce(rest, /\s*=\s*/);
      this.#case().settings[name] = JSON.parse(value);
    },
    counts: (rest) => {
      const pairs = rest.split(/\s+/).map((pair) => splitOnce(pair, /=/));
      for (const [name, count] of pairs) this.#case().counts[name] = Number(count);
    },
    target: (rest) => {
      this.#case().targets.push(this.#targetBlock(rest));
    },
    expect: (rest) => {
      this.#case().expected.push(expectedRow(rest));
    },
    detail: (rest) => {
      this.#case().details.push(expectedDetail(rest));
    },
    at: (_rest, line) => {
      this.#block().scrapes = cellsOf(line).map(scrapeOf);
    },
  };

  take(line: string): void {
    const [word, rest] = splitOnce(line, /\s+/);
    const read = this.#words[word];
    if (read === undefined) this.#series(line);
    else read(rest, line);
  }

  #case(): OpenCase {
    return known(this.cases.at(-1), 'a line before the first case');
  }

  #block(): TargetBlock {
    return known(this.#case().targets.at(-1), 'a series before the first target of its case');
  }

  #targetBlock(text: string): TargetBlock {
    const form = /^(\S+)(?: +([^\s{]+))?(?: +resource *\{([^}]*)\})? *\{([^}]*)\}$/.exec(text);
    const [, job = '', instance = job, resource = '', labels = ''] = known(form, 'not a target');
    return {
      job,
      instance,
      resource: this.#labels(resource),
      labels: this.#labels(labels),
      scrapes: [],
      upShown: false,
    };
  }

  #series(line: string): void {
    const block = this.#block();
    const form = /^([a-z_0-9]+)(?:\{([^}]*)\})?(?: +as +([a-z]+))? *\|/.exec(line);
    const [, name = '', labelText = '', type] = known(form, 'not a series');
    const labels = withoutEmpty({ ...block.labels, ...this.#labels(labelText) });
    const cells = cellsOf(line);
    if (cells.length !== block.scrapes.length) throw new Error('not as many cells as scrapes');
    if (name === 'up') block.upShown = true;
    block.scrapes.forEach(({ timeMs, rows }, index) => {
      const cell = cellOf(cells[index] ?? '_', timeMs);
      if (cell === undefined) return;
      rows.push({ name, labels, ...cell, ...(type === undefined ? {} : { type: wireType(type) }) });
    });
  }

  #labels(text: string): LabelText {
    const labels: LabelText = {};
    for (const part of text.split(',').map((each) => each.trim())) {
      if (part === '') continue;
      if (part.startsWith('$')) Object.assign(labels, known(this.#defined.get(part.slice(1)), part));
      else {
        const [name, value] = splitOnce(part, /=/);
        labels[name] = value;
      }
    }
    return labels;
  }
}

function openCase(name: string): OpenCase {
  return {
    name,
    why: '',
    rules: '',
    repeat: 1,
    settings: {},
    counts: {},
    targets: [],
    expected: [],
    details: [],
  };
}

function closeCase({ targets, repeat, ...rest }: OpenCase): ParsedCase {
  const scrapes = targets.flatMap((target) => target.scrapes.map((scrape) => ({ target, scrape })));
  scrapes.sort((a, b) => a.scrape.logMs - b.scrape.logMs);
  const values = scrapes.map(({ target, scrape }) => {
    const { timeMs } = scrape;
    const up = { name: 'up', labels: target.labels, timeMs, value: { asDouble: 1 } };
    const rows = target.upShown ? scrape.rows : [up, ...scrape.rows];
    return { timestampMs: scrape.logMs, metricsData: metricsData(target, rows) };
  });
  return { ...rest, records: onLog(repeated(values, repeat)) };
}

/** Deliveries that differ in order: backwards first, then each time from another record on. */
function repeated<T>(values: readonly T[], times: number): readonly T[] {
  if (times === 1) return values;
  const turns = Array.from({ length: times }, (_, turn) => [...values.slice(turn), ...values.slice(0, turn)]);
  return turns.flatMap((turn, index) => (index === 0 ? turn.toReversed() : turn));
}

/** `09:55>10:15`: scraped, and where that is not at once, on the log. */
function scrapeOf(cell: string): Scrape {
  const [scraped, logged] = splitOnce(cell, />/);
  const timeMs = timeOf(scraped);
  return { timeMs, logMs: logged === '' ? timeMs + LOG_DELAY_MS : timeOf(logged), rows: [] };
}

/** `250[10s]@28s`; undefined for `_`. */
function cellOf(cell: string, scrapedMs: number): Omit<Row, 'name' | 'labels'> | undefined {
  if (cell === '_') return undefined;
  const form = /^([^[@]+)(?:\[([^\]]+)\])?(?:@(.+))?$/.exec(cell);
  const [, value = '', start, own] = known(form, 'not a cell');
  const timeMs = own === undefined ? scrapedMs : timeOf(own);
  return { value: valueOf(value), timeMs, ...(start === undefined ? {} : { startMs: timeOf(start) }) };
}

function valueOf(text: string): RowValue {
  if (text === 'stale') return { flags: 1 };
  if (text === 'none') return {};
  if (text === 'NaN') return { asDouble: 'NaN' };
  if (/^[+-]Inf$/.test(text)) return { asDouble: text === '-Inf' ? '-Infinity' : 'Infinity' };
  if (/^\d+i$/.test(text)) return { asInt: text.slice(0, -1) };
  if (text.includes(':')) return { asDouble: timeOf(text) / 1000 };
  const [, number = '', unit = ''] = known(/^(-?[\d.]+(?:e\d+)?)(Ki|Mi|Gi)?$/.exec(text), 'not a value');
  return { asDouble: Number(number) * (UNITS[unit] ?? 1) };
}

/** `-30s` from 09:00:00, or a clock time. */
function timeOf(text: string): number {
  const seconds = /^(-?[\d.]+)s$/.exec(text)?.[1];
  if (seconds !== undefined) return ZERO_MS + Math.round(Number(seconds) * 1000);
  const padded = /^\d\d:\d\d$/.test(text) ? `${text}:00` : text;
  const ms = Date.parse(`${DAY}T${padded}Z`);
  if (Number.isNaN(ms)) throw new Error(`not a time: ${text}`);
  return ms;
}

function expectedRow(text: string): ExpectedRow {
  const [hour = '', tenant = '', cluster = '', namespace = '', meter = '', quantity] = text.split(/\s+/);
  const iso = new Date(timeOf(hour)).toISOString().replace('.000Z', 'Z');
  return { hour: iso, tenant, cluster, namespace, meter, quantity: known(quantity, 'no quantity') };
}

function expectedDetail(text: string): ExpectedDetail {
  const words = text.split(/\s+/);
  const names = words.slice(5, 8).map((word) => (word === '-' ? '' : word));
  const [workload = '', destination = '', storageClass = ''] = names;
  return { ...expectedRow(words.toSpliced(5, 3).join(' ')), workload, destination, storageClass };
}

function wireType(text: string): WireType {
  if (text !== 'sum' && text !== 'delta' && text !== 'histogram') throw new Error(`no wire type: ${text}`);
  return text;
}

function cellsOf(line: string): string[] {
  return line
    .slice(line.indexOf('|') + 1)
    .replaceAll('|', ' ')
    .trim()
    .split(/\s+/);
}

function withoutEmpty(labels: LabelText): LabelText {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ''));
}

function splitOnce(text: string, separator: RegExp): [string, string] {
  const found = separator.exec(text);
  return found === null
    ? [text, '']
    : [text.slice(0, found.index), text.slice(found.index + found[0].length)];
}

function known<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new Error(what);
  return value;
}
