/**
 * The ledger's table: appended to, never changed. In: entries. Out: the same in one sequence, and beside it
 * what queries read (`usage_current`, `usage_day`), which is made from the ledger alone and can be made
 * again.
 *
 * The sequence number is given by the inserting statement, and there is one writer at a time: so numbers
 * have no holes, and grow in the order in which entries become visible. An entry that is there already (same
 * id) is not written again. A crash between the ledger and its projections is repaired by the next append or
 * by `project`.
 */
import { DAY_MS } from '../../core/metering/hour.ts';
import { periodOf, periodStart, type Period } from '../../core/metering/period.ts';
import { ANYBODY, type WriteRight } from '../coordination/writer.ts';
import { idsIn } from '../store/ids.ts';
import { blockStructure, int128Column, nativeBlock, type Column } from '../store/native-block.ts';
import type { Parameters, UsageStore } from '../store/usage-store.ts';
import { RULE_VERSION, type LedgerEntry, type Quarters } from './entry.ts';

/**
 * Parameters of one statement, and rows of one insert: an insert of this size is one block, so all of it or
 * nothing.
 */
const CHUNK = 50_000;
const IDS_PER_STATEMENT = 10_000;

export class Ledger {
  readonly #store: UsageStore;
  readonly #right: WriteRight;

  constructor(deps: { readonly store: UsageStore; readonly right?: WriteRight }) {
    this.#store = deps.store;
    this.#right = deps.right ?? ANYBODY;
  }

  /** The newest sequence number; 0 for an empty ledger. */
  async head(): Promise<bigint> {
    const [row] = await this.#store.rows<{ head: string }>('SELECT max(seq) AS head FROM ledger');
    return BigInt(row?.head ?? 0);
  }

  /** Appends those that are not there yet. */
  async append(entries: readonly LedgerEntry[]): Promise<void> {
    for (const chunk of insertsOf(await this.#missing(entries))) await this.#insert(chunk);
  }

  /**
   * Appends entries about hours that were read when the ledger ended at `head`, unless somebody has written
   * about these hours since: then false, and nothing is left of what was read too early.
   */
  async appendAfter(head: bigint, entries: readonly LedgerEntry[], read: ReadHours): Promise<boolean> {
    let above = head;
    for (const chunk of insertsOf(entries)) {
      await this.#insert(chunk, { ...read, above });
      const [row] = await this.#store.rows<{ mine: string; newest: string }>(
        `SELECT countIf(id = unhex({id:String})) AS mine, max(seq) AS newest FROM ledger
         WHERE seq > {above:UInt64}`,
        { above, id: chunk[0]?.id.toString('hex') ?? '' },
      );
      if (Number(row?.mine ?? 0) === 0) return false;
      above = BigInt(row?.newest ?? 0);
    }
    return true;
  }

  /** Entries about these hours after `head`, whoever wrote them. */
  async countAfter(head: bigint, read: ReadHours): Promise<number> {
    const [row] = await this.#store.rows<{ n: string }>(
      `SELECT count() AS n FROM ledger WHERE ${ABOUT_HOURS}`,
      aboutParameters({ ...read, above: head }),
    );
    return Number(row?.n ?? 0);
  }

