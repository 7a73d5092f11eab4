import { MeteringError } from '../../runtime/errors.ts';

/** SQLite's primary result codes that an operator can meet; the others would be bugs. */
const FAULTS: ReadonlyMap<number, { readonly retryable: boolean; readonly advice: string }> = new Map([
  [8, { retryable: false, advice: 'it cannot be written; check the rights of the data directory' }],
  [10, { retryable: true, advice: 'the disk fails; check it and the space left' }],
  [11, { retryable: false, advice: 'it is damaged; restore it, or move it away and lose what is unread' }],
  [13, { retryable: true, advice: 'it may not grow; free space, raise maxFileBytes or shorten retention' }],
  [14, { retryable: false, advice: 'it cannot be opened; check the data directory and its rights' }],
  [26, { retryable: false, advice: 'it is no log of ours; move it away or name another data directory' }],
]);

const BUSY = 5;
const LOCKED = 6;

/** What SQLite threw, as an operating fault with advice; what is none is returned as it is. */
export function translateFault(error: unknown, file: string): unknown {
  const code = resultCode(error);
  if (code === BUSY || code === LOCKED) {
    const advice = 'stop that process, or give this one another data directory (--data)';
    return new MeteringError('METER_DATA_LOCKED', `${file} is in use by another process; ${advice}`, {
      cause: error,
    });
  }
  const fault = code === undefined ? undefined : FAULTS.get(code);
  if (fault === undefined) return error;
  return new MeteringError('METER_LOG_UNAVAILABLE', `the log ${file}: ${fault.advice}`, {
    retryable: fault.retryable,
    cause: error,
  });
}

/** Extended codes carry the primary one in their low byte. */
function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined;
  return error.errcode & 0xff;
}
