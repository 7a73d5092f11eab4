import { describe, expect, test } from 'vitest';
import { z } from 'zod';

import { completed } from '../../../../../aggregator/api/endpoint/completed.ts';
import { csvOf, tableOf } from '../../../../../aggregator/api/endpoint/table.ts';
import { ENDPOINTS } from '../../../../../aggregator/api/endpoints.ts';

const row = z.strictObject({
  name: z.string(),
  change: z.string().regex(/^-?\d+$/),
  ratio: z.number().nullable(),
  close: z
    .strictObject({
      hash: z.union([z.string(), z.literal('')]),
      clusters: z.array(z.string()),
      waivers: z.array(z.strictObject({ cluster: z.string() })),
    })
    .optional(),
  isLast: z.boolean().optional(),
});
const list = z.strictObject({ data: z.array(row), next: z.string().optional() });
const HEADER = 'name,change,ratio,close.hash,close.clusters,isLast\r\n';

function csv(...rows: z.input<typeof row>[]): string {
  const table = tableOf(list);
  return table === undefined ? 'no table' : csvOf(table, rows);
}

describe('a list as CSV', () => {
  test('has the fields of its rows as columns, in their order, those of objects by both names', () => {
    const close = { hash: 'ab', clusters: ['north', 'south'], waivers: [{ cluster: 'north' }] };
    expect(csv({ name: 'a,b', change: '12', ratio: 0.5, close, isLast: true })).toBe(
      `${HEADER}"a,b",12,0.5,ab,north south,true\r\n`,
    );
    expect(tableOf(list)?.leftOut).toEqual(['close.waivers']);
  });

  test('is empty where a row has nothing to say, and has a header without any row', () => {
    expect(csv({ name: '', change: '0', ratio: null })).toBe(`${HEADER},0,,,,\r\n`);
    expect(csv()).toBe(HEADER);
  });

  test('has no name that a spreadsheet takes for a formula, and negative figures as they are', () => {
    const close = { hash: '', clusters: ['=cmd', 'b'], waivers: [] };
    expect(csv({ name: '=1+1', change: '-7', ratio: -1, close })).toBe(`${HEADER}'=1+1,-7,-1,,'=cmd b,\r\n`);
    expect(csv({ name: '-2+3', change: '1', ratio: 1 })).toBe(`${HEADER}'-2+3,1,1,,,\r\n`);
  });

  test('is none of rows of several kinds, nor of what is no list', () => {
    const kinds = z.union([row, z.strictObject({ other: z.string() })]);
    expect(tableOf(z.strictObject({ data: z.array(kinds) }))).toBeUndefined();
    expect(tableOf(z.strictObject({ data: row }))).toBeUndefined();
    expect(tableOf(z.unknown())).toBeUndefined();
  });

  test('is not made for an answer that makes its own', () => {
    const own = { json: list, media: { 'text/csv': 'of its own' } };
    expect(completed(own)).toMatchObject({ media: { 'text/csv': 'of its own' } });
    expect(completed(own)).not.toHaveProperty('table');
  });
});

test('every endpoint that answers with a list has CSV, but the ledger', () => {
  const without = ENDPOINTS.filter(
    ({ declaration: { answers } }) => !('text/csv' in (answers[200].media ?? {})),
  );
  expect(without.map(({ declaration }) => declaration.operationId)).toEqual(['listLedger', 'explainNumber']);
});
