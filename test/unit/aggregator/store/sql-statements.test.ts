import { expect, test } from 'vitest';
import { splitStatements } from '../../../../aggregator/store/sql-statements.ts';

test.each([
  ['SELECT 1; SELECT 2', ['SELECT 1', 'SELECT 2']],
  ['SELECT 1;\n;\n', ['SELECT 1']],
  [
    "SELECT 'a;b', 'it''s; -- no', 'c\\';d'; SELECT 2",
    ["SELECT 'a;b', 'it''s; -- no', 'c\\';d'", 'SELECT 2'],
  ],
  ['SELECT `a;b`, "c;d"', ['SELECT `a;b`, "c;d"']],
  ['-- a; b\nSELECT 1 -- c; d\n; /* e;\n f */ SELECT 2', ['SELECT 1', 'SELECT 2']],
  ['SELECT 1 - -1', ['SELECT 1 - -1']],
  ["SELECT '-- kept', '/* kept */'", ["SELECT '-- kept', '/* kept */'"]],
  ['-- nothing here', []],
])('%j is cut at its own semicolons', (sql, expected) => {
  expect(splitStatements(sql)).toEqual(expected);
});
