import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ExposedSample, Label } from '../../../../collectors/scrape/exposed-sample.ts';
import {
  type ExpositionFormat,
  MAX_LABELS,
  MAX_SERIES_CHARS,
  parseExposition,
} from '../../../../collectors/scrape/exposition.ts';
import { SystemClock } from '../../../../core/runtime/clock.ts';

const clock = new SystemClock();
const LIMITS = { maxSamples: 1_000 };

function parse(body: string, format: ExpositionFormat): readonly ExposedSample[] {
  const result = parseExposition(Buffer.from(body), format, LIMITS);
  if (!result.ok) throw new Error(result.detail);
  return result.samples;
}

function problem(body: string | Uint8Array, format: ExpositionFormat): string {
  const result = parseExposition(Buffer.from(body), format, LIMITS);
  return result.ok ? 'accepted' : result.detail;
}

/** A sample the short way: name, labels, value, time, start. */
function shown({ name, labels, value, timestampMs, startMs }: ExposedSample): string {
  const pairs = labels.map(([label, text]) => `${label}=${JSON.stringify(text)}`).join(',');
  const time = timestampMs === undefined ? '' : ` @${timestampMs}`;
  return `${name}{${pairs}} ${value}${time}${startMs === undefined ? '' : ` from ${startMs}`}`;
}

const show = (body: string, format: ExpositionFormat) => parse(body, format).map(shown);

