/** What never changes may be kept by whoever asked for it, for as long as they like: RFC 8246. PURE. */
import type { IncomingHttpHeaders } from 'node:http';

const YEAR_SECONDS = 31_536_000;

/** By the one who asked alone, never by anybody between. */
export const IMMUTABLE = { 'cache-control': `private, immutable, max-age=${YEAR_SECONDS}` } as const;

/** Whether `if-none-match` names this tag. Compared weakly, as the standard wants it there. */
export function isKnown({ 'if-none-match': given }: IncomingHttpHeaders, etag: string): boolean {
  if (given === undefined) return false;
  if (given.trim() === '*') return true;
  return (given.match(/(?:W\/)?"[^"]*"/g) ?? []).some((tag) => tag.replace(/^W\//, '') === etag);
}
