/**
 * Cursors of paged answers. A cursor is a place in an order and what it was asked with, as text that callers
 * hand back and never look into. It opens nothing: whose rows may be read is asked of every request anew, so
 * a cursor that somebody made up, or has of somebody else, is a place in what they may read themselves.
 *
 * Example: the place `["41"]` of the query `{tenant: "acme"}` is no place in that of `{tenant: "globex"}`.
 */
import { createHash } from 'node:crypto';

import { z } from 'zod';

import { DIMENSIONS, LONGEST } from '../usage/dimensions.ts';
import { refusal, type Refusal } from './endpoint.ts';

/** Raised when places are written otherwise; older cursors are then told to begin again. */
const VERSION = 1;
const DIGEST_BYTES = 12;

/** A place in an order: values that only the endpoint understands. */
export type Place = readonly string[];

/** What has to be the same from page to page: the operation and its filters, not how many rows are wanted. */
export type Binding = Readonly<Record<string, unknown>>;

const contents = z.tuple([z.literal(VERSION), z.string(), z.array(z.string())]);

/** A window, and its group by everything that usage can be told apart by: no place has more in it. */
const LONGEST_PLACE: Place = [
  String(Number.MAX_SAFE_INTEGER),
  ...DIMENSIONS.map((dimension) => 'x'.repeat(LONGEST[dimension])),
];

/** The parameter that takes one. */
export const cursor = z
  .string()
  .max(writeCursor(LONGEST_PLACE, {}).length, { abort: true })
  .regex(/^[\w-]+$/, { error: 'Give a cursor as an answer had it.', abort: true })
  .refine((text) => contentsOf(text) !== undefined, {
    error: 'This is no cursor: give it as an answer had it, or begin without.',
    params: { problem: 'invalid_cursor' },
  })
  .meta({ description: 'Where to go on: a cursor of an earlier answer to the same question.' });

export function writeCursor(place: Place, binding: Binding): string {
  return Buffer.from(JSON.stringify([VERSION, digest(binding), place])).toString('base64url');
}

/** Undefined where the text is no cursor, or one of another question. */
export function readCursor(text: string, binding: Binding): Place | undefined {
  const [, bound, place] = contentsOf(text) ?? [];
  return bound === digest(binding) ? place : undefined;
}

function contentsOf(text: string): z.output<typeof contents> | undefined {
  return contents.safeParse(jsonOf(Buffer.from(text, 'base64url').toString())).data;
}

export function refuseCursor(parameter: string): Refusal {
  const detail = 'This is no cursor of an answer to this question: begin again without it.';
  return refusal('METER_REQUEST_INVALID', {
    detail,
    problems: [{ parameter, code: 'invalid_cursor', detail }],
  });
}

/** Of the same values in any order of names; an absent filter is none. */
function digest(binding: Binding): string {
  const sorted = Object.entries(binding)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash('sha256').update(JSON.stringify(sorted)).digest();
  return hash.subarray(0, DIGEST_BYTES).toString('base64url');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
