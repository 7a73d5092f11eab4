/**
 * Cuts a SQL file into statements at its semicolons, and nowhere else: not inside strings, quoted names or
 * comments. The server takes one statement per call. Comments and blank ends are dropped.
 */

/** What a semicolon does not end; each alternative swallows its token whole. */
const TOKEN = /'(?:[^'\\]|\\[^]|'')*'|`(?:[^`\\]|\\[^])*`|"(?:[^"\\]|\\[^])*"|--[^\n]*|\/\*[^]*?\*\/|;|[^]/g;

export function splitStatements(sql: string): readonly string[] {
  const statements: string[] = [];
  let statement = '';
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token === ';') {
      statements.push(statement);
      statement = '';
    } else if (!isComment(token)) statement += token;
  }
  statements.push(statement);
  return statements.map(tidy).filter((text) => text !== '');
}

function isComment(token: string): boolean {
  return token.startsWith('--') || token.startsWith('/*');
}

/** A dropped comment leaves a line of blanks behind. */
function tidy(statement: string): string {
  return statement.replace(/[ \t]+$/gm, '').trim();
}
