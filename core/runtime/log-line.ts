import { inspect } from 'node:util';

import { MeteringError } from './errors.ts';
import type { Level } from './fact-definition.ts';

/** How a fact looks in the log: one JSON object per line for machines, one readable line for people. */
export type LineFormat = 'json' | 'pretty';

export interface Line {
  readonly timeMs: number;
  readonly level: Level;
  readonly event: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A cause of a cause of a cause says enough; deeper chains are cut. */
const MAX_CAUSES = 4;

export function formatLine(format: LineFormat, line: Line): string {
  return format === 'json' ? jsonLine(line) : prettyLine(line);
}

function jsonLine({ timeMs, level, event, message, fields }: Line): string {
  const shown = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value)]));
  return `${JSON.stringify({ time: new Date(timeMs).toISOString(), level, event, message, ...shown })}\n`;
}

function prettyLine({ timeMs, level, message, fields }: Line): string {
  const time = new Date(timeMs).toISOString().slice(11, 23);
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${word(plain(value))}`);
  return `${[time, level.padEnd(5), message, ...pairs].join('  ')}\n`;
}

/** Values as JSON can carry them: integers of any size as digits, errors as what an operator needs. */
function plain(value: unknown): unknown {
  if (value instanceof Error) return describeError(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'object' && value !== null) return inspect(value, { depth: 4, breakLength: Infinity });
  return value;
}

function word(value: unknown): string {
  const text = typeof value === 'string' ? value : String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

/**
 * An operating fault is told by its code and causes. Anything else is a bug or unforeseen, and only then
 * the stack helps.
 */
export function describeError(error: Error): string {
  if (!(error instanceof MeteringError)) return error.stack ?? error.message;
  const causes: string[] = [];
  for (let cause = error.cause; cause instanceof Error && causes.length < MAX_CAUSES; cause = cause.cause) {
    causes.push(cause.message);
  }
  return [`${error.code}: ${error.message}`, ...causes].join('; because: ');
}