describe('the classic text format', () => {
  it.each([
    ['q{quantile="0"} 4.9351e-05', 'q{quantile="0"} 0.000049351'],
    ['q{quantile="0.25",} 7.424100000000001e-05', 'q{quantile="0.25"} 0.00007424100000000001'],
    ['q{quantile="0.8", a="b"} 1', 'q{quantile="0.8",a="b"} 1'],
    ['q { quantile = "1.0", a = "b" , } 1', 'q{quantile="1.0",a="b"} 1'],
    ['q { quantile = "2.0" a = "b" } 1', 'q{quantile="2.0",a="b"} 1'],
    ['some:aggregate:rate5m{a_b="c"}\t1', 'some:aggregate:rate5m{a_b="c"} 1'],
    ['go_goroutines 33  \t123123', 'go_goroutines{} 33 @123123'],
    ['  \tindented 1  ', 'indented{} 1'],
    ['_under 1', '_under{} 1'],
    ['m{_l="foo"} 1', 'm{_l="foo"} 1'],
    ['m{label="\\"bar\\""} 1', 'm{label="\\"bar\\""} 1'],
    ['m{a="b\\\\n\\n\\x"} 1', `m{a=${JSON.stringify('b\\n\n\\x')}} 1`],
    ['m{a="two\nlines"} 1', 'm{a="two\\nlines"} 1'],
    ['m{a="abc\0"} 1', 'm{a="abc\\u0000"} 1'],
    ['m{a=""} 1', 'm{a=""} 1'],
    ['m{} 3', 'm{} 3'],
    ['m +Inf', 'm{} Infinity'],
    ['m -inf', 'm{} -Infinity'],
    ['m nan', 'm{} NaN'],
    ['m -3e3 103948', 'm{} -3000 @103948'],
    ['m .5', 'm{} 0.5'],
    ['m 5.', 'm{} 5'],
    ['m{a="b"}1', 'm{a="b"} 1'],
    ['m 9007199254740993', 'm{} 9007199254740992'],
    ['{"go.gc_duration_seconds",quantile="0"} 1', 'go.gc_duration_seconds{quantile="0"} 1'],
    ['{ "go.count" } 99', 'go.count{} 99'],
    [
      '{"Heizöl 10€ \\"x\\" {a\\nb}","strange©\\n\'name\'"="6"} 10',
      'Heizöl 10€ "x" {a\nb}{strange©\n\'name\'="6"} 10',
    ],
    ['{q="0.9","http.status",a="b"} 3', 'http.status{q="0.9",a="b"} 3'],
  ])('reads %j', (line, expected) => {
    for (const end of ['', '\n', '\r\n', '\n\n# a comment\n#\n'])
      expect(show(line + end, 'text')).toEqual([expected]);
  });

  it('skips comments, help and types that are well formed', () => {
    const body = `# HELP m A help \\n text with \0 and \\\\
# \tTYPE m summary
# Hrandom comment starting with prefix of HELP
#
#HELP no metadata
# HELP nohelp1
# HELP nohelp2\t
# TYPE "go.gc" counter
# EOF is a comment here
m 1
`;
    expect(show(body, 'text')).toEqual(['m{} 1']);
  });

  it('gives _created lines as the plain gauges they are in this format', () => {
    expect(show('# TYPE a counter\na_total 1\na_created 12.5\n', 'text')).toEqual([
      'a_total{} 1',
      'a_created{} 12.5',
    ]);
  });

  it.each([
    ['a', 'line 1: expected a value'],
    ['x 1\na\ny 2', 'line 2: expected a value'],
    ["a{b='c'} 1\n", 'line 1: expected a label value in quotes'],
    ['a{b=\n', 'line 1: expected a label value in quotes'],
    [Buffer.from('x 1\na{\xff="foo"} 1\n', 'latin1'), 'line 2: not UTF-8'],
    [Buffer.from('a{b="\xff"} 1', 'latin1'), 'line 1: not UTF-8'],
    ['{"a", "b = "c"}', 'line 1: expected = after the label name'],
    ['{"a",b\\nc="d"} 1', 'line 1: expected = after the label name'],
    ['a true\n', 'line 1: value is not a number'],
    ['something_weird{problem="', 'line 1: quote never ends'],
    ['empty_label_name{=""} 0', 'line 1: expected a label name'],
    ['foo 1_2\n', 'line 1: value is not a number'],
    ['foo 0x1p-3\n', 'line 1: value is not a number'],
    ['foo 0x1\n', 'line 1: value is not a number'],
    ['foo 1e999\n', 'line 1: value out of range'],
    ['foo 0 1_2\n', 'line 1: expected the end of the line'],
    ['foo 0 -5\n', 'line 1: expected the end of the line'],
    ['foo 0 1.5\n', 'line 1: expected the end of the line'],
    ['foo 0 99999999999999999999\n', 'line 1: timestamp out of range'],
    ['foo 1 2 3\n', 'line 1: expected the end of the line'],
    ['foo 1 # {id="x"} 4\n', 'line 1: expected the end of the line'],
    ['{a="ok"} 1', 'line 1: metric name not set'],
    ['{""} 1', 'line 1: metric name not set'],
    ['a{"b"} 1', 'line 1: metric name already set'],
    ['{"a","b"} 1', 'line 1: metric name already set'],
    ['{"a",""="c"} 1', 'line 1: empty label name'],
    ['a{b="c",b="c"} 1', 'line 1: label name is not unique'],
    ['a{__name__="b"} 1', 'line 1: label name is not unique'],
    ['a{b="c",,d="e"} 1', 'line 1: expected a label name'],
    ['a{b="c"', 'line 1: expected a label name'],
    ['# TYPE #\n#EOF\n', 'line 1: expected metric name after TYPE'],
    ['# HELP #\n#EOF\n', 'line 1: expected metric name after HELP'],
    ['\n\n# TYPE a gagues\na 1', 'line 3: invalid metric type'],
    ['# TYPE a', 'line 1: invalid metric type'],
    ['a{b=\0"ssss"} 1\n', 'line 1: expected a label value in quotes'],
    ['a{b\0="hiih"}\t1', 'line 1: expected = after the label name'],
    ['a\0{b="ddd"} 1', 'line 1: value is not a number'],
    ['a 0 1\0', 'line 1: expected the end of the line'],
    ['<html>', 'line 1: expected a metric name'],
    ['a 1\rb 2', 'line 1: expected the end of the line'],
  ])('refuses %j as a whole and names the line', (body, expected) => {
    expect(problem(body, 'text')).toBe(expected);
  });
});

