/** Without parameters: what is asked for, and what documents name. */
export const CSV = 'text/csv';
/** As an answer says it. */
export const CSV_TYPE = `${CSV}; charset=utf-8; header=present`;

/** RFC 4180: quotes where a field needs them. Absent values are empty fields. */
export type CsvField = string | number | bigint | boolean | undefined;

/** `lineEnd` is CRLF as the RFC has it, or a bare LF for pipes. */
export function csv(
  header: readonly string[],
  records: readonly (readonly CsvField[])[],
  lineEnd = '\r\n',
): string {
  return [header, ...records].map((record) => record.map(field).join(',') + lineEnd).join('');
}

function field(value: CsvField): string {
  const text = value === undefined ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
