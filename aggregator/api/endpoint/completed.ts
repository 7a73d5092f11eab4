/** What follows from an answer's schema and is not written into each declaration: that a page says so. */
import { z } from 'zod';

/** A page's cursor, whatever form the page has. */
export const NEXT_CURSOR = 'next-cursor';

const SAYS = 'In every form, where the answer goes on: the cursor of the next page. Absent on the last one.';

/** Names of it in JSON. */
const IN_JSON = ['next', 'nextCursor'] as const;

interface Given {
  readonly json?: z.ZodType;
  readonly headers?: Readonly<Record<string, string>>;
}

export function completed<Answer extends Given>(answer: Answer): Answer {
  const { json, headers } = answer;
  if (json === undefined) return answer;
  const { properties = {} } = z.toJSONSchema(json, { io: 'output' });
  const isPage = IN_JSON.some((name) => name in properties);
  return isPage ? { ...answer, headers: { ...headers, [NEXT_CURSOR]: SAYS } } : answer;
}
