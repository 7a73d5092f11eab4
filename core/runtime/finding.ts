/**
 * What a check found, for a person who is to mend it. `info` is what could not be checked, or what is for
 * whoever looks to judge.
 */
import { MeteringError } from './errors.ts';

export interface Finding {
  readonly level: 'ok' | 'info' | 'warn' | 'fail';
  /** What was looked at, such as `broker kafka-1:9092`. */
  readonly name: string;
  readonly seen: string;
  /** What to do; of everything that is not well. */
  readonly advice?: string;
}

/** Of an operating fault; what is none is a bug, and stays one. */
export function faultFinding(name: string, error: unknown, advice: string): Finding {
  if (!(error instanceof MeteringError)) throw error;
  return { level: 'fail', name, seen: error.message, advice };
}
