import { describe, expect, test } from 'vitest';
import { relabel, RULE_DEFAULTS, type RelabelRule } from '../../support/alloy/relabel.ts';

type Rule = Partial<RelabelRule>;
type Row = Readonly<Record<string, string>>;

const BEFORE: Row = { a: 'foo', b: 'bar', c: 'baz' };

function after(rules: readonly Rule[], row: Row = BEFORE): Row | 'dropped' {
  const result = relabel(
    new Map(Object.entries(row)),
    rules.map((rule) => ({ ...RULE_DEFAULTS, ...rule })),
  );
  return result === undefined ? 'dropped' : Object.fromEntries(result);
}

const CASES: readonly (readonly [promise: string, rules: readonly Rule[], result: Row | 'dropped'])[] = [
  [
    'replace takes groups of the whole value',
    [{ sourceLabels: ['a'], regex: 'f(.*)', targetLabel: 'd', replacement: 'ch$1-ch$1' }],
    { ...BEFORE, d: 'choo-choo' },
  ],
  [
    'replace joins labels with the separator, one that is absent as empty',
    [{ sourceLabels: ['a', 'x', 'b'], targetLabel: 'a' }],
    { ...BEFORE, a: 'foo;;bar' },
  ],
  [
    'replace with another separator',
    [{ sourceLabels: ['a', 'b'], separator: '', targetLabel: 'd' }],
    { ...BEFORE, d: 'foobar' },
  ],
  [
    'replace without a match changes nothing',
    [{ sourceLabels: ['a'], regex: 'oo', targetLabel: 'a', replacement: 'x' }],
    BEFORE,
  ],
  [
    'replace by nothing removes the label',
    [{ sourceLabels: ['a'], targetLabel: 'a', replacement: '' }],
    { b: 'bar', c: 'baz' },
  ],
  [
    'replace without sources sets a constant',
    [{ targetLabel: 'd', replacement: 'x' }],
    { ...BEFORE, d: 'x' },
  ],
  [
    'replace may name its target by a group',
    [{ sourceLabels: ['b'], regex: '(b)ar', targetLabel: '${1}2', replacement: '$$' }],
    { ...BEFORE, b2: '$' },
  ],
  [
    'replace to no name does nothing',
    [{ sourceLabels: ['a'], targetLabel: '$1-x', replacement: 'y' }],
    BEFORE,
  ],
  ['keep is anchored at both ends', [{ sourceLabels: ['a'], regex: 'fo', action: 'keep' }], 'dropped'],
  ['keep lets a match through', [{ sourceLabels: ['a'], regex: 'fo+', action: 'keep' }], BEFORE],
  ['keep anchors alternatives as one', [{ sourceLabels: ['a'], regex: 'f|xfoo', action: 'keep' }], 'dropped'],
  ['drop drops a match', [{ sourceLabels: ['a', 'b'], regex: 'foo;bar', action: 'drop' }], 'dropped'],
  ['drop is anchored too', [{ sourceLabels: ['a'], regex: 'o', action: 'drop' }], BEFORE],
  [
    'keepequal drops what differs',
    [{ sourceLabels: ['a'], targetLabel: 'b', action: 'keepequal' }],
    'dropped',
  ],
  [
    'keepequal: two absent labels are equal',
    [{ sourceLabels: ['x'], targetLabel: 'y', action: 'keepequal' }],
    BEFORE,
  ],
  [
    'dropequal drops what is the same',
    [
      { targetLabel: 'a', replacement: 'bar' },
      { sourceLabels: ['a'], targetLabel: 'b', action: 'dropequal' },
    ],
    'dropped',
  ],
  [
    'labelmap copies names',
    [{ regex: '(a|b)', replacement: 'x_$1', action: 'labelmap' }],
    { ...BEFORE, x_a: 'foo', x_b: 'bar' },
  ],
  ['labeldrop drops whole names', [{ regex: 'a|b', action: 'labeldrop' }], { c: 'baz' }],
  ['labelkeep keeps whole names', [{ regex: 'a|.', action: 'labelkeep' }], BEFORE],
  ['labelkeep of no label leaves no row', [{ regex: 'zz', action: 'labelkeep' }], 'dropped'],
  [
    'hashmod is the end of the MD5',
    [{ sourceLabels: ['c'], targetLabel: 'd', modulus: 1_000, action: 'hashmod' }],
    { ...BEFORE, d: '976' },
  ],
  [
    'uppercase and lowercase',
    [
      { sourceLabels: ['a'], targetLabel: 'd', action: 'uppercase' },
      { sourceLabels: ['d'], targetLabel: 'e', action: 'lowercase' },
    ],
    { ...BEFORE, d: 'FOO', e: 'foo' },
  ],
  [
    'rules follow each other, and none follows a drop',
    [
      { sourceLabels: ['a'], targetLabel: 'd', replacement: 'x$1' },
      { sourceLabels: ['d'], regex: 'xfoo', action: 'drop' },
      { targetLabel: 'e', replacement: 'y' },
    ],
    'dropped',
  ],
];

test.each(CASES)('%s', (_, rules, result) => {
  expect(after(rules)).toEqual(result);
});

describe('what differs between engines', () => {
  test('an empty label and none are the same, also at the start', () => {
    expect(after([], { a: 'foo', b: '' })).toEqual({ a: 'foo' });
  });

  test('a value may have lines', () => {
    expect(after([{ sourceLabels: ['a'], regex: 'x.y', action: 'keep' }], { a: 'x\ny' })).toEqual({
      a: 'x\ny',
    });
  });

  test.each(['a(?=b)', '(?!x).*', '(?<=x)y', '(a)\\1'])('%s is no RE2 and is refused', (regex) => {
    expect(() => after([{ sourceLabels: ['a'], regex, action: 'keep' }])).toThrow('is no RE2');
  });
});
