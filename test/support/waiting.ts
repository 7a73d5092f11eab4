/** What a test waits for that nothing announces. */
import { SystemClock } from '../../core/runtime/clock.ts';

const LONG_MS = 60_000;
const POLL_MS = 100;
const clock = new SystemClock();

export interface Patience {
  /** For how long, in ms. Default a minute. */
  readonly forMs?: number;
  /** How often it looks, in ms. */
  readonly everyMs?: number;
}

/** The first answer that is not undefined; `what` is told where none comes, in its newest words. */
export async function until<T>(
  what: string | (() => string),
  look: () => Promise<T | undefined> | T | undefined,
  { forMs = LONG_MS, everyMs = POLL_MS }: Patience = {},
): Promise<T> {
  for (const endMs = clock.now() + forMs; clock.now() < endMs;) {
    const found = await look();
    if (found !== undefined) return found;
    await clock.sleep(everyMs);
  }
  throw new Error(`waited in vain: ${typeof what === 'string' ? what : what()}`);
}
