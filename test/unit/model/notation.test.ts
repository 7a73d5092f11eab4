import { expect, test } from 'vitest';
import { parseVectors } from '../../vectors/notation.ts';

const HEAD = 'case one\nwhy because\nrules 6\ntarget kubelet n1 {cluster=rt1, node=n1}\n';

function pointsOf(text: string): unknown[] {
  return parseVectors(HEAD + text).flatMap(({ records }) =>
    records.flatMap(({ metricsData }) =>
      (metricsData?.resourceMetrics ?? []).flatMap(({ scopeMetrics }) =>
        scopeMetrics.flatMap(({ metrics }) =>
          metrics
            .filter(({ name }) => name !== 'up')
            .flatMap(({ gauge, sum, histogram }) => (gauge ?? sum ?? histogram)?.dataPoints ?? [])
            .map(({ attributes: _, ...point }) => point),
        ),
      ),
    ),
  );
}

test('a cell is a value with its start and its own time', () => {
  expect(pointsOf('  at | 0s 30s\n  x{pod=a} | _ 250[10s]@28s')).toEqual([
    { startTimeUnixNano: '1790845210000000000', timeUnixNano: '1790845228000000000', asDouble: 250 },
  ]);
});

test('markers, missing values, integers, what is not finite and times have forms of their own', () => {
  const cells = 'stale none 9007199254740993i NaN -Inf 09:00:00.500 1Gi';
  const values = pointsOf(`  at | 0s 0s 0s 0s 0s 0s 0s\n  x | ${cells}`);
  const timeUnixNano = '1790845200000000000';
  expect(values).toEqual([
    { timeUnixNano, flags: 1 },
    { timeUnixNano },
    { timeUnixNano, asInt: '9007199254740993' },
    { timeUnixNano, asDouble: 'NaN' },
    { timeUnixNano, asDouble: '-Infinity' },
    { timeUnixNano, asDouble: 1_790_845_200.5 },
    { timeUnixNano, asDouble: 1_073_741_824 },
  ]);
});

test('a record is on the log 1.5 s after its scrape, or when it says', () => {
  const [parsed] = parseVectors(`${HEAD}  at | 0s 10s>60s`);
  const times = parsed?.records.map(({ timestampMs }) => timestampMs - 1_790_845_200_000);
  expect(times).toEqual([1500, 60_000]);
});

test.each([
  ['a number of cells other than the scrapes', '  at | 0s 30s\n  x | 1'],
  ['a label set that was never defined', '  at | 0s\n  x{$nobody} | 1'],
  ['a value it does not know', '  at | 0s\n  x | many'],
  ['a time it does not know', '  at | noon\n  x | 1'],
  ['a wire type it does not know', '  at | 0s\n  x as text | 1'],
])('refuses %s and shows the line', (_, text) => {
  expect(() => parseVectors(HEAD + text)).toThrow(/cannot read the line: (x|at)/);
});