describe('OpenMetrics', () => {
  const whole = (lines: string) => `${lines}\n# EOF\n`;

  it.each([
    ['m{quantile="0.5",a="b"} 8.3835e-05', 'm{quantile="0.5",a="b"} 0.000083835'],
    ['go_goroutines 33 123.123', 'go_goroutines{} 33 @123123'],
    ['m 1 1.0005', 'm{} 1 @1000'],
    ['m 1 1.0015', 'm{} 1 @1002'],
    ['m 1 1520879607.789', 'm{} 1 @1520879607789'],
    ['m 17.0 1520879607.789 # {id="counter-test"} 5', 'm{} 17 @1520879607789'],
    ['m_count 1 # {id="x",xx="yy"} 4 123.123', 'm_count{} 1'],
    ['m_count 1 # {"id.thing"="x",other="hello"} 4', 'm_count{} 1'],
    ['m_count 1 # {} 4 -1', 'm_count{} 1'],
    ['m{a="abc\0"} 1', 'm{a="abc\\u0000"} 1'],
    ['{"go.gc",quantile="0"} 1', 'go.gc{quantile="0"} 1'],
  ])('reads %j', (line, expected) => {
    expect(show(whole(line), 'openmetrics')).toEqual([expected]);
    expect(show(`${line}\n# EOF`, 'openmetrics')).toEqual([expected]);
  });

  it('reads all metadata', () => {
    const body = `# HELP a_seconds text with escape \\ \\n \\\\ \\" \\x chars
# TYPE a_seconds summary
# UNIT a_seconds seconds
# HELP nohelp1 
# UNIT nounit 
# TYPE hh histogram
# TYPE gh gaugehistogram
# TYPE ii info
# TYPE ss stateset
# TYPE un unknown
# TYPE "go.gc" counter
# EOF
`;
    expect(show(body, 'openmetrics')).toEqual([]);
  });

  it('makes _created the start of what it belongs to, wherever it stands, and no series', () => {
    const body = `# TYPE foo counter
foo_created{a="b",empty=""} 1520872607.123
foo_total 17.0 1520879607.789 # {id="counter-test"} 5
foo_created 1520872621.123
foo_total{a="b"} 21
foo_total{le="1"} 10
# TYPE bar summary
bar_count 17
bar_sum 324789.3
bar{quantile="0.95"} 123.7
bar_created 1520872608.124
# TYPE baz histogram
baz_created{x="y"} 1520872609.125
baz_bucket{le="0.0",x="y"} 0
baz_bucket{x="y",le="+Inf"} 17
baz_count{x="z"} 17
# TYPE fizz_created gauge
fizz_created 17
# TYPE never counter
never_total 1
never_created 0
never_created{a="b"} NaN
# EOF
`;
    expect(show(body, 'openmetrics')).toEqual([
      'foo_total{} 17 @1520879607789 from 1520872621123',
      'foo_total{a="b"} 21 from 1520872607123',
      'foo_total{le="1"} 10',
      'bar_count{} 17 from 1520872608124',
      'bar_sum{} 324789.3 from 1520872608124',
      'bar{quantile="0.95"} 123.7 from 1520872608124',
      'baz_bucket{le="0.0",x="y"} 0 from 1520872609125',
      'baz_bucket{x="y",le="+Inf"} 17 from 1520872609125',
      'baz_count{x="z"} 17',
      'fizz_created{} 17',
      'never_total{} 1',
    ]);
  });

  it('keeps _created lines of no known family as they are', () => {
    expect(show(whole('foo_total 17.0\nfoo_created 1520872607.123'), 'openmetrics')).toEqual([
      'foo_total{} 17',
      'foo_created{} 1520872607.123',
    ]);
  });

  it.each([
    ['', 'line 1: data does not end with # EOF'],
    ['\n', 'line 1: expected a metric name'],
    ['metric', 'line 1: expected one space before the value'],
    ['metric 1', 'line 1: expected the end of the line'],
    ['metric 1\n', 'line 2: data does not end with # EOF'],
    ['metric_total 1 # {aa="bb"} 4', 'line 1: expected the end of the line'],
    [' a 1\n# EOF\n', 'line 1: expected a metric name'],
    ['9\n# EOF\n', 'line 1: expected a metric name'],
    ['# TYPE u untyped\n# EOF\n', 'line 1: invalid metric type'],
    ['# TYPE c counter \n# EOF\n', 'line 1: invalid metric type'],
    ['# TYPE c  counter\n', 'line 1: invalid metric type'],
    ['#  TYPE c counter\n# EOF\n', 'line 1: expected HELP, TYPE, UNIT or EOF after "# "'],
    ['#\tTYPE c counter\n', 'line 1: expected HELP, TYPE, UNIT or EOF after "# "'],
    ['# a comment\n# EOF\n', 'line 1: expected HELP, TYPE, UNIT or EOF after "# "'],
    ['#', 'line 1: expected HELP, TYPE, UNIT or EOF after "# "'],
    ['# TYPE \n# EOF\n', 'line 1: expected metric name after TYPE'],
    ['# TYPE m\n# EOF\n', 'line 1: expected text in TYPE'],
    ['# TYPE m gauge', 'line 1: data does not end with # EOF'],
    ['a 1\n# UNIT metricsuffix suffix\n# EOF\n', 'line 2: unit is no suffix of the metric'],
    ['# UNIT m suffix\n# EOF\n', 'line 1: unit is no suffix of the metric'],
    ['# UNIT m\n# EOF\n', 'line 1: expected text in UNIT'],
    ['# HELP m\n# EOF\n', 'line 1: expected text in HELP'],
    ['a\t1\n# EOF\n', 'line 1: expected one space before the value'],
    ['a 1\t2\n# EOF\n', 'line 1: value is not a number'],
    ['a 1 2 \n# EOF\n', 'line 1: expected an exemplar or the end of the line'],
    ['a 1 1z\n# EOF\n', 'line 1: timestamp is not a number'],
    ['a 1 NaN\n# EOF\n', 'line 1: timestamp out of range'],
    ['a 1 -Inf\n# EOF\n', 'line 1: timestamp out of range'],
    ['a 1 1 1\n# EOF\n', 'line 1: expected an exemplar or the end of the line'],
    ['# EOF\na 1', 'line 2: unexpected data after # EOF'],
    ['# EOF\n\n', 'line 2: unexpected data after # EOF'],
    ['# EOFa 1', 'line 1: unexpected data after # EOF'],
    ['a{,b="c"} 1\n# EOF\n', 'line 1: expected a label name'],
    ['a{b="c"d="e"} 1\n# EOF\n', 'line 1: expected , or } after a label'],
    ['a{ b="c"} 1\n# EOF\n', 'line 1: expected a label name'],
    ['a{b="c",,d="e"} 1\n# EOF\n', 'line 1: expected a label name'],
    ['a{b="two\nlines"} 1\n# EOF\n', 'line 1: quote does not end on its line'],
    ['{b="c",} 1\n# EOF\n', 'line 1: metric name not set'],
    ['m_total 1 # {aa=bb}\n# EOF\n', 'line 1: expected a label value in quotes'],
    ['m_total 1 # {aa="bb"}\n# EOF\n', 'line 1: expected one space before the exemplar value'],
    ['m_total 1 # {bb}\n# EOF\n', 'line 1: expected = after the label name'],
    ['m_total 1 # {"bb"} 1\n# EOF\n', 'line 1: metric name already set'],
    ['m_total 1 # {aa="bb",,cc="dd"} 1\n# EOF\n', 'line 1: expected a label name'],
    ['m_total 1 # {aa="bb"} 0x1p-3\n# EOF\n', 'line 1: exemplar value is not a number'],
    ['m_total 1 # {aa="bb"} 4 NaN\n# EOF\n', 'line 1: invalid exemplar timestamp'],
  ])('refuses %j as a whole and names the line', (body, expected) => {
    expect(problem(body, 'openmetrics')).toBe(expected);
  });
});