  /**
   * Brings what queries read up to the ledger, from the entry after `from` on. Repeating it changes nothing.
   */
  async project(from: bigint): Promise<void> {
    await this.#store.command(
      `INSERT INTO usage_current (tenant, meter, hour, cluster, namespace, q0, q1, q2, q3, missing_ms,
         samples, flags, covered_ms, expected_ms, revision, seq)
       SELECT tenant, meter, hour, cluster, namespace, q0, q1, q2, q3, missing_ms, samples, flags,
         covered_ms, expected_ms, revision, seq
       FROM ledger WHERE seq > {from:UInt64} AND kind = 'usage' AND ${BEFORE_CLOSE}`,
      { from },
    );
    await this.#projectDays(from);
  }

  /**
   * Where `project` has to begin for these hours to be up to date; undefined if they are. A process that died
   * between its entries and their projection left something behind, and nobody else knows from where on.
   */
  async unprojected(cluster: string, hours: readonly number[]): Promise<bigint | undefined> {
    const [row] = await this.#store.rows<{ n: string; first: string }>(
      `SELECT count() AS n, min(l.newest) AS first
       FROM (
         SELECT tenant, meter, hour, namespace, max(seq) AS newest FROM ledger
         WHERE kind = 'usage' AND cluster = {cluster:String} AND ${IN_HOURS} AND ${BEFORE_CLOSE}
         GROUP BY tenant, meter, hour, namespace
       ) AS l
       LEFT JOIN (
         SELECT tenant, meter, hour, namespace, max(seq) AS newest FROM usage_current
         WHERE cluster = {cluster:String} AND ${IN_HOURS} GROUP BY tenant, meter, hour, namespace
       ) AS c ON l.tenant = c.tenant AND l.meter = c.meter AND l.hour = c.hour AND l.namespace = c.namespace
       LEFT JOIN (
         SELECT tenant, meter, day, namespace, max(seq) AS newest FROM usage_day
         WHERE cluster = {cluster:String} AND day >= toDate(toDateTime({first:Int64}, 'UTC'))
           AND day <= toDate(toDateTime({last:Int64}, 'UTC'))
         GROUP BY tenant, meter, day, namespace
       ) AS d ON l.tenant = d.tenant AND l.meter = d.meter AND toDate(l.hour) = d.day
         AND l.namespace = d.namespace
       WHERE c.newest < l.newest OR d.newest < l.newest`,
      { cluster, ...hoursParameters(hours) },
    );
    return row === undefined || Number(row.n) === 0 ? undefined : BigInt(row.first) - 1n;
  }

  /**
   * Takes back what queries read of entries that came too late for a close: written by a process that did not
   * know of it yet, and shown before it was decided.
   */
  async showAsClosed({ period, upTo }: { readonly period: Period; readonly upTo: bigint }): Promise<void> {
    const [stray] = await this.#store.rows<{ n: string }>(
      'SELECT count() AS n FROM usage_current WHERE toYYYYMM(hour) = {period:UInt32} AND seq > {upTo:UInt64}',
      { period, upTo },
    );
    if (Number(stray?.n ?? 0) === 0) return;
    for (const [table, day] of [['usage_current', 'hour'] as const, ['usage_day', 'day'] as const])
      await this.#store.command(
        `ALTER TABLE ${table} DELETE WHERE toYYYYMM(${day}) = {period:UInt32} AND seq > {upTo:UInt64}
         SETTINGS mutations_sync = 2`,
        { period, upTo },
      );
    const [first] = await this.#store.rows<{ seq: string }>(
      "SELECT min(seq) AS seq FROM ledger WHERE kind = 'usage' AND toYYYYMM(hour) = {period:UInt32}",
      { period },
    );
    await this.project(BigInt(first?.seq ?? 1) - 1n);
  }

  /** Throws away what queries read and makes it again. */
  async rebuild(): Promise<void> {
    await this.#store.command('TRUNCATE TABLE usage_current');
    await this.#store.command('TRUNCATE TABLE usage_day');
    await this.project(0n);
  }

  /** Days that the entries after `from` touch, summed again from their hours. */
  async #projectDays(from: bigint): Promise<void> {
    const [range] = await this.#store.rows<{ first: number; last: number; n: string }>(
      `SELECT toUnixTimestamp(min(hour)) AS first, toUnixTimestamp(max(hour)) AS last, count() AS n
       FROM ledger WHERE seq > {from:UInt64} AND kind = 'usage'`,
      { from },
    );
    if (range === undefined || Number(range.n) === 0) return;
    const first = Math.floor((range.first * 1000) / DAY_MS) * DAY_MS;
    const months = monthsBetween(first, range.last * 1000);
    for (const month of months) {
      await this.#store.command(
        `INSERT INTO usage_day
           (tenant, meter, day, cluster, namespace, quantity, missing_ms, samples, flags, revision, seq)
         SELECT tenant, meter, toDate(h) AS day, cluster, namespace, sum(toInt256(q)), sum(toInt256(missing)),
           sum(n), groupBitOr(f), max(r), max(newest)
         FROM (
           SELECT tenant, meter, hour AS h, cluster, namespace, max(seq) AS newest, max(revision) AS r,
             argMax(toInt256(q0) + q1 + q2 + q3, seq) AS q, argMax(missing_ms, seq) AS missing,
             argMax(samples, seq) AS n, argMax(flags, seq) AS f
           FROM ledger
           WHERE kind = 'usage' AND toYYYYMM(hour) = {month:UInt32} AND ${BEFORE_CLOSE}
             AND hour >= toDateTime({first:Int64}, 'UTC') AND hour < toDateTime({end:Int64}, 'UTC')
             AND (cluster, toDate(hour)) IN (
               SELECT cluster, toDate(hour) FROM ledger WHERE seq > {from:UInt64} AND kind = 'usage')
           GROUP BY tenant, meter, h, cluster, namespace
         )
         GROUP BY tenant, meter, day, cluster, namespace`,
        {
          from,
          month,
          first: first / 1000,
          end: (Math.floor((range.last * 1000) / DAY_MS) * DAY_MS + DAY_MS) / 1000,
        },
      );
    }
  }

  async #missing(entries: readonly LedgerEntry[]): Promise<LedgerEntry[]> {
    const known = new Set<string>();
    for (let i = 0; i < entries.length; i += IDS_PER_STATEMENT) {
      const chunk = entries.slice(i, i + IDS_PER_STATEMENT);
      const hours = chunk.map((entry) => entry.hour / 1000);
      const first = hours.reduce((a, b) => Math.min(a, b));
      const last = hours.reduce((a, b) => Math.max(a, b));
      const rows = await this.#store.rows<{ known: string }>(
        `SELECT hex(id) AS known FROM ledger
         WHERE ${BETWEEN} AND id IN ${idsIn('ids')}`,
        { first, last, ids: chunk.map((entry) => entry.id.toString('hex')) },
      );
      for (const row of rows) known.add(row.known.toLowerCase());
    }
    return entries.filter((entry) => {
      const id = entry.id.toString('hex');
      if (known.has(id)) return false;
      known.add(id);
      return true;
    });
  }

  async #insert(entries: readonly LedgerEntry[], unless?: ReadHours & { above: bigint }): Promise<void> {
    const columns = columnsOf(entries);
    const same = columns.map((column) => column.name).filter((name) => name !== 'n' && name !== 'seconds');
    const isNew = unless === undefined ? '' : ` AND (SELECT count() FROM ledger WHERE ${ABOUT_HOURS}) = 0`;
    const about = unless === undefined ? {} : aboutParameters(unless);
    await this.#right.guarded(({ where, parameters }) =>
      this.#store.insertBlock({
        table: 'ledger',
        columns: ['seq', 'hour', 'rule_version', ...same],
        structure: blockStructure(columns),
        select: [
          '(SELECT max(seq) FROM ledger) + n',
          "toDateTime(seconds, 'UTC')",
          '{ruleVersion:UInt16}',
          ...same,
        ],
        where: `${where}${isNew}`,
        parameters: { ruleVersion: RULE_VERSION, ...about, ...parameters },
        block: nativeBlock(entries.length, columns),
      }),
    );
  }
}

