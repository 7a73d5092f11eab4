/**
 * Decisions about a set of samples: a period was closed, or samples before a floor were let go. Each is one
 * row, written once, with the cut that says which records of the log it knew. Log and decisions are all that
 * a replay needs to come to the same statements.
 */
import { z } from 'zod';
import type { LogPosition } from '../../core/eventlog/sample-log.ts';
import { meteringSettingsSchema } from '../../core/runtime/settings.ts';
import { periodEnd, type Period } from '../../core/metering/period.ts';
import type { WriteRight } from '../coordination/writer.ts';
import type { ReadOptions, UsageStore } from '../store/usage-store.ts';
import { cutSchema } from './cut.ts';
import { appendDecision } from './decision-row.ts';
import { erasureOf, type ErasureDecision } from './erasure/decision.ts';

const waiverSchema = z.strictObject({ cluster: z.string(), reason: z.string(), approvedBy: z.string() });

export const closeBodySchema = z.strictObject({
  ruleVersion: z.int(),
  settings: meteringSettingsSchema,
  /** As it was then: a setting that is added later has a default, and no part in it. */
  settingsHash: z.string(),
  waivers: z.array(waiverSchema),
  /** Clusters that the period was closed for. */
  clusters: z.array(z.string()),
  /** [tenant, hash of the statement], sorted. */
  statements: z.array(z.tuple([z.string(), z.string()])),
});

export type CloseBody = Readonly<z.output<typeof closeBodySchema>>;

export interface Close extends CloseBody {
  readonly kind: 'close';
  readonly period: Period;
  /** Records below these positions are what the statements cover. */
  readonly cut: readonly LogPosition[];
  /** The newest ledger entry that belongs to the cut. */
  readonly upTo: bigint;
  readonly hash: string;
  readonly previousHash: string;
}

export interface Floor {
  /** Samples before it are let go, so hours before it are frozen; or parts of hours before it are. */
  readonly kind: 'floor' | 'hours';
  /** ms */
  readonly floor: number;
  readonly cut: readonly LogPosition[];
}

interface Row {
  readonly period: number;
  readonly floor: number;
  readonly cut: string;
  readonly up_to: string;
  readonly hash: string;
  readonly previous_hash: string;
  readonly body: string;
}

export async function appendClose(store: UsageStore, close: Close, right?: WriteRight): Promise<void> {
  const { kind, period, cut, upTo, hash, previousHash, ...body } = close;
  const row = { kind, period, cut, upTo, hash, previousHash, body: JSON.stringify(body) };
  await appendDecision(store, row, right);
}

export async function appendFloor(store: UsageStore, floor: Floor, right?: WriteRight): Promise<void> {
  await appendDecision(store, floor, right);
}

/** Oldest first. Of two that closed the same period the first counts. */
export async function readCloses(store: UsageStore): Promise<readonly Close[]> {
  const rows = await store.rows<Row>(
    `${COLUMNS} WHERE kind = 'close' ORDER BY period, decided_at LIMIT 1 BY period`,
  );
  return rows.map(closeOf);
}

export async function readLastClose(store: UsageStore, options?: ReadOptions): Promise<Close | undefined> {
  const rows = await store.rows<Row>(
    `${COLUMNS} WHERE kind = 'close' ORDER BY period DESC, decided_at LIMIT 1`,
    {},
    options,
  );
  return rows[0] === undefined ? undefined : closeOf(rows[0]);
}

/** The one with this hash; undefined where there is none. */
export async function readClose(
  store: UsageStore,
  { period, hash }: Pick<Close, 'period' | 'hash'>,
  options?: ReadOptions,
): Promise<Close | undefined> {
  const rows = await store.rows<Row>(
    `${COLUMNS} WHERE kind = 'close' AND period = {period:UInt32} AND hash = {hash:String}
     ORDER BY decided_at LIMIT 1`,
    { period, hash },
    options,
  );
  return rows[0] === undefined ? undefined : closeOf(rows[0]);
}

export type Decision = Close | Floor | ErasureDecision;

/** As they were made, which is also the order of their cuts. */
export async function readDecisions(store: UsageStore): Promise<readonly Decision[]> {
  const rows = await store.rows<Row & { readonly kind: string }>(
    `SELECT kind, period, toUnixTimestamp(floor) AS floor, cut, up_to, hash, previous_hash, body FROM decision
     WHERE kind IN ('close', 'floor', 'hours', 'erasure') ORDER BY decided_at, kind, period, floor
     LIMIT 1 BY kind, period, floor, if(kind = 'erasure', hash, '')`,
  );
  return rows.map((row) => {
    if (row.kind === 'close') return closeOf(row);
    if (row.kind === 'erasure') return erasureOf(row);
    return floorOf(row, row.kind === 'hours' ? 'hours' : 'floor');
  });
}

/**
 * The settings that the open periods were last rolled up with, as JSON; undefined where nobody has said yet.
 */
export async function readAdoptedSettings(store: UsageStore): Promise<string | undefined> {
  const rows = await store.rows<Row>(`${COLUMNS} WHERE kind = 'settings' ORDER BY decided_at DESC LIMIT 1`);
  return rows[0]?.body;
}

export async function appendSettings(store: UsageStore, body: string): Promise<void> {
  await appendDecision(store, { kind: 'settings', body });
}

/** Hours before this are in closed periods; 0 where none was closed yet. */
export function closedBefore(last: Close | undefined): number {
  return last === undefined ? 0 : periodEnd(last.period);
}

const COLUMNS = `
  SELECT period, toUnixTimestamp(floor) AS floor, cut, up_to, hash, previous_hash, body FROM decision`;

function closeOf(row: Row): Close {
  const { period, hash } = row;
  const body = closeBodySchema.parse(JSON.parse(row.body));
  const upTo = BigInt(row.up_to);
  return { kind: 'close', period, cut: cutOf(row.cut), upTo, hash, previousHash: row.previous_hash, ...body };
}

function floorOf(row: Row, kind: Floor['kind']): Floor {
  return { kind, floor: row.floor * 1000, cut: cutOf(row.cut) };
}

function cutOf(text: string): readonly LogPosition[] {
  return cutSchema.parse(JSON.parse(text));
}
