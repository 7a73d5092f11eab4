/**
 * What went wrong in the store, translated once for both drivers: engine code or network error in, a
 * `MeteringError` out. Only codes decide; no message text is ever matched. (A streamed chDB read hands its
 * code over as the `Code: 159.` that heads every engine message, so that head is read as a code.)
 */
import { MeteringError, type ErrorCode } from '../../../core/runtime/errors.ts';

/**
 * What the failed call was: it says whether running out of memory is the question's fault or the moment's.
 */
export type Operation = 'read' | 'write' | 'open';

interface Fault {
  readonly code: ErrorCode;
  readonly retryable: boolean;
}

const TIMEOUT: Fault = { code: 'METER_QUERY_TIMEOUT', retryable: false };
const LIMIT: Fault = { code: 'METER_QUERY_LIMIT', retryable: false };
const BUSY: Fault = { code: 'METER_STORE_BUSY', retryable: true };
const UNAVAILABLE: Fault = { code: 'METER_STORE_UNAVAILABLE', retryable: true };
const REJECTED: Fault = { code: 'METER_STORE_REJECTED', retryable: false };

const MEMORY_LIMIT_EXCEEDED = 241;

/** Engine codes that are not simply a refusal of the statement. */
const FAULTS: ReadonlyMap<number, Fault> = new Map([
  [159, TIMEOUT], // TIMEOUT_EXCEEDED
  [160, TIMEOUT], // TOO_SLOW
  [158, LIMIT], // TOO_MANY_ROWS
  [307, LIMIT], // TOO_MANY_BYTES
  [396, LIMIT], // TOO_MANY_ROWS_OR_BYTES
  [191, LIMIT], // SET_SIZE_LIMIT_EXCEEDED
  [201, BUSY], // QUOTA_EXCEEDED
  [202, BUSY], // TOO_MANY_SIMULTANEOUS_QUERIES
  [252, BUSY], // TOO_MANY_PARTS
  [439, BUSY], // CANNOT_SCHEDULE_TASK
  [473, BUSY], // DEADLOCK_AVOIDED
  [3, UNAVAILABLE], // UNEXPECTED_END_OF_FILE
  [32, UNAVAILABLE], // ATTEMPT_TO_READ_AFTER_EOF
  [198, UNAVAILABLE], // DNS_ERROR
  [209, UNAVAILABLE], // SOCKET_TIMEOUT
  [210, UNAVAILABLE], // NETWORK_ERROR
  [225, UNAVAILABLE], // NO_ZOOKEEPER
  [236, UNAVAILABLE], // ABORTED
  [242, UNAVAILABLE], // TABLE_IS_READ_ONLY
  [243, UNAVAILABLE], // NOT_ENOUGH_SPACE
  [279, UNAVAILABLE], // ALL_CONNECTION_TRIES_FAILED
  [285, UNAVAILABLE], // TOO_FEW_LIVE_REPLICAS
  [286, UNAVAILABLE], // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
  [319, UNAVAILABLE], // UNKNOWN_STATUS_OF_INSERT
  [425, UNAVAILABLE], // SYSTEM_ERROR
  [999, UNAVAILABLE], // KEEPER_EXCEPTION
]);

/** `doing` names the call for the reader of a log line, e.g. `insert into samples`. */
export function storeFault(error: unknown, doing: string, operation: Operation): MeteringError {
  if (error instanceof MeteringError) return error;
  // A call that does not fit the library is our bug, and a bug must not look like an outage.
  if (error instanceof TypeError || error instanceof RangeError) throw error;
  const fault = classify(engineCode(error), operation);
  return new MeteringError(fault.code, `${doing}: ${textOf(error)}`, {
    retryable: fault.retryable,
    cause: error,
  });
}

function classify(code: number | undefined, operation: Operation): Fault {
  // No engine code: the engine was never reached, or its answer never arrived.
  if (code === undefined) return UNAVAILABLE;
  if (code === MEMORY_LIMIT_EXCEEDED) return operation === 'read' ? LIMIT : BUSY;
  return FAULTS.get(code) ?? REJECTED;
}

/** The ClickHouse error code an error or one of its causes carries. */
export function engineCode(error: unknown): number | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const own = codeOf(at);
    if (own !== undefined) return own;
  }
  return undefined;
}

function codeOf(error: Error): number | undefined {
  // chDB keeps the number apart; the official client has it as text in `code`, where sockets put
  // ECONNREFUSED.
  if ('clickhouseCode' in error && typeof error.clickhouseCode === 'number') return error.clickhouseCode;
  if ('code' in error && typeof error.code === 'string' && /^\d+$/.test(error.code))
    return Number(error.code);
  const head = /^Code: (\d+)\. /.exec(error.message);
  return head?.[1] === undefined ? undefined : Number(head[1]);
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node reports a refused connection to several addresses as an AggregateError without a text.
  if (error instanceof AggregateError) return error.errors.map(textOf).join('; ');
  return error.message === '' ? error.name : error.message;
}
