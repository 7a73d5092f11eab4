/**
 * What must hold when a world has come to rest. Each check gives the differences it found, in words; none is
 * the promise.
 */
import { readDecisions, type Close } from '../../aggregator/ledger/decisions.ts';
import { SETTLE_AFTER_MS } from '../../aggregator/ledger/settler.ts';
import type { Statement } from '../../aggregator/ledger/statement.ts';
import { parseStatement } from '../../aggregator/ledger/statements/json.ts';
import { readWatermarks } from '../../aggregator/ledger/watermarks.ts';
import { readUsageRows } from '../../aggregator/rollup/usage-rows.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { periodOf, periodStart } from '../../core/metering/period.ts';
import type { ModelRow } from '../model/model.ts';
import { Expected, keyOf, textOf, type Key, type Usage } from './expected.ts';
import type { Simulation } from './simulation.ts';
import { HOUR } from './traffic.ts';
import { readFeed } from './watcher.ts';
import { zoneDifferences, ZONES } from './zones.ts';

const ZONES_EACH = 2;

export async function differences(simulation: Simulation): Promise<string[]> {
  const { store, appended, world } = simulation;
  const expected = new Expected(appended, world.settings, await readDecisions(store));
  return [
    ...(await partsDifferences(store, expected)),
    ...(await ledgerDifferences(store, expected)),
    ...(await currentDifferences(store, expected)),
    ...(await dayDifferences(store)),
    ...(await statementDifferences(store, expected)),
    ...(await ownerDifferences(store, expected, simulation)),
    ...(await feedDifferences(simulation)),
    ...(await simulation.watcher.changedPeriods()).map(
      (period) => `what queries read of ${String(period)} changed after its close`,
    ),
    ...(await readerDifferences(simulation, expected)),
  ];
}

/**
 * A few zones each, so that all are seen in ten worlds. What is not settled is read as the roll-up left it.
 */
async function readerDifferences({ store, world }: Simulation, expected: Expected): Promise<string[]> {
  if (expected.judgedFrom > 0) return [];
  const first = (world.seed * ZONES_EACH) % ZONES.length;
  const zones = ['UTC', ...[...ZONES, ...ZONES].slice(first, first + ZONES_EACH)];
  return await zoneDifferences(store, [...expected.current().values()], zones);
}

type Compared = Pick<ModelRow, 'quarters' | 'missingMs'>;

function compare(
  what: string,
  model: ReadonlyMap<string, Compared>,
  store: ReadonlyMap<string, Compared>,
): string[] {
  return [...new Set([...model.keys(), ...store.keys()])]
    .sort()
    .map((key) => ({ key, model: textOf(model.get(key)), store: textOf(store.get(key)) }))
    .filter((row) => row.model !== row.store)
    .map((row) => `${what} ${row.key}: the model says ${row.model}, not ${row.store}`);
}

function where(usage: Usage, holds: (row: ModelRow) => boolean): Map<string, ModelRow> {
  return new Map([...usage].filter(([, row]) => holds(row)));
}

/** What the roll-up says now is what the model says of all records. */
async function partsDifferences(store: UsageStore, expected: Expected): Promise<string[]> {
  const isJudged = ({ hour }: Key): boolean => hour >= expected.judgedFrom;
  const rows = (await readUsageRows(store)).filter(isJudged);
  const parts = new Map(rows.map((row) => [keyOf(row), row]));
  return compare('parts', where(expected.atEnd, isJudged), parts);
}

interface LatestRow {
  readonly seconds: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly quarters: readonly string[];
  readonly missing: string;
}

/** By key, without those that say nothing. */
async function usageOf(store: UsageStore, sql: string): Promise<Map<string, ModelRow>> {
  const rows = await store.rows<LatestRow>(sql);
  return new Map(
    rows.map((row) => {
      const [a = 0n, b = 0n, c = 0n, d = 0n] = row.quarters.map(BigInt);
      const { tenant, cluster, namespace, meter } = row;
      const key = { hour: row.seconds * 1000, tenant, cluster, namespace, meter };
      const quarters = [a, b, c, d] as const;
      return [keyOf(key), { ...key, quarters, quantity: a + b + c + d, missingMs: BigInt(row.missing) }];
    }),
  );
}

const SOMETHING = 'quarters != [0, 0, 0, 0] OR missing != 0';

