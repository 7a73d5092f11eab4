/** Rows that units give, as one block: the columns of their keys, and how they go into a table of units. */
import { blockStructure, nativeBlock, type Column } from '../store/native-block.ts';
import type { UsageStore } from '../store/usage-store.ts';

export interface Written {
  readonly cluster: string;
  readonly version: bigint;
}

/** `unit` and `hour` of rows, in ms. */
export function timeColumns(rows: readonly { readonly unit: number; readonly hour: number }[]): Column[] {
  return (['unit', 'hour'] as const).map((name) => ({
    name,
    type: 'UInt32',
    data: Uint32Array.from(rows, (row) => row[name] / 1000),
  }));
}

/** `columns` begin with those of `timeColumns`. */
export async function insertUnitRows(
  store: UsageStore,
  block: { readonly table: string; readonly rows: number; readonly columns: readonly Column[] },
  written: Written,
): Promise<void> {
  const { table, rows, columns } = block;
  const names = columns.map((column) => column.name);
  await store.insertBlock({
    table,
    columns: [...names, 'cluster', 'version'],
    structure: blockStructure(columns),
    select: [
      ...["toDateTime(unit, 'UTC')", "toDateTime(hour, 'UTC')", ...names.slice(2)],
      ...['{cluster:String}', '{version:UInt64}'],
    ],
    parameters: { ...written },
    block: nativeBlock(rows, columns),
  });
}