describe('hostile bodies', () => {
  it('are cut off at the sample limit', () => {
    const body = 'a 1\n'.repeat(LIMITS.maxSamples);
    expect(parse(body, 'text')).toHaveLength(LIMITS.maxSamples);
    const result = parseExposition(Buffer.from(`${body}a 1`), 'text', LIMITS);
    expect(result).toEqual({
      ok: false,
      reason: 'too_many_samples',
      detail: 'line 1001: more than 1000 samples',
    });
  });

  it('are cut off at the length and the labels of a series', () => {
    const long = `a{b="${'x'.repeat(MAX_SERIES_CHARS)}"} 1`;
    expect(problem(long, 'text')).toBe(`line 1: series longer than ${MAX_SERIES_CHARS} characters`);
    expect(problem(`${'a'.repeat(MAX_SERIES_CHARS + 1)} 1`, 'text')).toContain('series longer');
    const many = Array.from({ length: MAX_LABELS + 1 }, (_, i) => `l${i}="x"`).join(',');
    expect(problem(`a{${many}} 1`, 'text')).toBe(`line 1: more than ${MAX_LABELS} labels`);
  });

  const MIB = 1024 * 1024;
  it.each([
    ['backslashes', `a{b="${'\\'.repeat(8 * MIB)}"} 1`],
    ['quotes', '"'.repeat(8 * MIB)],
    ['escaped quotes', `a{b="${'\\"'.repeat(4 * MIB)}`],
    ['labels', `a{${'b="",'.repeat(2 * MIB)}`],
    ['digits', `a ${'1'.repeat(8 * MIB)}x`],
    ['dots', `a ${'.'.repeat(8 * MIB)}`],
    ['blanks', ' '.repeat(8 * MIB)],
    ['comments', '#\n'.repeat(4 * MIB)],
    ['line ends', '\r\n'.repeat(4 * MIB)],
    ['metadata', '# HELP '.repeat(MIB)],
    ['opened braces', '{'.repeat(8 * MIB)],
  ])('of 8 MiB of %s take linear time', (_, body) => {
    const started = clock.now();
    parseExposition(Buffer.from(body), 'text', LIMITS);
    parseExposition(Buffer.from(body), 'openmetrics', LIMITS);
    // A quadratic reader would need hours.
    expect(clock.now() - started).toBeLessThan(5_000);
  });

  it('never make it throw', () => {
    const piece = fc.constantFrom(
      'a',
      'a_total',
      '{',
      '}',
      '"',
      '\\',
      '=',
      ',',
      ' ',
      '\t',
      '\n',
      '\r\n',
      '1',
      '+Inf',
      '1e9',
      '# ',
      '#',
      'TYPE ',
      'HELP ',
      'UNIT ',
      '# EOF',
      'counter',
      ' # {',
      '\0',
      'é',
      '_created',
    );
    const noise = fc.oneof(
      fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(noise, fc.constantFrom<ExpositionFormat>('text', 'openmetrics'), (body, format) => {
        const result = parseExposition(Buffer.from(body), format, LIMITS);
        if (!result.ok) expect(result.detail).toMatch(/^line \d+: /);
      }),
      { numRuns: 5_000 },
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseExposition(bytes, 'text', LIMITS)));
  });
});

