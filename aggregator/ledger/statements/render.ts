/** The forms of a statement that are handed out. PURE: same statement, same bytes. */
import { CSV_TYPE } from '../../../core/runtime/csv.ts';
import type { Statement } from '../statement.ts';
import { renderCsv } from './csv.ts';
import { GH0STCLOUD, renderFocus, type FocusIssuer } from './focus.ts';
import { renderJson } from './json.ts';
import { renderParquet } from './parquet.ts';

export const STATEMENT_FORMATS = ['json', 'csv', 'focus', 'parquet'] as const;
export type StatementFormat = (typeof STATEMENT_FORMATS)[number];

export interface RenderedStatement {
  readonly contentType: string;
  /** Without a dot in front: `statement.${fileExtension}`. */
  readonly fileExtension: string;
  readonly body: Uint8Array;
}

export function renderStatement(
  statement: Statement,
  format: StatementFormat,
  issuer: FocusIssuer = GH0STCLOUD,
): RenderedStatement {
  switch (format) {
    case 'json':
      return rendered('application/json', 'json', renderJson(statement));
    case 'csv':
      return rendered(CSV_TYPE, 'csv', renderCsv(statement));
    case 'focus':
      return rendered(CSV_TYPE, 'focus.csv', renderFocus(statement, issuer));
    case 'parquet':
      return rendered('application/vnd.apache.parquet', 'parquet', renderParquet(statement));
  }
}

function rendered(contentType: string, fileExtension: string, body: string | Uint8Array): RenderedStatement {
  return { contentType, fileExtension, body: typeof body === 'string' ? Buffer.from(body) : body };
}
