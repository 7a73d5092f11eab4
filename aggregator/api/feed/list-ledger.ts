/**
 * `GET /api/v1/ledger`: the ledger as a feed, to be followed for ever. Who keeps `next` together with what
 * came before it, and takes every `id` once, has each entry exactly once, whatever dies in between.
 */
import { z } from 'zod';

import type { Clock } from '../../../core/runtime/clock.ts';
import { publicEntry, publicEntrySchema, type PublicEntry } from '../../ledger/public-entry.ts';
import { ENTRY_KINDS, type EntryKind } from '../../ledger/entry.ts';
import { cursor, refuseCursor, writeCursor } from '../endpoint/cursor.ts';
import { endpoint, refusal, type Answer } from '../endpoint/endpoint.ts';
import { FEED_HEADERS } from '../endpoint/completed.ts';
import { beginAt, goingOn } from '../endpoint/page.ts';
import { listOf } from '../endpoint/parameters.ts';
import type { Principal, TenantScope } from '../identity/access.ts';
import type { LedgerPage, LedgerReader } from './ledger-reader.ts';
import type { LedgerWatch } from './ledger-watch.ts';
import { placeOf, positionOf, START, type LedgerPosition } from './position.ts';

const DEFAULT_LIMIT = 500;
const MAX_LIMIT = 5_000;
export const MAX_WAIT_MS = 30_000;
/** A whole wait, and the reading around it. */
const ANSWER_TIMEOUT_MS = MAX_WAIT_MS + 15_000;
/** Whoever finds all places taken asks again then. */
const RETRY_AFTER_SECONDS = 5;

/** A place in the ledger is one whatever kinds are asked for from there. */
export const PLACE_IN_LEDGER = { of: 'ledger' };

export interface LedgerFeedDeps {
  readonly ledger: LedgerReader;
  readonly ledgerWatch: LedgerWatch;
  /** The machine's time, in which callers wait. */
  readonly waitClock: Clock;
}

const feedSchema = z.strictObject({
  data: z.array(publicEntrySchema),
  next: z.string().meta({
    description:
      'To be handed in as `after`; good for ever, of a member as long as it reads the same tenants. There ' +
      'is always one.',
  }),
  more: z.boolean().meta({ description: 'Whether to ask again at once: the page was full.' }),
});

type FeedJson = z.output<typeof feedSchema>;

const parameters = z.strictObject({
  after: cursor.optional(),
  limit: z.int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT).meta({
    description: 'Entries in one answer; a few more come where several share a place.',
  }),
  wait: z
    .string()
    .regex(/^([12]?\d|30)s$/, 'Give whole seconds up to 30s, such as 30s.')
    .default('0s')
    .transform((given) => Number(given.slice(0, -1)) * 1000)
    .meta({ description: 'How long to wait where there is nothing yet: `30s` at most.', examples: ['30s'] }),
  kind: listOf(z.enum(ENTRY_KINDS))
    .optional()
    .meta({ description: 'Only entries of these kinds. `next` is good with other kinds, too.' }),
});

export const LIST_LEDGER = endpoint({
  method: 'GET',
  path: '/api/v1/ledger',
  operationId: 'listLedger',
  capability: 'ledger',
  tag: 'ledger',
  summary: 'The ledger as a feed',
  description:
    'Entries in the order in which they were appended, from a cursor on. Nothing is ever changed or ' +
    'removed. Delivery is at least once by cursor; `id` makes it exactly once. With `wait` the answer ' +
    'comes as soon as there is an entry; an empty page repeats the cursor. A member of organizations sees ' +
    'entries of these tenants alone, without `seq`.',
  query: parameters,
  answerTimeoutMs: ANSWER_TIMEOUT_MS,
  answers: { 200: { description: 'A page, perhaps empty.', json: feedSchema, headers: FEED_HEADERS } },
  problems: ['METER_CURSOR_GONE', 'METER_OVERLOADED'],
  answer: async (
    { query, scope, principal, signal, url },
    deps: LedgerFeedDeps,
  ): Promise<Answer<FeedJson>> => {
    const begin = beginAt(query.after, PLACE_IN_LEDGER, positionOf);
    if (!begin.ok) return refuseCursor('after');
    const kinds = query.kind as readonly EntryKind[] | undefined;
    const asked = { after: begin.at ?? START, limit: query.limit, kinds };
    const page = await deps.ledger.page(scope, asked);
    if (page === undefined) return cursorGone();
    if (page.entries.length > 0 || query.wait === 0) return pageAnswer({ scope, url }, page);
    const wait = { scope, principal, asked, waitMs: query.wait, signal, url };
    return await answerLater(wait, deps);
  },
});

interface Wait {
  readonly scope: TenantScope;
  readonly principal: Principal;
  readonly asked: { readonly after: LedgerPosition; readonly limit: number; readonly kinds: Kinds };
  readonly waitMs: number;
  readonly signal: AbortSignal;
  readonly url: string;
}

type Kinds = readonly EntryKind[] | undefined;

async function answerLater(
  { scope, principal, asked, waitMs, signal, url }: Wait,
  { ledger, ledgerWatch, waitClock }: LedgerFeedDeps,
): Promise<Answer<FeedJson>> {
  const untilMs = waitClock.now() + waitMs;
  const waiting = await ledgerWatch.join(scope, principal);
  if (waiting === undefined) {
    const detail = 'As many requests wait as may. Ask without `wait`, or again in a moment.';
    return refusal('METER_OVERLOADED', { detail, retryAfterSeconds: RETRY_AFTER_SECONDS });
  }
  try {
    for (;;) {
      const page = await ledger.page(scope, asked);
      if (page === undefined) return cursorGone();
      const leftMs = untilMs - waitClock.now();
      const isOver = leftMs <= 0 || signal.aborted || ledgerWatch.isStopped;
      if (page.entries.length > 0 || isOver) return pageAnswer({ scope, url }, page);
      await waiting.next(leftMs, signal);
    }
  } finally {
    waiting.leave();
  }
}

function cursorGone(): Answer<FeedJson> {
  const detail =
    'This cursor was not handed out by this ledger to somebody who reads what you read now. If the store ' +
    'was restored or made anew, or your organizations or roles have changed, begin without `after`: what ' +
    'you have is known by its `id`.';
  return refusal('METER_CURSOR_GONE', { detail });
}

interface AskedPage {
  readonly scope: TenantScope;
  readonly url: string;
}

function pageAnswer({ scope, url }: AskedPage, { entries, end, isFull }: LedgerPage): Answer<FeedJson> {
  const data = entries.map((entry) => shownTo(scope, publicEntry(entry)));
  const next = ledgerCursor(end);
  return { json: { data, next, more: isFull }, ...goingOn(url, next) };
}

export function ledgerCursor(position: LedgerPosition): string {
  return writeCursor(placeOf(position), PLACE_IN_LEDGER);
}

/** Places are of the whole sequence: two of them tell how much others have between. */
export function shownTo(scope: TenantScope, { seq, ...entry }: PublicEntry): PublicEntry {
  return scope.kind === 'all' && seq !== undefined ? { seq, ...entry } : entry;
}
