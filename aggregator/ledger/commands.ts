/** What the command line can do with a ledger. In: a store that nobody else has open. Out: text, or files. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parsePeriod, periodName, type Period } from '../../core/metering/period.ts';
import type { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import { csv } from '../../core/runtime/csv.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { capturedBatches } from '../rollup/replay.ts';
import { readUsageRows, type UsageRow } from '../rollup/usage-rows.ts';
import type { ReadOptions, UsageStore } from '../store/usage-store.ts';
import { decisionLine } from './decision-lines.ts';
import { readCloses, readDecisions, type Close, type Decision } from './decisions.ts';
import { DecisionReplay, stageOf, type ReplayDeps } from './replay-decisions.ts';
import { parseStatement } from './statements/json.ts';
import { renderStatement, type StatementFormat } from './statements/render.ts';

/** Every close and floor as JSON lines, oldest first. */
export async function decisionsText(store: UsageStore): Promise<string> {
  return (await readDecisions(store)).map((decision) => `${decisionLine(decision)}\n`).join('');
}

/** `period,tenant,hash` of the statements of a closed period. */
export async function statementsText(store: UsageStore, period: string): Promise<string> {
  const close = await closeOf(store, period);
  const records = close.statements.map(([tenant, hash]) => [period, tenant, hash]);
  return csv(['period', 'tenant', 'hash'], records, '\n');
}

/** One tenant's statement in one form. */
export async function statementBytes(
  store: UsageStore,
  wanted: { readonly period: string; readonly tenant: string; readonly format: StatementFormat },
): Promise<Uint8Array> {
  const close = await closeOf(store, wanted.period);
  const hash = close.statements.find(([tenant]) => tenant === wanted.tenant)?.[1];
  if (hash === undefined) {
    const tenants = close.statements.map(([tenant]) => tenant).join(', ');
    throw new MeteringError(
      'METER_INPUT_UNREADABLE',
      `${wanted.period} has no statement of ${wanted.tenant}; it has those of: ${tenants}`,
    );
  }
  return await rendered(store, close.period, { tenant: wanted.tenant, hash, format: wanted.format });
}

/** All statements of a period as files `<directory>/<period>/<tenant>.<extension>`; their number. */
export async function writeStatements(
  store: UsageStore,
  wanted: { readonly period: string; readonly format: StatementFormat; readonly directory: string },
): Promise<number> {
  const close = await closeOf(store, wanted.period);
  const directory = join(wanted.directory, wanted.period);
  await mkdir(directory, { recursive: true });
  for (const [tenant, hash] of close.statements) {
    const body = await rendered(store, close.period, { tenant, hash, format: wanted.format });
    await writeFile(join(directory, `${encodeURIComponent(tenant)}.${EXTENSIONS[wanted.format]}`), body);
  }
  return close.statements.length;
}

const EXTENSIONS: Readonly<Record<StatementFormat, string>> = {
  json: 'json',
  csv: 'csv',
  focus: 'focus.csv',
  parquet: 'parquet',
};

/** A statement's bytes as its close wrote them. */
export async function storedStatement(
  store: UsageStore,
  wanted: { readonly period: Period; readonly tenant: string; readonly hash: string },
  options?: ReadOptions,
): Promise<string> {
  const [row] = await store.rows<{ body: string }>(
    `SELECT body FROM statement
     WHERE period = {period:UInt32} AND tenant = {tenant:String} AND hash = {hash:String} LIMIT 1`,
    { ...wanted },
    options,
  );
  if (row !== undefined) return row.body;
  throw new MeteringError(
    'METER_STORE_REJECTED',
    `the statement of ${wanted.tenant} for ${periodName(wanted.period)} is not in the store although its ` +
      'close names it; restore the table `statement` from a backup, or replay log and decisions',
  );
}

async function rendered(
  store: UsageStore,
  period: Period,
  wanted: { readonly tenant: string; readonly hash: string; readonly format: StatementFormat },
): Promise<Uint8Array> {
  const { tenant, hash, format } = wanted;
  const body = await storedStatement(store, { period, tenant, hash });
  return format === 'json' ? Buffer.from(body) : renderStatement(parseStatement(body), format).body;
}

async function closeOf(store: UsageStore, name: string): Promise<Close> {
  const closes = await readCloses(store);
  const close = closes.find(({ period }) => period === parsePeriod(name));
  if (close !== undefined) return close;
  const closed = closes.map(({ period }) => periodName(period)).join(', ');
  throw new MeteringError(
    'METER_INPUT_UNREADABLE',
    `${name} is not a closed period (periods are months, such as 2026-10); ` +
      `closed are: ${closed || 'none yet'}`,
  );
}

/** Captured records and the decisions about them, into an empty store: the same closes at the same cuts. */
export async function replayDecisions(
  files: readonly string[],
  given: { readonly decisions: readonly Decision[]; readonly settings: SettingsTimeline },
  deps: ReplayDeps & { readonly progress: (line: string) => void },
): Promise<UsageRow[]> {
  const { decisions, settings } = given;
  const replay = new DecisionReplay(settings, decisions, deps);
  for (let stage = 0; stage <= decisions.length; stage++) {
    let records = 0;
    for await (const batch of capturedBatches(files)) {
      const ofStage = batch.filter((record) => stageOf(record, decisions) === stage);
      records += ofStage.length;
      if (ofStage.length > 0) await replay.take(ofStage);
    }
    const decision = decisions[stage];
    if (decision !== undefined) await replay.decide(decision);
    deps.progress(`${records} records up to ${decision === undefined ? 'the end' : nameOf(decision)}`);
  }
  await replay.finish();
  const rows = await readUsageRows(deps.store);
  return rows.filter((row) => row.quantity !== 0n);
}

function nameOf(decision: Decision): string {
  switch (decision.kind) {
    case 'close':
      return `the close of ${periodName(decision.period)}`;
    case 'erasure':
      return `the erasure of ${decision.tenant}`;
    case 'floor':
    case 'hours':
      return `the floor ${new Date(decision.floor).toISOString()}`;
  }
}
