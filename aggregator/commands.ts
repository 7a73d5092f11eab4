/**
 * What the command line can ask of a store. In: a store and a command's options as they were typed. Out: text
 * for whoever asked, and the status to end with. Nothing is changed but by `rebuild`, and by a replay in the
 * throwaway store that it is given.
 */
import { join } from 'node:path';
import type { SampleLog } from '../core/eventlog/sample-log.ts';
import { HOUR_MS } from '../core/metering/hour.ts';
import { parsePeriod, periodName, type Period } from '../core/metering/period.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { OptionsOf } from '../core/runtime/command-line.ts';
import { csv } from '../core/runtime/csv.ts';
import { MeteringError } from '../core/runtime/errors.ts';
import type { FactSink } from '../core/runtime/facts.ts';
import { readSettingsTimeline } from '../core/runtime/settings.ts';
import { readQuarantine, retryQuarantine } from './ingest/quarantine.ts';
import {
  decisionsText,
  replayDecisions,
  statementBytes,
  statementsText,
  writeStatements,
} from './ledger/commands.ts';
import { readDecisionLines } from './ledger/decision-lines.ts';
import { explain, renderExplanation } from './ledger/explain.ts';
import { Ledger } from './ledger/ledger.ts';
import { SettingsInForce } from './ledger/settings-in-force.ts';
import { renderVerifyReport, verify, verifyStatus } from './ledger/verify.ts';
import { replay, replayRecords } from './rollup/replay.ts';
import type { UsageStore } from './store/usage-store.ts';

/** Where a command answers, and where it says how far it is. */
export interface CommandOutput {
  readonly print: (answer: string | Uint8Array) => void;
  readonly note: (line: string) => void;
}

export interface CommandDeps extends CommandOutput {
  readonly store: UsageStore;
  readonly facts: FactSink;
}

export async function runReplay(
  files: readonly string[],
  options: OptionsOf<'replay'>,
  deps: CommandDeps & { readonly clock: Clock },
): Promise<number> {
  const settings = readSettingsTimeline(options.settings);
  const { store, note: progress } = deps;
  const { decisions: decisionsFile, statements } = options;
  const decisions = decisionsFile === undefined ? undefined : readDecisionLines(decisionsFile);
  const rows =
    decisions === undefined
      ? await replay(files, settings.at(0), { ...deps, progress })
      : await replayDecisions(files, { decisions, settings }, { ...deps, progress });
  for (const decision of decisions ?? []) {
    if (statements === undefined || decision.kind !== 'close') continue;
    const period = periodName(decision.period);
    await writeStatements(store, { period, format: 'json', directory: statements });
  }
  const { columns, records } = replayRecords(rows);
  deps.print(
    options.format === 'json'
      ? records.map((record) => `${JSON.stringify(objectOf(columns, record))}\n`).join('')
      : csv(columns, records, '\n'),
  );
  return 0;
}

export async function runStatement(options: OptionsOf<'statement'>, deps: CommandDeps): Promise<number> {
  const { store, print, note } = deps;
  const { period, tenant, format = 'json', out } = options;
  if (out !== undefined) {
    const written = await writeStatements(store, { period, format, directory: out });
    note(`${written} statements written to ${join(out, period)}`);
  } else if (tenant === undefined) print(await statementsText(store, period));
  else print(await statementBytes(store, { period, tenant, format }));
  return 0;
}

export async function runVerify(options: OptionsOf<'verify'>, deps: CommandDeps): Promise<number> {
  const settings = readSettingsTimeline(options.settings);
  const period = periodNamed(options.period);
  const report = await verify({ ...deps, progress: deps.note }, { period, settings });
  deps.print(
    options.format === 'json' ? `${JSON.stringify(report, inDecimals)}\n` : renderVerifyReport(report),
  );
  return verifyStatus(report);
}

export async function runExplain(options: OptionsOf<'explain'>, deps: CommandDeps): Promise<number> {
  const { store, print } = deps;
  const { meter, hour, tenant, cluster, namespace, limit, format } = options;
  const declared = new SettingsInForce(readSettingsTimeline(options.settings));
  await declared.refresh(store);
  const explanation = await explain(store, {
    ...{ meter, hour: instantOf(hour), settings: declared },
    ...(tenant === undefined ? {} : { tenant }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(limit === undefined ? {} : { limit: countOf(limit) }),
  });
  print(format === 'json' ? `${JSON.stringify(explanation, inDecimals)}\n` : renderExplanation(explanation));
  return 0;
}

export async function runDecisions({ store, print }: CommandDeps): Promise<number> {
  print(await decisionsText(store));
  return 0;
}

const QUARANTINE_LIMIT = '100';

export async function runQuarantine(
  action: string | undefined,
  options: OptionsOf<'quarantine'>,
  deps: CommandDeps & { readonly clock: Clock; readonly log: SampleLog },
): Promise<number> {
  const filter = { reason: options.reason, limit: countOf(options.limit ?? QUARANTINE_LIMIT) };
  switch (action) {
    case 'list': {
      const lines = await readQuarantine(deps.store, filter);
      const columns = ['topic', 'partition', 'offset', 'point', 'reason', 'logged', 'retried', 'excerpt'];
      const records = lines.map((line) => [
        ...[line.topic, line.partition, line.offset, line.n, line.reason].map(String),
        ...[new Date(line.logTimestampMs).toISOString(), String(line.retried), line.excerpt],
      ]);
      deps.print(csv(columns, records, '\n'));
      return 0;
    }
    case 'retry': {
      const { retried, gone } = await retryQuarantine(deps, filter);
      deps.note(`${retried} records appended again, ${gone} are gone from the log.`);
      return 0;
    }
    default:
      throw new MeteringError(
        'METER_CONFIG_INVALID',
        `quarantine is to list or to retry, not ${action ?? ''}`,
      );
  }
}

export async function runRebuild({ store, note }: CommandDeps): Promise<number> {
  await new Ledger({ store }).rebuild();
  note('Current hours and days are made again from the ledger.');
  return 0;
}

function inDecimals(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

function periodNamed(name: string): Period {
  const period = parsePeriod(name);
  if (period !== undefined) return period;
  throw new MeteringError('METER_CONFIG_INVALID', `--period is a month such as 2026-10, not ${name}`);
}

function instantOf(text: string): number {
  const ms = Date.parse(text);
  if (/Z$|[+-]\d\d:\d\d$/.test(text) && ms % HOUR_MS === 0) return ms;
  throw new MeteringError(
    'METER_CONFIG_INVALID',
    `--hour is the start of an hour with its offset, such as 2026-10-01T09:00:00Z, not ${text}`,
  );
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0) return count;
  throw new MeteringError('METER_CONFIG_INVALID', `--limit is a whole number above 0, not ${text}`);
}

function objectOf(columns: readonly string[], record: readonly string[]): Record<string, string> {
  return Object.fromEntries(columns.map((column, i) => [column, record[i] ?? '']));
}
