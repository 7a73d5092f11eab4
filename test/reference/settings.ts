/** What a settings schema takes, key by key: kinds and defaults from the schema, meanings from the comments beside it. */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { z } from 'zod';

export interface Setting {
  readonly path: string;
  readonly takes: string;
  readonly default: string;
  readonly meaning: string;
}

interface Node {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly pattern?: string;
}

/** `source` is the file that declares the schema. */
export function settingsOf(schema: z.ZodType, source: string): Setting[] {
  const meanings = commentsOf(source);
  return walk(z.toJSONSchema(schema, { io: 'input' }) as Node, '', meanings);
}

function walk(node: Node, path: string, meanings: ReadonlyMap<string, string>): Setting[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const here = path === '' ? name : `${path}.${name}`;
    const isRequired = node.required?.includes(name) === true;
    const inner = child.items?.properties === undefined ? child : child.items;
    const within = child.items?.properties === undefined ? here : `${here}[]`;
    const own = {
      path: here,
      takes: takes(child),
      default: isRequired ? 'required' : defaultOf(child),
      meaning: meanings.get(here.split('.').slice(-2).join('.')) ?? meanings.get(name) ?? '',
    };
    return [own, ...walk(inner, within, meanings)];
  });
}

function takes(node: Node): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(' or ');
  if (node.type === 'array')
    return node.items?.type === 'object' ? 'list' : `list of ${node.items?.type ?? ''}s`;
  if (node.type !== 'integer')
    return node.pattern === undefined ? (node.type ?? '') : `text, \`${node.pattern}\``;
  const least = node.minimum ?? (node.exclusiveMinimum === undefined ? undefined : node.exclusiveMinimum + 1);
  const most = node.maximum === Number.MAX_SAFE_INTEGER ? undefined : node.maximum;
  return ['integer', bound('from', least), bound('to', most)].filter((text) => text !== '').join(' ');
}

function bound(word: string, value: number | undefined): string {
  return value === undefined || value === Number.MIN_SAFE_INTEGER ? '' : `${word} ${value}`;
}

function defaultOf(node: Node): string {
  if (node.default === undefined || node.properties !== undefined) return '';
  return `\`${JSON.stringify(node.default)}\``;
}

/** Comments before the properties of object literals, by name, and by `sasl.name` within `const saslSchema`. */
function commentsOf(path: string): Map<string, string> {
  const text = readFileSync(path, 'utf8');
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const comments = new Map<string, string>();
  const visit = (node: ts.Node, schema: string): void => {
    const within = ts.isVariableDeclaration(node) ? node.name.getText(file).replace(/Schema$/, '') : schema;
    if (ts.isPropertyAssignment(node)) {
      const [range] = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [];
      const comment = range === undefined ? '' : text.slice(range.pos, range.end);
      const name = node.name.getText(file);
      for (const key of comment.startsWith('/**') ? [name, `${within}.${name}`] : [])
        comments.set(key, plain(comment));
    }
    ts.forEachChild(node, (child) => visit(child, within));
  };
  visit(file, '');
  return comments;
}

function plain(comment: string): string {
  return comment
    .replace(/^\/\*\*|\*\/$/g, '')
    .replace(/^\s*\*/gm, '')
    .replace(/\s+/g, ' ')
    .trim();
}