/** The last word of the ledger on a settled hour is what the model says of all records. */
async function ledgerDifferences(store: UsageStore, expected: Expected): Promise<string[]> {
  const watermarks = await readWatermarks(store);
  const isJudged = ({ hour, cluster }: Key): boolean =>
    hour >= expected.judgedFrom && hour + HOUR + SETTLE_AFTER_MS <= (watermarks.get(cluster) ?? 0);
  const latest = await usageOf(
    store,
    `SELECT toUnixTimestamp(hour) AS seconds, tenant, cluster, namespace, meter,
       argMax([q0, q1, q2, q3], seq) AS quarters, argMax(missing_ms, seq) AS missing
     FROM ledger WHERE kind IN ('usage', 'correction') AND NOT final
     GROUP BY seconds, tenant, cluster, namespace, meter HAVING ${SOMETHING}`,
  );
  return compare('ledger', where(expected.atEnd, isJudged), where(latest, isJudged));
}

/** What queries read is the model's: of a closed period at its cut, of an open one at the end. */
async function currentDifferences(store: UsageStore, expected: Expected): Promise<string[]> {
  const watermarks = await readWatermarks(store);
  const closed = new Set(expected.closes.map(({ period }) => period));
  const isJudged = ({ hour, cluster }: Key): boolean =>
    hour >= expected.judgedFrom &&
    (closed.has(periodOf(hour)) ||
      (hour >= expected.closedBefore && hour + HOUR + SETTLE_AFTER_MS <= (watermarks.get(cluster) ?? 0)));
  const current = await usageOf(
    store,
    `SELECT toUnixTimestamp(hour) AS seconds, tenant, cluster, namespace, meter, [q0, q1, q2, q3] AS quarters,
       missing_ms AS missing
     FROM usage_current FINAL WHERE ${SOMETHING}`,
  );
  return compare('current', where(expected.current(), isJudged), where(current, isJudged));
}

/** Days are the sums of their hours. */
async function dayDifferences(store: UsageStore): Promise<string[]> {
  const rows = await store.rows<{ what: string }>(
    `SELECT formatRow('JSONCompactEachRow', tenant, meter, day, cluster, namespace, sum(hours), sum(days)) AS what
     FROM (
       SELECT tenant, meter, toDate(hour) AS day, cluster, namespace, toInt256(q0) + q1 + q2 + q3 AS hours,
         toInt256(0) AS days FROM usage_current FINAL
       UNION ALL
       SELECT tenant, meter, day, cluster, namespace, toInt256(0), quantity FROM usage_day FINAL
     ) GROUP BY tenant, meter, day, cluster, namespace HAVING sum(hours) != sum(days)`,
  );
  return rows.map(({ what }) => `day and its hours: ${what}`);
}

export async function readStatementsOf(store: UsageStore, close: Close): Promise<Statement[]> {
  const rows = await store.rows<{ tenant: string; hash: string; body: string }>(
    'SELECT tenant, hash, body FROM statement WHERE period = {period:UInt32}',
    { period: close.period },
  );
  const bodies = new Map(rows.map(({ tenant, hash, body }) => [`${tenant} ${hash}`, body]));
  return close.statements.map(([tenant, hash]) => parseStatement(bodies.get(`${tenant} ${hash}`) ?? ''));
}

/** Lines are the model's hours at the cut; corrections what changed in the model since the cut before. */
async function statementDifferences(store: UsageStore, expected: Expected): Promise<string[]> {
  const found: string[] = [];
  for (const [i, close] of expected.closes.entries()) {
    const statements = await readStatementsOf(store, close);
    const name = `statement ${String(close.period)}`;
    if (periodStart(close.period) >= expected.judgedFrom)
      found.push(...sameText(`${name} line`, modelLines(expected.at(close), close), statedLines(statements)));
    const previous = expected.closes[i - 1];
    const before = previous === undefined ? undefined : expected.at(previous);
    const stated = statedCorrections(statements, expected.judgedFrom);
    const model = modelCorrections(before, expected.at(close), { close, from: expected.judgedFrom });
    found.push(...sameText(`${name} correction`, model, stated));
  }
  return found;
}

function modelLines(usage: Usage, { period }: Close): Map<string, string> {
  const lines = new Map<string, { quantity: bigint; missingMs: bigint }>();
  for (const row of usage.values()) {
    if (periodOf(row.hour) !== period) continue;
    const key = [row.tenant, row.meter, row.cluster, row.namespace].join(' ');
    const line = lines.get(key) ?? { quantity: 0n, missingMs: 0n };
    lines.set(key, { quantity: line.quantity + row.quantity, missingMs: line.missingMs + row.missingMs });
  }
  return new Map([...lines].map(([key, line]) => [key, lineText(line)]));
}

