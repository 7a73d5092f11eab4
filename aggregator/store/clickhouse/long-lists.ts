/**
 * Parameters as a server takes them: of the value of one it takes 128 KiB (`http_max_field_value_size`), in
 * the URL as in the body, whatever a statement may hold in all. PURE. A longer list is bound in pieces, which
 * the statement puts together again, so none of its values comes into the text.
 *
 * `x IN {ids:Array(UInt64)}` becomes `x IN arrayConcat({ids:Array(UInt64)}, {ids__1:Array(UInt64)})`.
 */
import type { Parameters, ParameterValue } from '../usage-store.ts';

/** Somewhat less than it takes. */
const MAX_VALUE_BYTES = 120_000;

export interface Bound {
  readonly query: string;
  readonly query_params?: Record<string, unknown>;
}

export function bound(sql: string, parameters: Parameters | undefined): Bound {
  if (parameters === undefined) return { query: sql };
  let query = sql;
  const pieces: Record<string, unknown> = { ...parameters };
  for (const [name, value] of Object.entries(parameters)) {
    if (!Array.isArray(value)) continue;
    const [first = [], ...others] = piecesOf(value as readonly ParameterValue[]);
    if (others.length === 0) continue;
    pieces[name] = first;
    const names = others.map((_, i) => `${name}__${i + 1}`);
    for (const [i, other] of others.entries()) pieces[`${name}__${i + 1}`] = other;
    query = query.replaceAll(new RegExp(`\\{${name}:([^}]+)\\}`, 'g'), (placeholder, type: string) => {
      const rest = names.map((one) => `{${one}:${type}}`);
      return `arrayConcat(${[placeholder, ...rest].join(', ')})`;
    });
  }
  return { query, query_params: pieces };
}

function piecesOf(values: readonly ParameterValue[]): ParameterValue[][] {
  const pieces: ParameterValue[][] = [];
  let room = 0;
  for (const value of values) {
    const bytes = mostBytes(value);
    if (bytes > room || pieces.length === 0) {
      pieces.push([]);
      room = MAX_VALUE_BYTES;
    }
    pieces.at(-1)?.push(value);
    room -= bytes;
  }
  return pieces;
}

/** With quotes, a comma, and every character escaped. */
function mostBytes(value: ParameterValue): number {
  if (typeof value !== 'object') return 2 * Buffer.byteLength(String(value)) + 3;
  return value.reduce((sum: number, one) => sum + mostBytes(one), 3);
}
