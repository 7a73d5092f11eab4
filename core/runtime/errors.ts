/**
 * Three kinds of trouble, three ways:
 * - a bug: `invariant` throws, the process stops, replay repairs;
 * - an operating fault (disk, network, store): a `MeteringError` with a closed code;
 * - bad data: never thrown, but a value with a reason from a closed union (see core/metering).
 */
export type ErrorCode =
  | 'METER_CONFIG_INVALID'
  | 'METER_LOG_UNAVAILABLE'
  | 'METER_LOG_BEHIND_STORE'
  | 'METER_STORE_UNAVAILABLE'
  | 'METER_STORE_BUSY'
  | 'METER_STORE_REJECTED'
  | 'METER_QUERY_TIMEOUT'
  | 'METER_QUERY_LIMIT'
  | 'METER_OVERLOADED'
  | 'METER_MIGRATION_CONFLICT'
  | 'METER_DATA_LOCKED'
  | 'METER_LEASE_LOST'
  | 'METER_INPUT_UNREADABLE'
  | 'METER_ISSUER_UNAVAILABLE';

export class MeteringError extends Error {
  readonly code: ErrorCode;
  /** True when the same call may succeed later without anyone changing anything. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MeteringError';
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** A condition that only a bug can break. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}