function statedLines(statements: readonly Statement[]): Map<string, string> {
  return new Map(
    statements.flatMap(({ tenant, lines }) =>
      lines
        .filter(({ quantity, missingMs }) => quantity !== 0n || missingMs !== 0n)
        .map(
          (line) => [[tenant, line.meter, line.cluster, line.namespace].join(' '), lineText(line)] as const,
        ),
    ),
  );
}

function lineText({ quantity, missingMs }: { quantity: bigint; missingMs: bigint }): string {
  return `${String(quantity)} missing ${String(missingMs)}`;
}

function modelCorrections(
  before: Usage | undefined,
  after: Usage,
  { close, from }: { readonly close: Close; readonly from: number },
): Map<string, string> {
  if (before === undefined) return new Map();
  const rows = [...before.values(), ...after.values()].filter(
    ({ hour }) => hour < periodStart(close.period) && hour >= from,
  );
  const corrections = rows.flatMap((row): [string, string][] => {
    const [was, is] = [before.get(keyOf(row)), after.get(keyOf(row))];
    const isSame = was?.quarters.join() === is?.quarters.join();
    const isNothing = (was?.quantity ?? 0n) === 0n && (is?.quantity ?? 0n) === 0n;
    return isSame || isNothing
      ? []
      : [[keyOf(row), `${String(was?.quantity ?? 0n)} to ${String(is?.quantity ?? 0n)}`]];
  });
  return new Map(corrections);
}

function statedCorrections(statements: readonly Statement[], from: number): Map<string, string> {
  return new Map(
    statements.flatMap(({ tenant, corrections }) =>
      corrections
        .filter(({ hour }) => hour >= from)
        .map(
          (line) => [keyOf({ ...line, tenant }), `${String(line.before)} to ${String(line.after)}`] as const,
        ),
    ),
  );
}

function sameText(
  what: string,
  model: ReadonlyMap<string, string>,
  stated: ReadonlyMap<string, string>,
): string[] {
  return [...new Set([...model.keys(), ...stated.keys()])]
    .filter((key) => model.get(key) !== stated.get(key))
    .sort()
    .map(
      (key) =>
        `${what} ${key}: the model says ${model.get(key) ?? 'nothing'}, not ${stated.get(key) ?? 'nothing'}`,
    );
}

/** No statement has a row of a namespace that was never its tenant's. */
async function ownerDifferences(
  store: UsageStore,
  expected: Expected,
  { appended, world }: Simulation,
): Promise<string[]> {
  const owners = new Set<string>(
    world.settings.platformNamespaces.map((namespace) => `platform ${namespace}`),
  );
  const labels = JSON.stringify(appended.map(({ metricsData }) => metricsData)).matchAll(
    /"namespace","value":\{"stringValue":"([^"]*)"\}\},\{"key":"label_gh0stcloud_io_tenant","value":\{"stringValue":"([^"]*)"/g,
  );
  for (const [, namespace = '', tenant = ''] of labels) owners.add(`${tenant} ${namespace}`);
  const found: string[] = [];
  for (const close of expected.closes) {
    for (const { tenant, lines, corrections } of await readStatementsOf(store, close)) {
      if (tenant === 'unattributed') continue;
      const foreign = [...lines, ...corrections].find(
        ({ namespace }) => !owners.has(`${tenant} ${namespace}`),
      );
      if (foreign !== undefined) found.push(`${tenant} is billed for ${foreign.namespace}`);
    }
  }
  return found;
}

/** Whoever followed the ledger by cursor has seen all of it, in its order, and each id says one thing. */
async function feedDifferences({ store, watcher }: Simulation): Promise<string[]> {
  const whole = await readFeed(store, 0n, 10_000_000);
  const found: string[] = [];
  if (whole.length !== watcher.feed.length)
    found.push(`the feed had ${String(watcher.feed.length)} entries of ${String(whole.length)}`);
  const changed = whole.find((entry, i) => {
    const seen = watcher.feed[i];
    return seen?.seq !== entry.seq || seen.text !== entry.text;
  });
  if (changed !== undefined)
    found.push(`the feed had not seen entry ${String(changed.seq)}: ${changed.text}`);
  const seqs = new Set(whole.map(({ seq }) => seq));
  if (seqs.size < whole.length) found.push('two entries have one sequence number');
  const said = new Map<string, string>();
  for (const { id, text } of whole) {
    if ((said.get(id) ?? text) !== text)
      found.push(`one id says two things: ${text} and ${said.get(id) ?? ''}`);
    said.set(id, text);
  }
  return found;
}
