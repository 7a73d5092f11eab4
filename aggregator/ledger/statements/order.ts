/**
 * The one order in which a statement is written down, whatever order it was read in. PURE. Text is compared
 * by its UTF-8 bytes, as the store's ORDER BY does and as `LC_ALL=C sort` does; never by locale. A key that
 * comes twice is a bug: two lines of one key would make the order, and so the hash, a matter of chance.
 */
import { invariant } from '../../../core/runtime/errors.ts';
import type { CorrectionLine, CoverageLine, Statement, StatementLine, WaiverLine } from '../statement.ts';

/**
 * Order of the UTF-8 bytes, found without encoding them: code units compare alike, but for surrogates, which
 * stand for code points above U+FFFF and so belong after U+E000 to U+FFFF.
 */
export function compareText(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

type Key = readonly (string | number)[];

function compareKeys(a: Key, b: Key): number {
  for (const [i, x] of a.entries()) {
    const y = b[i];
    const order = typeof x === 'string' ? compareText(x, String(y)) : x - Number(y);
    if (order !== 0) return order;
  }
  return 0;
}

const lineKey = ({ meter, cluster, namespace }: StatementLine): Key => [meter, cluster, namespace];
const coverageKey = ({ meter, cluster }: CoverageLine): Key => [meter, cluster];
const correctionKey = ({ hour, meter, cluster, namespace }: CorrectionLine): Key => [
  ...[hour, meter, cluster, namespace],
];
const waiverKey = ({ cluster, reason, approvedBy }: WaiverLine): Key => [cluster, reason, approvedBy];

/** The same statement: lines, corrections, coverage and waivers each in their order. */
export function inOrder(statement: Statement): Statement {
  return {
    ...statement,
    waivers: waiversInOrder(statement.waivers),
    coverage: sorted('coverage', statement.coverage, coverageKey),
    lines: sorted('line', statement.lines, lineKey),
    corrections: sorted('correction', statement.corrections, correctionKey),
  };
}

export function waiversInOrder(waivers: readonly WaiverLine[]): readonly WaiverLine[] {
  // One that was declared twice stands twice, and equal ones have no order.
  return withKeys(waivers, waiverKey).map(({ item }) => item);
}

/** [tenant, hash], by tenant. */
export function statementsInOrder(
  statements: readonly (readonly [tenant: string, hash: string])[],
): readonly (readonly [tenant: string, hash: string])[] {
  return sorted('statement', statements, ([tenant]) => [tenant]);
}

function withKeys<Item>(items: readonly Item[], keyOf: (item: Item) => Key): { item: Item; key: Key }[] {
  return items.map((item) => ({ item, key: keyOf(item) })).sort((a, b) => compareKeys(a.key, b.key));
}

function sorted<Item>(what: string, items: readonly Item[], keyOf: (item: Item) => Key): Item[] {
  const keyed = withKeys(items, keyOf);
  for (const [i, { key }] of keyed.entries()) {
    const before = keyed[i - 1];
    invariant(
      before === undefined || compareKeys(before.key, key) !== 0,
      `one ${what} of ${JSON.stringify(key)} in a statement`,
    );
  }
  return keyed.map(({ item }) => item);
}
