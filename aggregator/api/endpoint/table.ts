/**
 * Lists as tables. In: the schema of a JSON answer whose `data` is a list of one kind of object. Out: the
 * same rows as CSV, a column for each field, in the schema's order. What stands around `data` is no row: the
 * cursor comes in a header, the rest is what was asked.
 *
 * Fields of an object in a row are columns of their own (`close.hash`), a list of plain values is one (with
 * blanks between), and what is absent is empty. A list of objects is left out: it would be rows within a row.
 * Rows of several kinds are no table, for half of every row would be empty: the ledger's entries have none.
 *
 * A field that a spreadsheet would take for a formula gets an apostrophe, as in statements; figures do not.
 */
import { z } from 'zod';

import { csv, type CsvField } from '../../../core/runtime/csv.ts';
import { plainText } from '../../ledger/statements/csv.ts';

export interface Table {
  readonly columns: readonly Column[];
  /** Names of fields that are no columns. */
  readonly leftOut: readonly string[];
}

/** Names from the row on. */
type Column = readonly string[];

type Node = z.core.JSONSchema.BaseSchema;

/** Undefined for what is no list of flat rows. */
export function tableOf(json: z.ZodType): Table | undefined {
  const { properties } = z.toJSONSchema(json, { io: 'output' });
  const data = nodeOf(properties?.['data']);
  const row = data?.type === 'array' ? nodeOf(data.items) : undefined;
  return row?.properties === undefined ? undefined : columnsOf(row, []);
}

export function describe({ columns, leftOut }: Table): string {
  const all = `The rows of \`data\`, with a header: ${columns.map(nameOf).join(', ')}.`;
  return leftOut.length === 0 ? all : `${all} Lists of objects are left out: ${leftOut.join(', ')}.`;
}

export function csvOf({ columns }: Table, rows: readonly unknown[]): string {
  return csv(
    columns.map(nameOf),
    rows.map((row) => columns.map((column) => field(valueAt(row, column)))),
  );
}

function columnsOf({ properties = {} }: Node, path: Column): Table {
  const parts = Object.entries(properties).map(([name, property]): Table => {
    const [at, node] = [[...path, name], nodeOf(property)];
    if (node?.properties !== undefined) return columnsOf(node, at);
    const isColumn = isPlain(node) || (node?.type === 'array' && isPlain(nodeOf(node.items)));
    return isColumn ? { columns: [at], leftOut: [] } : { columns: [], leftOut: [nameOf(at)] };
  });
  return {
    columns: parts.flatMap(({ columns }) => columns),
    leftOut: parts.flatMap(({ leftOut }) => leftOut),
  };
}

/** A schema, without that it may be null. */
function nodeOf(schema: unknown): Node | undefined {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return undefined;
  const node = schema as Node;
  const [only, ...others] = (node.anyOf ?? []).filter((one) => nodeOf(one)?.type !== 'null');
  return only !== undefined && others.length === 0 ? nodeOf(only) : node;
}

function isPlain(node: Node | undefined): boolean {
  if (node === undefined) return false;
  const { type, anyOf } = node;
  if (anyOf !== undefined) return anyOf.every((one) => isPlain(nodeOf(one)));
  return type !== undefined && type !== 'object' && type !== 'array';
}

function nameOf(column: Column): string {
  return column.join('.');
}

function valueAt(row: unknown, [name, ...rest]: Column): unknown {
  if (name === undefined) return row;
  return valueAt((row as Readonly<Record<string, unknown>> | undefined)?.[name], rest);
}

const FIGURE = /^-?\d+(\.\d+)?$/;

function field(value: unknown): CsvField {
  if (Array.isArray(value)) return field(value.join(' '));
  if (typeof value === 'string') return FIGURE.test(value) ? value : plainText(value);
  return typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
}