describe('what is written out and read again', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 });
  const label: fc.Arbitrary<Label> = fc.tuple(name, fc.string({ unit: 'grapheme', maxLength: 8 }));
  const sample = fc.record({
    name,
    labels: fc.uniqueArray(label, { selector: ([key]) => key, maxLength: 4 }),
    value: fc.double(),
    timestampMs: fc.option(fc.nat({ max: 2 ** 31 }), { nil: undefined }),
    startMs: fc.constant(undefined),
  });

  const escape = (text: string) =>
    text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
  const number = (value: number) =>
    Number.isFinite(value)
      ? Object.is(value, -0)
        ? '-0'
        : `${value}`
      : `${value}`.replace('Infinity', 'Inf');
  const write = (samples: readonly ExposedSample[], time: (ms: number) => string) =>
    samples
      .map(({ name, labels, value, timestampMs }) => {
        const pairs = [
          `"${escape(name)}"`,
          ...labels.map(([key, text]) => `"${escape(key)}"="${escape(text)}"`),
        ];
        const end = timestampMs === undefined ? '' : ` ${time(timestampMs)}`;
        return `{${pairs.join(',')}} ${number(value)}${end}\n`;
      })
      .join('');

  it('is the same, in both formats, whatever the names and labels', () => {
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 5 }), (samples) => {
        expect(parse(write(samples, String), 'text')).toEqual(samples);
        const seconds = (ms: number) => (ms / 1000).toFixed(3);
        expect(parse(`${write(samples, seconds)}# EOF\n`, 'openmetrics')).toEqual(samples);
      }),
      { numRuns: 500 },
    );
  });
});
