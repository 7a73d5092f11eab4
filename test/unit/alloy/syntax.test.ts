/** The check of syntax, names and references refuses what Alloy would refuse. */
import { describe, expect, test } from 'vitest';
import { Configuration } from '../../support/alloy/configuration.ts';
import { evaluate } from '../../support/alloy/evaluate.ts';
import { parseAlloy } from '../../support/alloy/parser.ts';

function problems(text: string): readonly string[] {
  return new Configuration(new Map([['x.alloy', text]])).problems;
}

const SINK = 'prometheus.remote_write "out" {\n\tendpoint {\n\t\turl = "http://x"\n\t}\n}\n';

test('blocks, labels, attributes, comments and every kind of value are read', () => {
  const [block] = parseAlloy(`// a comment
/* another
   one */
some.component "label_1" { // and one more
	text = "a\\tb\\"c\\\\" + \`raw "\\n"\`
	list = [
		1, -2.5, true, // with a comment
		null,
	]
	map  = { "k" = "v", other = string.split("x,y", ","), }
	ref  = some.other.receiver

	inner {
		a = 1
	}

	empty { }
}`);
  const values = block?.attributes.slice(0, 3).map(({ value }) => evaluate(value, {}));
  expect(values).toEqual(['a\tb"c\\raw "\\n"', [1, -2.5, true, null], { k: 'v', other: ['x', 'y'] }]);
  expect(block).toMatchObject({ name: 'some.component', label: 'label_1', line: 4 });
  expect(block?.attributes[3]?.value).toEqual({ kind: 'path', path: 'some.other.receiver' });
  expect(block?.blocks.map(({ name, line }) => [name, line])).toEqual([
    ['inner', 13],
    ['empty', 17],
  ]);
});

test.each([
  [
    'a line that ends within a list',
    'a "b" {\n\tx = [\n\t\t1\n\t]\n}',
    'line 3: missing , at the end of the line',
  ],
  ['a line that ends within a call', 'a "b" {\n\tx = f("y"\n\t)\n}', 'line 2: missing ,'],
  ['two attributes on a line', 'a "b" {\n\tx = 1 y = 2\n}', 'line 2: expected end-of-statement, found y'],
  ['an attribute twice', 'a "b" {\n\tx = 1\n\tx = 2\n}', 'line 3: x is given twice'],
  ['an attribute in no block', 'x = 1\n', 'line 1: x stands in no block'],
  ['a block that does not end', 'a "b" {\n\tx = 1\n', 'expected name, found end-of-file'],
  ['a string that does not end', 'a "b" {\n\tx = "y\n}', 'line 2: unexpected "\\""'],
  ['an unknown escape', 'a "b" {\n\tx = "\\."\n}', 'line 2: unknown escape \\.'],
  ['a label that is no name', 'a "b-c" { }', 'line 1: label b-c is no name'],
  ['no value', 'a "b" {\n\tx =\n}', 'expected a value, found }'],
  ['a foreign character', 'a "b" {\n\tx = 1;\n}', 'line 2: unexpected ";"'],
  ['a map without keys', 'a "b" {\n\tx = {1}\n}', 'line 2: expected a key'],
])('%s is refused, with its line', (_, text, message) => {
  expect(() => parseAlloy(text)).toThrow(message);
});

