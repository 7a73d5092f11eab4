import { createRequire } from 'node:module';

import { invariant } from '../../runtime/errors.ts';

/** The library's queue of requests to one broker, as far as it is touched here. */
interface RequestQueue {
  readonly pending: readonly unknown[];
}

interface RequestQueues {
  scheduleCheckPendingRequests?: (this: RequestQueue) => void;
}

const QUEUE = 'kafkajs/src/network/requestQueue';
let areCalm = false;

/**
 * Lets the library look after requests that wait only where some do. By itself it looks every millisecond,
 * at each connection and for as long as it lasts, and Node warns of the timer's negative time. What joins a
 * queue that is full or throttled has it look, so an empty one misses nothing.
 */
export function calmRequestQueues(): void {
  if (areCalm) return;
  areCalm = true;
  const { prototype } = createRequire(import.meta.url)(QUEUE) as { readonly prototype: RequestQueues };
  const look = prototype.scheduleCheckPendingRequests;
  invariant(look, 'the client library has queues of the pinned version');
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length > 0) look.call(this);
  };
}
