/**
 * An erasure as it was decided: whose samples were let go, of which hours, and at which cut of the log. Like
 * every decision it is one row, written once and before anything is deleted, so that a crash leaves something
 * to go on from and a replay can let the same samples go at the same cut.
 *
 * 003_ledger.sql has the table. `hash` is the id of the ledger's entry, made of tenant and period: of two
 * rows about the same erasure the first counts.
 */
import { z } from 'zod';
import type { LogPosition } from '../../../core/eventlog/sample-log.ts';
import { parsePeriod, periodName, periodStart, type Period } from '../../../core/metering/period.ts';
import { invariant } from '../../../core/runtime/errors.ts';
import type { WriteRight } from '../../coordination/writer.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import { cutSchema } from '../cut.ts';
import { appendDecision } from '../decision-row.ts';
import { fingerprint, NO_QUARTERS, NOTHING, type LedgerEntry } from '../entry.ts';

/** Whole hours of a namespace, [from, to) in ms; from 0 means since ever. */
export interface ErasedStretch {
  readonly cluster: string;
  readonly namespace: string;
  readonly from: number;
  readonly to: number;
}

export interface ErasureDecision {
  readonly kind: 'erasure';
  readonly tenant: string;
  /** Everything before the end of this period. */
  readonly through: Period;
  readonly reason: string;
  readonly cut: readonly LogPosition[];
  /** Samples that were there, and series whose labels go with the last of their samples. */
  readonly samples: bigint;
  readonly series: number;
  readonly stretches: readonly ErasedStretch[];
}

const stretchSchema = z.strictObject({
  cluster: z.string(),
  namespace: z.string(),
  from: z.int().min(0),
  to: z.int().min(0),
});

export const erasureBodySchema = z.strictObject({
  through: z.string(),
  tenant: z.string(),
  reason: z.string(),
  samples: z.string().regex(/^\d+$/).transform(BigInt),
  series: z.int().min(0),
  stretches: z.array(stretchSchema).readonly(),
});

export async function appendErasure(
  store: UsageStore,
  decision: ErasureDecision,
  right?: WriteRight,
): Promise<void> {
  const { kind, cut, through, samples, ...rest } = decision;
  const body = JSON.stringify({ ...rest, through: periodName(through), samples: String(samples) });
  const hash = erasureId(decision).toString('hex');
  await appendDecision(store, { kind, period: through, cut, hash, body }, right);
}

/** Rows, so that it changes whenever there is one more. */
export async function countErasures(store: UsageStore): Promise<number> {
  const [row] = await store.rows<{ n: string }>("SELECT count() AS n FROM decision WHERE kind = 'erasure'");
  return Number(row?.n ?? 0);
}

/** As they were made. */
export async function readErasures(store: UsageStore): Promise<readonly ErasureDecision[]> {
  const rows = await store.rows<{ cut: string; body: string }>(
    "SELECT cut, body FROM decision WHERE kind = 'erasure' ORDER BY decided_at, hash LIMIT 1 BY hash",
  );
  return rows.map(erasureOf);
}

/** Of a row of `decision`. */
export function erasureOf(row: { readonly cut: string; readonly body: string }): ErasureDecision {
  const { through: name, ...body } = erasureBodySchema.parse(JSON.parse(row.body));
  const through = parsePeriod(name);
  invariant(through !== undefined, `a decided erasure ends with a period, not ${name}`);
  return { kind: 'erasure', through, cut: cutSchema.parse(JSON.parse(row.cut)), ...body };
}

/** The same for whoever says it, whenever: a tenant's erasure through a period is done once. */
export function erasureId({ tenant, through }: Pick<ErasureDecision, 'tenant' | 'through'>): Buffer {
  return fingerprint('erasure', tenant, through);
}

/** What the ledger says of it, when it is done. */
export function erasureEntry(decision: ErasureDecision): LedgerEntry {
  const { tenant, through, reason, samples, series } = decision;
  return {
    ...NOTHING,
    ...{ id: erasureId(decision), kind: 'erasure', period: through, hour: periodStart(through), tenant },
    ...{ cluster: '', namespace: '', meter: '', revision: 1, final: true },
    ...{ before: NO_QUARTERS, inputHash: Buffer.alloc(16) },
    body: JSON.stringify({ tenant, through: periodName(through), reason, samples: String(samples), series }),
  };
}
