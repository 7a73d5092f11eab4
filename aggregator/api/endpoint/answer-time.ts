/**
 * How long an answer may take until it begins. Input: the time there is, the response, and what answers.
 * Output: its answer, or `METER_QUERY_TIMEOUT` once the time is over. What has begun is not looked at here: a
 * stream may take as long as somebody takes it. The framework's own limit ends streams in their middle, and
 * knows no end of a request with a body.
 */
import type { ServerResponse } from 'node:http';

import type { Clock } from '../../../core/runtime/clock.ts';
import { MeteringError } from '../../../core/runtime/errors.ts';
import { onceClosed } from '../../../core/runtime/http.ts';

export interface AnswerTime {
  /** The machine's, in which callers wait. */
  readonly clock: Clock;
  readonly answerTimeoutMs: number;
}

/** Without a reason of its own, an abort makes an error with a stack: at every request. */
const ENDED = 'there is an answer';

/** `answer` is handed a signal that is aborted when the time is over or whoever asked has gone. */
export async function inTime<T>(
  { clock, answerTimeoutMs }: AnswerTime,
  response: ServerResponse,
  answer: (signal: AbortSignal) => Promise<T> | T,
): Promise<T> {
  const over = new AbortController();
  const ended = new AbortController();
  const gone = (): void => {
    ended.abort(ENDED);
    over.abort();
  };
  onceClosed(response, gone);
  const late = Promise.withResolvers<never>();
  clock.sleep(answerTimeoutMs, ended.signal).then(() => {
    if (ended.signal.aborted) return;
    const error = new MeteringError('METER_QUERY_TIMEOUT', `no answer within ${answerTimeoutMs} ms`);
    over.abort(error);
    late.reject(error);
  }, late.reject);
  try {
    return await Promise.race([answer(over.signal), late.promise]);
  } finally {
    ended.abort(ENDED);
    response.off('close', gone);
  }
}
