/** Values as ClickHouse reads them: SQL literals, and parameters in the form `SET param_x = '...'` takes. */
import type { ParameterValue } from '../usage-store.ts';
import { invariant } from '../../../core/runtime/errors.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  "'": "\\'",
  '\0': '\\0',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function escaped(text: string, special: RegExp): string {
  return text.replace(special, (character) => ESCAPES[character] ?? character);
}

export function stringLiteral(text: string): string {
  return `'${escaped(text, /[\\'\0\b\f\n\r\t]/g)}'`;
}

/** The text of a parameter: tab-separated escaping at the top, literals inside an array. */
export function parameterText(value: ParameterValue): string {
  return typeof value === 'string' ? escaped(value, /[\\\0\b\f\n\r\t]/g) : plain(value);
}

function plain(value: ParameterValue): string {
  if (typeof value === 'string') return stringLiteral(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'number') {
    invariant(Number.isFinite(value), 'a number parameter is finite');
    invariant(!Number.isInteger(value) || Number.isSafeInteger(value), 'integers past 2^53 travel as bigint');
    return String(value);
  }
  return `[${value.map(plain).join(',')}]`;
}
