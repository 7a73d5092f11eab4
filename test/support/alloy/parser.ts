/** Tokens to blocks, attributes and expressions. What Alloy refuses in these is refused here. */
import { AlloySyntaxError, tokensOf, type Token } from './lexer.ts';

export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'map'; readonly entries: readonly (readonly [string, Expression])[] }
  /** `prometheus.relabel.usage.receiver`, or the name of a function. */
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'call'; readonly path: string; readonly args: readonly Expression[] }
  | { readonly kind: 'sum'; readonly left: Expression; readonly right: Expression };

export interface Attribute {
  readonly name: string;
  readonly value: Expression;
  readonly line: number;
}

export interface Block {
  readonly name: string;
  readonly label: string | undefined;
  readonly attributes: readonly Attribute[];
  readonly blocks: readonly Block[];
  readonly line: number;
}

const LITERALS: ReadonlyMap<string, boolean | null> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
]);

/** The blocks of a file; attributes stand only within them. */
export function parseAlloy(source: string): readonly Block[] {
  const parser = new Parser(tokensOf(source));
  const { attributes, blocks } = parser.body('end-of-file');
  const [stray] = attributes;
  if (stray !== undefined) throw new AlloySyntaxError(`${stray.name} stands in no block`, stray.line);
  return blocks;
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  body(end: '}' | 'end-of-file'): { attributes: Attribute[]; blocks: Block[] } {
    const attributes: Attribute[] = [];
    const blocks: Block[] = [];
    while (!this.#isEnd(end)) {
      const line = this.#next.line;
      const name = this.#dotted();
      if (this.#takeSymbol('=')) {
        if (attributes.some((known) => known.name === name)) this.#fail(`${name} is given twice`, line);
        attributes.push({ name, value: this.#expression(), line });
      } else blocks.push(this.#block(name, line));
      if (!this.#isEnd(end)) this.#expect('end-of-statement');
    }
    return { attributes, blocks };
  }

  #block(name: string, line: number): Block {
    const label = this.#next.kind === 'string' ? this.#take().text : undefined;
    if (label !== undefined && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(label))
      this.#fail(`label ${label} is no name`);
    this.#expectSymbol('{');
    const { attributes, blocks } = this.body('}');
    this.#expectSymbol('}');
    return { name, label, attributes, blocks, line };
  }

  #expression(): Expression {
    let left = this.#primary();
    while (this.#takeSymbol('+')) left = { kind: 'sum', left, right: this.#primary() };
    return left;
  }

  #primary(): Expression {
    const { kind, text } = this.#next;
    if (kind === 'string') return { kind: 'literal', value: this.#take().text };
    if (kind === 'number') return { kind: 'literal', value: Number(this.#take().text) };
    if (this.#takeSymbol('[')) return { kind: 'list', items: this.#listed(']', () => this.#expression()) };
    if (this.#takeSymbol('{')) return { kind: 'map', entries: this.#listed('}', () => this.#entry()) };
    if (kind !== 'name') this.#fail(`expected a value, found ${this.#found()}`);
    const literal = LITERALS.get(text);
    if (literal !== undefined) {
      this.#at++;
      return { kind: 'literal', value: literal };
    }
    const path = this.#dotted();
    if (!this.#takeSymbol('(')) return { kind: 'path', path };
    return { kind: 'call', path, args: this.#listed(')', () => this.#expression()) };
  }

  #entry(): readonly [string, Expression] {
    const { kind, text } = this.#take();
    if (kind !== 'string' && kind !== 'name') this.#fail('expected a key');
    this.#expectSymbol('=');
    return [text, this.#expression()];
  }

  /**
   * Items up to `end`. Over several lines the last has its comma too, else the line would end the statement.
   */
  #listed<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#takeSymbol(end)) {
      items.push(item());
      if (this.#takeSymbol(',')) continue;
      if (this.#next.kind === 'end-of-statement') this.#fail('missing , at the end of the line');
      this.#expectSymbol(end);
      break;
    }
    return items;
  }

  #dotted(): string {
    const parts = [this.#expect('name').text];
    while (this.#takeSymbol('.')) parts.push(this.#expect('name').text);
    return parts.join('.');
  }

  get #next(): Token {
    const token = this.#tokens[Math.min(this.#at, this.#tokens.length - 1)];
    if (token === undefined) throw new AlloySyntaxError('nothing to read', 0);
    return token;
  }

  #take(): Token {
    const token = this.#next;
    this.#at++;
    return token;
  }

  #takeSymbol(symbol: string): boolean {
    const { kind, text } = this.#next;
    if (kind !== 'symbol' || text !== symbol) return false;
    this.#at++;
    return true;
  }

  #expectSymbol(symbol: string): void {
    if (!this.#takeSymbol(symbol)) this.#fail(`expected ${symbol}, found ${this.#found()}`);
  }

  #expect(kind: Token['kind']): Token {
    if (this.#next.kind !== kind) this.#fail(`expected ${kind}, found ${this.#found()}`);
    return this.#take();
  }

  #isEnd(end: '}' | 'end-of-file'): boolean {
    const { kind, text } = this.#next;
    return end === '}' ? kind === 'symbol' && text === '}' : kind === 'end-of-file';
  }

  #found(): string {
    const { kind, text } = this.#next;
    return kind === 'symbol' || kind === 'name' ? text : kind;
  }

  #fail(what: string, line = this.#next.line): never {
    throw new AlloySyntaxError(what, line);
  }
}
