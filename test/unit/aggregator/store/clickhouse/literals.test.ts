import { expect, test } from 'vitest';
import { parameterText, stringLiteral } from '../../../../../aggregator/store/clickhouse/literals.ts';

test('a string literal cannot be left from the inside', () => {
  expect(stringLiteral("a'b\\'; DROP\n\0")).toBe("'a\\'b\\\\\\'; DROP\\n\\0'");
});

test.each([
  ['tab\there', 'tab\\there'],
  ["it's", "it's"],
  [18446744073709551615n, '18446744073709551615'],
  [-5, '-5'],
  [true, '1'],
  [["it's", 1n, [false]], "['it\\'s',1,[0]]"],
  [[], '[]'],
])('a parameter is written as the engine reads it: %s', (value, expected) => {
  expect(parameterText(value)).toBe(expected);
});

test.each([Number.NaN, Infinity, 2 ** 53])('%d is no exact number, hence a bug', (value) => {
  expect(() => parameterText([value])).toThrow('invariant broken');
});
