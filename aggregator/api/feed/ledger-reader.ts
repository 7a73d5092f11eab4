/**
 * The ledger as a feed. Input: whose entries may be read, and a position that was handed out before. Output:
 * the entries behind it, in their order, and where they end. Guarantee: whoever goes on from there has missed
 * nothing, whenever that is: the ledger is only appended to, in the order of its places. An entry that a
 * crash let be written twice comes twice, under one id. Nothing is written.
 *
 * Who may read other tenants than before has no position any more: a new one's older entries lie before it.
 */
import { createHash } from 'node:crypto';

import type { EntryKind } from '../../ledger/entry.ts';
import type { StoredEntry } from '../../ledger/public-entry.ts';
import { readEntriesAfter } from '../../ledger/read-entries.ts';
import type { Parameters, UsageStore } from '../../store/usage-store.ts';
import type { TenantScope } from '../identity/access.ts';
import { tenantConditions } from '../identity/tenant-conditions.ts';
import type { EntryPosition, LedgerPosition } from './position.ts';

export interface LedgerRequest {
  readonly after: LedgerPosition;
  /** At least 1. More come where several entries share a place. */
  readonly limit: number;
  /** Without it, all kinds. */
  readonly kinds?: readonly EntryKind[] | undefined;
}

export interface LedgerPage {
  readonly entries: readonly StoredEntry[];
  /** Behind the last of them. */
  readonly end: LedgerPosition;
  /** Perhaps there is more right now. */
  readonly isFull: boolean;
}

export interface LedgerReader {
  /** Undefined where the position is none that the scope was given in this ledger. */
  page(scope: TenantScope, request: LedgerRequest): Promise<LedgerPage | undefined>;
}

export interface StoreLedgerReaderConfig {
  /** The store gives up on one query after this time. */
  readonly queryTimeoutMs: number;
}

interface Place {
  readonly seq: bigint;
  readonly id: string;
}

export class StoreLedgerReader implements LedgerReader {
  readonly #timeoutMs: number;
  readonly #store: UsageStore;

  constructor(config: StoreLedgerReaderConfig, deps: { readonly store: UsageStore }) {
    this.#timeoutMs = config.queryTimeoutMs;
    this.#store = deps.store;
  }

  async page(scope: TenantScope, request: LedgerRequest): Promise<LedgerPage | undefined> {
    const { after, limit, kinds } = request;
    const begin = await this.#place(scope, after);
    if (begin === undefined) return undefined;
    // Read before the entries: what is above it then was not looked for.
    const head = scope.kind === 'all' && kinds !== undefined ? await this.#head() : undefined;
    const { rows, parameters } = tenantConditions(scope);
    const conditions = [...rows];
    if (kinds !== undefined) conditions.push('kind IN {kinds:Array(String)}');
    if (head !== undefined) conditions.push('seq <= {head:UInt64}');
    const bound: Parameters = { ...parameters, kinds: kinds ?? [], head: head?.seq ?? 0n };
    const entries = await readEntriesAfter(
      this.#store,
      { after: begin, limit, conditions, parameters: bound },
      { timeoutMs: this.#timeoutMs },
    );
    const isFull = entries.length >= limit;
    const last = entries.at(-1);
    if (scope.kind === 'tenants') {
      const end = last === undefined ? after : await this.#endOf(last, scope.tenants);
      return { entries, isFull, end };
    }
    const end = isFull || head === undefined ? placeOf(last) : head;
    return {
      entries,
      isFull,
      end: end === undefined || end.seq <= begin ? after : { kind: 'place', ...end },
    };
  }

  /** The place behind which to go on. */
  async #place(scope: TenantScope, after: LedgerPosition): Promise<bigint | undefined> {
    switch (after.kind) {
      case 'start':
        return 0n;
      case 'place':
        return scope.kind === 'all' && (await this.#stands(after)) ? after.seq : undefined;
      case 'entry':
        return isOf(scope, after) ? await this.#placeOfEntry(scope, after) : undefined;
    }
  }

  async #stands({ seq, id }: Place): Promise<boolean> {
    const rows = await this.#rows(
      'SELECT seq FROM ledger WHERE seq = {seq:UInt64} AND id = unhex({id:String})',
      {
        ...{ seq, id },
      },
    );
    return rows.length > 0;
  }

  async #placeOfEntry(scope: TenantScope, { hour, id, copy }: EntryPosition): Promise<bigint | undefined> {
    const { rows: mine, parameters } = tenantConditions(scope);
    const [row] = await this.#rows(
      `SELECT seq FROM ledger WHERE ${[OF_ENTRY, ...mine].join(' AND ')}
       ORDER BY seq LIMIT 1 OFFSET {copy:UInt32}`,
      { ...parameters, hour: hour / 1000, id, copy },
    );
    return row === undefined ? undefined : BigInt(row.seq);
  }

  async #endOf({ hour, id, seq }: StoredEntry, tenants: readonly string[]): Promise<LedgerPosition> {
    const text = id.toString('hex');
    const before = await this.#rows(`SELECT seq FROM ledger WHERE ${OF_ENTRY} AND seq < {seq:UInt64}`, {
      ...{ hour: hour / 1000, id: text, seq },
    });
    return { kind: 'entry', hour, id: text, copy: before.length, tenants: digestOf(tenants) };
  }

  /** The newest entry of all. */
  async #head(): Promise<Place | undefined> {
    const [row] = await this.#store.rows<{ seq: string; name: string }>(
      'SELECT seq, lower(hex(id)) AS name FROM ledger ORDER BY seq DESC LIMIT 1',
      {},
      { timeoutMs: this.#timeoutMs },
    );
    return row === undefined ? undefined : { seq: BigInt(row.seq), id: row.name };
  }

  #rows(sql: string, parameters: Parameters): Promise<readonly { readonly seq: string }[]> {
    return this.#store.rows(sql, parameters, { timeoutMs: this.#timeoutMs });
  }
}

function isOf(scope: TenantScope, { tenants }: EntryPosition): boolean {
  return scope.kind === 'tenants' && tenants === digestOf(scope.tenants);
}

/** Of tenants in order, as a scope has them. */
export function digestOf(tenants: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(tenants)).digest().subarray(0, 12).toString('base64url');
}

/** The hour finds the month's partition and the place in it. */
const OF_ENTRY = "hour = toDateTime({hour:Int64}, 'UTC') AND id = unhex({id:String})";

function placeOf(entry: StoredEntry | undefined): Place | undefined {
  return entry === undefined ? undefined : { seq: entry.seq, id: entry.id.toString('hex') };
}
