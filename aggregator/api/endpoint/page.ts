/**
 * Pages of lists, over the cursors of `cursor.ts`. The reader is asked for one row more than fits on a page:
 * where it is there, the page says where to go on, in its body and as a link.
 */
import { z } from 'zod';

import { readCursor, writeCursor, type Binding, type Place } from './cursor.ts';
import { withParameters, type Links } from './links.ts';

/** In answers: absent on the last page. */
export const nextCursor = z
  .string()
  .optional()
  .meta({ description: 'Where there is more: to be handed in as `after`.' });

export interface Paging<Row> {
  readonly limit: number;
  /** The address that was asked. */
  readonly url: string;
  readonly binding: Binding;
  readonly placeOf: (row: Row) => Place;
}

export interface ListPage<Row> {
  readonly rows: readonly Row[];
  readonly next: { readonly next?: string };
  readonly on: GoingOn | undefined;
}

/** What an answer says beside its body. */
export interface GoingOn {
  readonly links: Links;
  readonly nextCursor: string;
}

/** From an address on, by its parameter `after`. */
export function goingOn(url: string, after: string): GoingOn {
  return { links: { next: withParameters(url, { after }) }, nextCursor: after };
}

export function pageOf<Row>(
  found: readonly Row[],
  { limit, url, binding, placeOf }: Paging<Row>,
): ListPage<Row> {
  const rows = found.slice(0, limit);
  const last = rows.at(-1);
  if (last === undefined || found.length <= limit) return { rows, next: {}, on: undefined };
  const next = writeCursor(placeOf(last), binding);
  return { rows, next: { next }, on: goingOn(url, next) };
}

/** Where to go on: from the beginning where no cursor is given. */
export type Begin<At> = { readonly ok: true; readonly at: At | undefined } | { readonly ok: false };

/** `decode` gives undefined for a place that is none of the endpoint's. */
export function beginAt<At>(
  after: string | undefined,
  binding: Binding,
  decode: (place: Place) => At | undefined,
): Begin<At> {
  if (after === undefined) return { ok: true, at: undefined };
  const place = readCursor(after, binding);
  const at = place === undefined ? undefined : decode(place);
  return at === undefined ? { ok: false } : { ok: true, at };
}