describe('a configuration', () => {
  const relabel = (body: string): string => `prometheus.relabel "r" {\n${body}\n}\n${SINK}`;
  const forward = 'forward_to = [prometheus.remote_write.out.receiver]';

  test('without a mistake has no problem', () => {
    expect(problems(relabel(forward))).toEqual([]);
  });

  test.each([
    ['an unknown component', 'prometheus.scrap "x" { }', 'x.alloy:1 unknown component prometheus.scrap'],
    ['no label', 'loki.write { }', 'x.alloy:1 loki.write has no label'],
    ['a label on a setting', 'logging "x" { }', 'x.alloy:1 logging has a label'],
    ['a component twice', SINK + SINK, 'x.alloy:6 prometheus.remote_write.out is there twice'],
    ['an unknown argument', relabel(`${forward}\nmax_size = 1`), 'unknown argument max_size'],
    ['an unknown block', relabel(`${forward}\nrules { }`), 'unknown block rules'],
    ['a missing argument', relabel(''), 'prometheus.relabel: forward_to is missing'],
    ['a missing block', 'otelcol.receiver.prometheus "x" { }', 'output is missing'],
    ['a number for a text', relabel(`${forward}\nrule {\n\tregex = 1\n}`), 'rule: regex is no string'],
    [
      'a duration without a unit',
      'otelcol.storage.file "x" {\n\ttimeout = "10"\n}',
      'timeout is no duration',
    ],
    [
      'a text for a list',
      relabel(`${forward}\nrule {\n\tsource_labels = "a"\n}`),
      'source_labels is no strings',
    ],
    [
      'a list of numbers',
      relabel(`${forward}\nrule {\n\tsource_labels = [1]\n}`),
      'source_labels is no string',
    ],
    ['a list for a text', relabel(`${forward}\nrule {\n\tregex = ["a"]\n}`), 'regex is a list'],
    ['a map for a text', relabel(`${forward}\nrule {\n\tregex = {"a" = "b"}\n}`), 'regex is a map'],
    [
      'an unknown function',
      relabel(`${forward}\nrule {\n\tregex = env("A")\n}`),
      'calls env, which is unknown',
    ],
    [
      'a function of another kind',
      relabel(`${forward}\nrule {\n\tsource_labels = sys.env("A")\n}`),
      'source_labels is no strings',
    ],
    [
      'a part of a sum of another kind',
      relabel(`${forward}\nrule {\n\tregex = "a" + 1\n}`),
      'regex is no string',
    ],
    [
      'an action that is none',
      relabel(`${forward}\nrule {\n\taction = "keeep"\n}`),
      'the action keeep is none',
    ],
    [
      'an argument that its action does not take',
      relabel(`${forward}\nrule {\n\taction = "labeldrop"\n\tregex = "a"\n\tsource_labels = ["b"]\n}`),
      'rule: labeldrop takes no source_labels',
    ],
    [
      'an action without what it needs',
      relabel(`${forward}\nrule {\n\taction = "keepequal"\n\tsource_labels = ["b"]\n}`),
      'rule: keepequal needs target_label',
    ],
    [
      'a replacement that goes nowhere',
      relabel(`${forward}\nrule {\n\treplacement = "x"\n}`),
      'replace needs target_label',
    ],
    [
      'a reference to nothing',
      relabel('forward_to = [prometheus.remote_write.other.receiver]'),
      'refers to prometheus.remote_write.other.receiver, which is not there',
    ],
    [
      'a reference to what is not exported',
      relabel('forward_to = [prometheus.remote_write.out.input]'),
      'which is not exported',
    ],
    [
      'a reference to an export of another kind',
      `${relabel('forward_to = [loki.write.logs.receiver]')}loki.write "logs" { }\n`,
      'which is no metrics',
    ],
  ])('with %s is told so, with file and line', (_, text, message) => {
    expect(problems(text).join('\n')).toContain(message);
    expect(problems(text)[0]).toMatch(/^x\.alloy:\d+ /);
  });
});

test('functions see the environment', () => {
  const value = (text: string, env = {}): unknown =>
    evaluate(parseAlloy(`a "b" {\n\tx = ${text}\n}`)[0]!.attributes[0]!.value, env);
  expect(value('sys.env("A")', { A: 'x' })).toBe('x');
  expect(value('coalesce(sys.env("A"), "d")')).toBe('d');
  expect(value('string.split(sys.env("A"), ",")', { A: 'x,y' })).toEqual(['x', 'y']);
  expect(value('string.format(`a "%s" %s`, sys.env("A"), "z")', { A: '$1' })).toBe('a "$1" z');
  expect(() => value('"a" + 1')).toThrow('1 is no string');
  expect(() => value('sys.exec("rm")')).toThrow('no function sys.exec');
});
