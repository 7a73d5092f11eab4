/**
 * A row of `decision` (003_ledger.sql). It is written by whoever may append to the ledger, and by nobody
 * else: a process that was frozen while it decided, and wakes up when another one has the ledger, decides
 * nothing.
 */
import type { LogPosition } from '../../core/eventlog/sample-log.ts';
import { ANYBODY, type WriteRight } from '../coordination/writer.ts';
import { blockStructure, nativeBlock, type Column } from '../store/native-block.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { cutText } from './cut.ts';

export interface DecisionRow {
  readonly kind: 'close' | 'floor' | 'hours' | 'erasure' | 'settings';
  readonly period?: number;
  /** ms */
  readonly floor?: number;
  readonly cut?: readonly LogPosition[];
  readonly upTo?: bigint;
  readonly hash?: string;
  readonly previousHash?: string;
  readonly body?: string;
}

export async function appendDecision(
  store: UsageStore,
  row: DecisionRow,
  right: WriteRight = ANYBODY,
): Promise<void> {
  const { kind, period = 0, floor = 0, cut = [], upTo = 0n, hash = '', previousHash = '', body = '' } = row;
  const text = (name: string, value: string): Column => ({ name, type: 'String', data: [value] });
  const columns: Column[] = [
    text('kind', kind),
    { name: 'period', type: 'UInt32', data: Uint32Array.of(period) },
    { name: 'seconds', type: 'UInt32', data: Uint32Array.of(floor / 1000) },
    text('cut', cutText(cut)),
    { name: 'up_to', type: 'UInt64', data: BigUint64Array.of(upTo) },
    text('hash', hash),
    text('previous_hash', previousHash),
    text('body', body),
  ];
  const same = columns.map((column) => column.name).filter((name) => name !== 'seconds');
  await right.guarded((guard) =>
    store.insertBlock({
      table: 'decision',
      columns: ['floor', ...same],
      structure: blockStructure(columns),
      select: ["toDateTime(seconds, 'UTC')", ...same],
      ...guard,
      block: nativeBlock(1, columns),
    }),
  );
}
