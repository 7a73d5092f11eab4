import * as fc from 'fast-check';
import { parquetMetadata, parquetReadObjects, type FileMetaData } from 'hyparquet';
import { describe, expect, test } from 'vitest';
import type { Statement } from '../../../../../aggregator/ledger/statement.ts';
import { statementHash } from '../../../../../aggregator/ledger/statements/canonical.ts';
import { plainText, renderCsv } from '../../../../../aggregator/ledger/statements/csv.ts';
import { renderParquet } from '../../../../../aggregator/ledger/statements/parquet.ts';
import { anyStatement, csvRecords, reversed, sha, SHOP } from './statements.ts';

function file(statement: Statement): ArrayBuffer {
  return new Uint8Array(renderParquet(statement)).buffer;
}

/** Decimals as their bytes: the reader makes doubles of them, which are too short for 38 digits. */
function withoutDecimals(metadata: FileMetaData): FileMetaData {
  for (const element of metadata.schema) {
    if (element.converted_type === 'DECIMAL') delete element.converted_type;
    if (element.logical_type?.type === 'DECIMAL') delete element.logical_type;
  }
  return metadata;
}

function unscaled(bytes: Uint8Array): bigint {
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
}

/** A value as the CSV writes it. */
function asCsv(value: unknown, scale: number): string {
  if (value === null || value === undefined) return '';
  if (value instanceof Date) return value.toISOString().replace('.000Z', 'Z');
  if (typeof value === 'string') return plainText(value);
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (!(value instanceof Uint8Array)) throw new TypeError('no value of these columns');
  const digits = unscaled(value);
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0');
  const [whole, fraction] = [text.slice(0, text.length - scale), text.slice(text.length - scale)];
  const point = scale === 0 ? '' : `.${fraction}`.replace(/\.?0+$/, '');
  return `${digits < 0n ? '-' : ''}${whole}${point}`;
}

async function recordsIn(statement: Statement): Promise<string[][]> {
  const buffer = file(statement);
  const columns = parquetMetadata(buffer).schema.slice(1);
  const metadata = withoutDecimals(parquetMetadata(buffer));
  const rows = await parquetReadObjects({ file: buffer, metadata });
  return [
    columns.map(({ name }) => name),
    ...rows.map((row) => columns.map(({ name, scale }) => asCsv(row[name], scale ?? 0))),
  ];
}

describe('a Parquet file', () => {
  test('holds the rows of the CSV, row for row', async () => {
    await fc.assert(
      fc.asyncProperty(anyStatement, async (statement) => {
        expect(await recordsIn(statement)).toEqual(csvRecords(renderCsv(statement)));
      }),
    );
  });

  test('of a month longer than the first row group does too', async () => {
    const [line] = SHOP.lines;
    const lines = Array.from({ length: 2500 }, (_, n) => ({
      ...{ ...line!, namespace: `n${String(n).padStart(4, '0')}`, quantity: 10n ** 37n - BigInt(n) },
    }));
    const statement = { ...SHOP, lines };
    expect(await recordsIn(statement)).toEqual(csvRecords(renderCsv(statement)));
  });

  test('without any row still has its columns', async () => {
    const empty = { ...SHOP, waivers: [], coverage: [], lines: [], corrections: [] };
    expect(await recordsIn(empty)).toEqual(csvRecords(renderCsv(empty)));
  });

  test('has typed columns: decimals of 38 digits, instants, integers, text', () => {
    const types = parquetMetadata(file(SHOP))
      .schema.slice(1)
      .map(({ name, type, converted_type, precision, scale, repetition_type }) => {
        const decimal = precision === undefined ? '' : `(${precision},${scale ?? 0})`;
        return `${name} ${converted_type ?? type ?? ''}${decimal}${repetition_type === 'REQUIRED' ? '!' : ''}`;
      });
    expect(types).toEqual([
      ...['record UTF8!', 'period UTF8!', 'tenant UTF8!', 'cluster UTF8!', 'namespace UTF8', 'meter UTF8'],
      ...['hour TIMESTAMP_MILLIS', 'quantity DECIMAL(38,0)', 'unit UTF8'],
      ...['presented_quantity DECIMAL(38,9)', 'presented_unit UTF8', 'before DECIMAL(38,0)'],
      ...['after DECIMAL(38,0)', 'hours INT64', 'missing_ms DECIMAL(38,0)', 'samples INT64', 'flags INT64'],
      ...['flag_names UTF8', 'covered_ms INT64', 'expected_ms INT64', 'complete BOOLEAN'],
      ...['correction_id UTF8', 'hours_hash UTF8', 'reason UTF8', 'approved_by UTF8', 'statement_hash UTF8!'],
    ]);
  });

  test('names in its metadata the statement and what it was made under', () => {
    const { key_value_metadata: pairs = [] } = parquetMetadata(file(SHOP));
    expect(Object.fromEntries(pairs.map(({ key, value }) => [key, value]))).toEqual({
      'gh0stcloud.metering.period': '2026-10',
      'gh0stcloud.metering.tenant': 'acme',
      'gh0stcloud.metering.ruleVersion': '1',
      'gh0stcloud.metering.settingsHash': sha('a'),
      'gh0stcloud.metering.previousCloseHash': sha('b'),
      'gh0stcloud.metering.hash': statementHash(SHOP),
    });
  });

  test('has the same bytes whatever order the rows were read in', () => {
    fc.assert(
      fc.property(anyStatement, (statement) => {
        expect(renderParquet(reversed(statement))).toEqual(renderParquet(statement));
      }),
      { numRuns: 30 },
    );
  });

  const [line] = SHOP.lines;
  test.each([
    ['a quantity of 39 digits', { quantity: 10n ** 38n }],
    ['minus 39 digits', { quantity: -(10n ** 38n) }],
    ['samples beyond 64 bits', { samples: 2n ** 63n }],
  ])('is refused where a value does not fit, never cut: %s', (_, change) => {
    expect(() => renderParquet({ ...SHOP, lines: [{ ...line!, ...change }] })).toThrow(
      'fits its Parquet column',
    );
  });

  test('takes what just fits', async () => {
    const lines = [{ ...line!, meter: 'http_requests', quantity: 10n ** 29n - 1n, samples: 2n ** 63n - 1n }];
    const statement = { ...SHOP, lines };
    expect(await recordsIn(statement)).toEqual(csvRecords(renderCsv(statement)));
  });
});
