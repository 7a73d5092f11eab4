/**
 * Alloy's configuration language, as far as the committed files use it: characters to tokens. A line ends a
 * statement where it could end one (after a name, a literal or a closing bracket), as in Go.
 */
export interface Token {
  readonly kind: 'name' | 'number' | 'string' | 'symbol' | 'end-of-statement' | 'end-of-file';
  /** Of a string: its value, escapes resolved. */
  readonly text: string;
  readonly line: number;
}

export class AlloySyntaxError extends Error {
  constructor(what: string, line: number) {
    super(`line ${line}: ${what}`);
  }
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /-?[0-9]+(\.[0-9]+)?/y;
const SYMBOL = /[{}()[\],.=+]/y;
const BLANKS = /[ \t\r]+/y;
const COMMENT = /\/\/[^\n]*/y;
const BLOCK_COMMENT = /\/\*[\s\S]*?\*\//y;
const STRING = /"([^"\\\n]|\\.)*"/y;
const RAW_STRING = /`[^`]*`/y;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '"': '"', '\\': '\\' };

export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const push = (kind: Token['kind'], text: string): void => void tokens.push({ kind, text, line });
  const endLine = (): void => {
    if (endsStatement(tokens.at(-1))) push('end-of-statement', '\n');
  };
  while (at < source.length) {
    if (source[at] === '\n') {
      endLine();
      at++;
      line++;
      continue;
    }
    if (take(BLANKS) !== undefined || take(COMMENT) !== undefined) continue;
    const comment = take(BLOCK_COMMENT);
    if (comment !== undefined) {
      line += comment.split('\n').length - 1;
      continue;
    }
    const [kind, text] = tokenAt(take) ?? [];
    if (kind === undefined || text === undefined) {
      throw new AlloySyntaxError(`unexpected ${JSON.stringify(source[at])}`, line);
    }
    push(kind, kind === 'string' ? unquoted(text, line) : text);
    if (text.startsWith('`')) line += text.split('\n').length - 1;
  }
  endLine();
  push('end-of-file', '');
  return tokens;
}

function tokenAt(take: (pattern: RegExp) => string | undefined): [Token['kind'], string] | undefined {
  const kinds: readonly [Token['kind'], RegExp][] = [
    ['string', STRING],
    ['string', RAW_STRING],
    ['name', NAME],
    ['number', NUMBER],
    ['symbol', SYMBOL],
  ];
  for (const [kind, pattern] of kinds) {
    const text = take(pattern);
    if (text !== undefined) return [kind, text];
  }
  return undefined;
}

function endsStatement(token: Token | undefined): boolean {
  if (token === undefined || token.kind === 'end-of-statement') return false;
  return token.kind !== 'symbol' || [')', ']', '}'].includes(token.text);
}

function unquoted(text: string, line: number): string {
  const inner = text.slice(1, -1);
  if (text.startsWith('`')) return inner;
  return inner.replaceAll(/\\(.)/gs, (_, escaped: string) => {
    const value = ESCAPES[escaped];
    if (value === undefined) throw new AlloySyntaxError(`unknown escape \\${escaped}`, line);
    return value;
  });
}