/**
 * One insert each, all of it or nothing: the store makes the rows of a month visible together, but those of
 * two months one after the other, and a reader could see the later places before the earlier ones.
 */
function insertsOf(entries: readonly LedgerEntry[]): LedgerEntry[][] {
  const inserts: LedgerEntry[][] = [];
  for (const ofMonth of Map.groupBy(entries, ({ hour }) => periodOf(hour)).values()) {
    for (let i = 0; i < ofMonth.length; i += CHUNK) inserts.push(ofMonth.slice(i, i + CHUNK));
  }
  return inserts;
}

const BETWEEN = "hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')";
const IN_HOURS = `${BETWEEN} AND toUnixTimestamp(hour) IN {hours:Array(UInt32)}`;

function hoursParameters(hours: readonly number[]): { hours: number[]; first: number; last: number } {
  const seconds = hours.map((hour) => hour / 1000);
  return { hours: seconds, first: Math.min(...seconds), last: Math.max(...seconds) };
}

/** What an entry was made from: hours of a cluster. */
export interface ReadHours {
  readonly cluster: string;
  readonly hours: readonly number[];
}

const ABOUT_HOURS = `seq > {above:UInt64} AND cluster = {cluster:String} AND ${IN_HOURS}
  AND kind IN ('usage', 'correction', 'coverage') AND NOT final`;

