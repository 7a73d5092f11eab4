/**
 * Rows as they go out. JSON and NDJSON have the same objects, CSV the same figures. What a spreadsheet would
 * take for a formula in a name (a workload called `=1+1`) has an apostrophe before it there, as in
 * statements; figures are written as they are.
 *
 * Base units are whole numbers. In the presented unit (core-hours, GiB-hours, GiB) a figure is rounded half
 * to even, once, to billionths, as statements do it, and the exact base figure stands beside it: that one
 * counts, and sums are taken over it. A rate is per hour, and so is its unit: `core-ns/h`.
 */
import { z } from 'zod';

import type { MeterDefinition } from '../../../core/metering/catalogue.ts';
import { csv, type CsvField } from '../../../core/runtime/csv.ts';
import { plainText } from '../../ledger/statements/csv.ts';
import { decimalText, toBillionths } from '../../ledger/statements/presented.ts';
import { instantText } from '../endpoint/parameters.ts';
import type { Dimension } from './dimensions.ts';
import type { ReportRow } from '../usage-report.ts';
import type { Rate } from './rates.ts';

export type Unit = 'base' | 'presented';

export const UNITS: readonly Unit[] = ['base', 'presented'];

export interface Shown {
  readonly meter: MeterDefinition;
  readonly groupBy: readonly Dimension[];
  readonly aggregation: 'sum' | Rate;
  readonly unit: Unit;
}

const time = z.string().meta({ format: 'date-time' });
const group = {
  tenant: z.string().optional(),
  cluster: z.string().optional(),
  namespace: z.string().optional(),
  workload: z.string().optional().meta({ description: 'Kind and name; empty for what is not known.' }),
  destination: z.string().optional().meta({
    description: 'Of egress; empty for what is not known, `(another tenant)` for what was sent to others.',
  }),
  storageClass: z.string().optional().meta({ description: 'Of storage; empty for what is not known.' }),
};

export const rowSchema = z.strictObject({
  value: z
    .string()
    .regex(/^-?\d+(\.\d+)?$/)
    .nullable()
    .meta({ description: 'In `unit`; null where nothing was scraped.' }),
  unit: z.string().meta({ description: 'The base unit, or the presented one; with `/h` of a rate.' }),
  baseValue: z
    .string()
    .regex(/^-?\d+$/)
    .nullable()
    .optional()
    .meta({ description: 'Beside a presented value: the same, exactly.' }),
  baseUnit: z.string().optional(),
  windowStart: time,
  windowEnd: time.meta({ description: 'Not in the window.' }),
  ...group,
  groupBy: z.strictObject(group),
  complete: z.boolean().meta({ description: 'Nothing that is on time can change it any more.' }),
  coverage: z
    .strictObject({ coveredMs: z.number(), expectedMs: z.number() })
    .meta({ description: 'Scraped and expected time of the targets behind it.' }),
  state: z
    .enum(['open', 'settling', 'closed', 'mixed'])
    .meta({ description: 'Of the billing periods that the window touches.' }),
  revision: z
    .int()
    .min(0)
    .meta({ description: 'The highest in the ledger behind the value; 0 where nothing of it is settled.' }),
});

export type RowJson = z.output<typeof rowSchema>;

export function rowJson(shown: Shown, row: ReportRow): RowJson {
  const { window, complete, coverage, state, revision } = row;
  const { value, unit, baseValue, baseUnit } = figuresOf(shown, row.value);
  return {
    value: value ?? null,
    unit,
    ...(baseUnit !== undefined && { baseValue: baseValue ?? null, baseUnit }),
    windowStart: instantText(window.startMs),
    windowEnd: instantText(window.endMs),
    ...row.group,
    groupBy: { ...row.group },
    complete,
    coverage: { ...coverage },
    state,
    revision,
  };
}

export function ndjson(shown: Shown, rows: readonly ReportRow[]): string {
  return rows.map((row) => `${JSON.stringify(rowJson(shown, row))}\n`).join('');
}

export function csvHeader({ groupBy, unit }: Shown): readonly string[] {
  const base = unit === 'base' ? [] : ['baseValue', 'baseUnit'];
  const judged = ['complete', 'coveredMs', 'expectedMs', 'state', 'revision'];
  return ['windowStart', 'windowEnd', ...groupBy, 'value', 'unit', ...base, ...judged];
}

export function csvRecord(shown: Shown, row: ReportRow): readonly CsvField[] {
  const { window, complete, coverage, state, revision } = row;
  const { value, unit, baseValue, baseUnit } = figuresOf(shown, row.value);
  return [
    instantText(window.startMs),
    instantText(window.endMs),
    ...shown.groupBy.map((dimension) => plainText(row.group[dimension] ?? '')),
    value,
    unit,
    ...(baseUnit === undefined ? [] : [baseValue, baseUnit]),
    complete,
    coverage.coveredMs,
    coverage.expectedMs,
    state,
    revision,
  ];
}

/** With the header before the first rows. */
export function csvText(shown: Shown, rows: readonly ReportRow[], withHeader: boolean): string {
  const text = csv(
    csvHeader(shown),
    rows.map((row) => csvRecord(shown, row)),
  );
  return withHeader ? text : text.slice(text.indexOf('\r\n') + 2);
}

interface FigureTexts {
  readonly value: string | undefined;
  readonly unit: string;
  readonly baseValue?: string | undefined;
  readonly baseUnit?: string;
}

function figuresOf({ meter, aggregation, unit }: Shown, value: bigint | undefined): FigureTexts {
  const per = aggregation === 'sum' ? '' : '/h';
  const base = { value: value?.toString(), unit: `${meter.unit}${per}` };
  if (unit === 'base') return base;
  const presented = value === undefined ? undefined : decimalText(toBillionths(value, meter));
  return {
    ...{ value: presented, unit: `${meter.presented.unit}${per}` },
    ...{ baseValue: base.value, baseUnit: base.unit },
  };
}
