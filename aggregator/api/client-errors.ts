/** What never becomes a request, because it is no HTTP, too large or too slow: a problem like any other. */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';

import { PROBLEM_TYPE, problemKind, problemText, type ProblemCode } from './problem.ts';

const REASONS = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
} as const;

export function answerClientError(error: { readonly code?: string }, socket: Socket): void {
  // The other side has gone, or an answer is under way already.
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return;
  const code = codeOf(error.code);
  const { status } = problemKind(code);
  const requestId = randomUUID();
  const body = problemText(code, { detail: DETAILS[code], instance: '', requestId });
  const head = [
    `HTTP/1.1 ${status} ${REASONS[status]}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

const DETAILS = {
  METER_REQUEST_MALFORMED: 'This is no HTTP request.',
  METER_REQUEST_TIMEOUT: 'The request did not arrive in time.',
  METER_HEADERS_TOO_LARGE: 'Shorten the address or the headers; long lists of filters go into a body.',
} as const satisfies Partial<Record<ProblemCode, string>>;

function codeOf(code: string | undefined): keyof typeof DETAILS {
  if (code === 'HPE_HEADER_OVERFLOW') return 'METER_HEADERS_TOO_LARGE';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'METER_REQUEST_TIMEOUT' : 'METER_REQUEST_MALFORMED';
}