function aboutParameters({ cluster, hours, above }: ReadHours & { readonly above: bigint }): Parameters {
  return { cluster, above, ...hoursParameters(hours) };
}

/**
 * Of a closed period queries read what its close saw. A process that did not know of the close yet may have
 * written more; that is corrected, and never read as if it stood in the statement.
 */
const BEFORE_CLOSE = `(toYYYYMM(hour) NOT IN (SELECT period FROM decision WHERE kind = 'close')
  OR seq <= (SELECT maxMap(map(period, up_to)) FROM (
    SELECT period, argMin(up_to, decided_at) AS up_to FROM decision WHERE kind = 'close' GROUP BY period
  ))[toYYYYMM(hour)])`;

function columnsOf(entries: readonly LedgerEntry[]): Column[] {
  const text = (name: string, of: (entry: LedgerEntry) => string): Column => ({
    name,
    type: 'String',
    data: entries.map(of),
  });
  const bytes = (name: string, of: (entry: LedgerEntry) => Buffer): Column => ({
    name,
    type: 'FixedString(16)',
    data: Buffer.concat(entries.map(of)),
  });
  const uint32 = (name: string, of: (entry: LedgerEntry) => number): Column => ({
    name,
    type: 'UInt32',
    data: Uint32Array.from(entries, of),
  });
  const uint64 = (name: string, of: (entry: LedgerEntry) => bigint): Column => ({
    name,
    type: 'UInt64',
    data: BigUint64Array.from(entries, of),
  });
  const quarters = (prefix: string, of: (entry: LedgerEntry) => Quarters): Column[] =>
    ([0, 1, 2, 3] as const).map((i) =>
      int128Column(
        `${prefix}${i}`,
        entries.map((entry) => of(entry)[i]),
      ),
    );
  return [
    { name: 'n', type: 'UInt32', data: Uint32Array.from(entries, (_, i) => i + 1) },
    uint32('seconds', (entry) => entry.hour / 1000),
    bytes('id', (entry) => entry.id),
    text('kind', (entry) => entry.kind),
    uint32('period', (entry) => entry.period),
    text('cluster', (entry) => entry.cluster),
    text('tenant', (entry) => entry.tenant),
    text('namespace', (entry) => entry.namespace),
    text('meter', (entry) => entry.meter),
    uint32('revision', (entry) => entry.revision),
    { name: 'final', type: 'UInt8', data: Uint8Array.from(entries, (entry) => Number(entry.final)) },
    ...quarters('q', (entry) => entry.quarters),
    ...quarters('p', (entry) => entry.before),
    int128Column(
      'missing_ms',
      entries.map((entry) => entry.missingMs),
    ),
    uint64('samples', (entry) => entry.samples),
    uint32('flags', (entry) => entry.flags),
    uint64('covered_ms', (entry) => entry.coveredMs),
    uint64('expected_ms', (entry) => entry.expectedMs),
    bytes('input_hash', (entry) => entry.inputHash),
    text('body', (entry) => entry.body),
  ];
}

function monthsBetween(fromMs: number, toMs: number): Period[] {
  const months: Period[] = [];
  for (let at = fromMs; at <= toMs;) {
    const date = new Date(at);
    const month = date.getUTCFullYear() * 100 + date.getUTCMonth() + 1;
    months.push(month);
    at = periodStart(date.getUTCMonth() === 11 ? month + 89 : month + 1);
  }
  return months;
}
