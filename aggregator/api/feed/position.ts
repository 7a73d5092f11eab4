/**
 * A place in the ledger as whoever reads it keeps it, for ever. Input and output: text that says nothing to
 * its holder. PURE.
 *
 * Who reads everything stands at a place of the one sequence, and the entry there says that it is still the
 * same ledger: in one that was restored or made anew, another entry stands there, and going on would leave
 * entries out. Who reads some tenants stands at an entry of theirs: places would tell how much others have.
 * Of an entry that stands in the ledger twice, `copy` says which one is meant, the first being 0. It is a
 * place among the entries of these tenants alone, which `tenants` tells: what another tenant had before would
 * be left out.
 */
import { z } from 'zod';

import { HOUR_MS } from '../../../core/metering/hour.ts';

export type LedgerPosition =
  | { readonly kind: 'start' }
  | { readonly kind: 'place'; readonly seq: bigint; readonly id: string }
  | EntryPosition;

export interface EntryPosition {
  readonly kind: 'entry';
  readonly hour: number;
  readonly id: string;
  readonly copy: number;
  /** A digest of whose entries are read. */
  readonly tenants: string;
}

export const START: LedgerPosition = { kind: 'start' };

const id = z.string().regex(/^[0-9a-f]{32}$/);
const seq = z
  .string()
  .regex(/^[1-9]\d{0,19}$/)
  .transform(BigInt)
  .refine((value) => value < 1n << 64n);
const number = (most: number): z.ZodType<number, string> =>
  z
    .string()
    .regex(/^(0|[1-9]\d{0,9})$/)
    .transform(Number)
    .refine((value) => value <= most);
const tenants = z.string().regex(/^[\w-]{16}$/);
/** Hours since the epoch; the store's times end in 2106. */
const MAX_HOUR = 1_190_000;
const MAX_COPIES = 1_000_000;

/** What stands in a cursor. */
const positionSchema = z.union([
  z.tuple([z.literal('start')]),
  z.tuple([z.literal('place'), seq, id]),
  z.tuple([z.literal('entry'), number(MAX_HOUR), id, number(MAX_COPIES), tenants]),
]);

export function placeOf(position: LedgerPosition): readonly string[] {
  switch (position.kind) {
    case 'start':
      return ['start'];
    case 'place':
      return ['place', position.seq.toString(), position.id];
    case 'entry': {
      const { hour, copy } = position;
      return ['entry', String(hour / HOUR_MS), position.id, String(copy), position.tenants];
    }
  }
}

/** Undefined for what nobody was given. */
export function positionOf(place: readonly string[]): LedgerPosition | undefined {
  const parsed = positionSchema.safeParse(place);
  if (!parsed.success) return undefined;
  const [kind, ...rest] = parsed.data;
  switch (kind) {
    case 'start':
      return START;
    case 'place': {
      const [at, entry] = rest as [bigint, string];
      return { kind, seq: at, id: entry };
    }
    case 'entry': {
      const [hours, at, copy, of] = rest as [number, string, number, string];
      return { kind, hour: hours * HOUR_MS, id: at, copy, tenants: of };
    }
  }
}
