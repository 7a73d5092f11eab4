/**
 * What follows from an answer's schema and is not written into each declaration: a list of flat rows comes as
 * CSV as well, and a page says in a header where it goes on.
 */
import { z } from 'zod';

import { CSV } from '../../../core/runtime/csv.ts';
import { describe, tableOf, type Table } from './table.ts';

/** A page's cursor, whatever form the page has. */
export const NEXT_CURSOR = 'next-cursor';

const SAYS = 'In every form, where the answer goes on: the cursor of the next page. Absent on the last one.';

/** Of a list that goes on for ever. */
export const FEED_HEADERS: Readonly<Record<string, string>> = {
  [NEXT_CURSOR]:
    'In every form, where the list goes on: the cursor of the next page. Always there; a page without ' +
    'rows is the last one for now.',
};

/** Names of it in JSON. */
const IN_JSON = ['next', 'nextCursor'] as const;

interface Given<Media> {
  readonly json?: z.ZodType;
  readonly media?: Readonly<Record<string, Media>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly table?: Table;
}

/** One that makes its CSV itself, or any other form in its own way, is left alone in that. */
export function completed<Answer extends Given<unknown>>(answer: Answer): Answer {
  const { json, media = {}, headers } = answer;
  if (json === undefined) return answer;
  const { properties = {} } = z.toJSONSchema(json, { io: 'output' });
  const isPage = IN_JSON.some((name) => name in properties);
  const table = CSV in media ? undefined : tableOf(json);
  return {
    ...answer,
    ...(table !== undefined && { table, media: { [CSV]: describe(table), ...media } }),
    ...(isPage && { headers: { [NEXT_CURSOR]: SAYS, ...headers } }),
  };
}
