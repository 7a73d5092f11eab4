import { expect, test } from 'vitest';
import { lagFinding } from '../../../../../core/eventlog/kafka/lag.ts';

const BOUNDS = [
  { partition: 0, low: 10n, high: 30n },
  { partition: 1, low: 0n, high: 5n },
];

test.each([
  ['all is read', [30n, 5n], 'info', '0 records wait to be read'],
  ['some wait', [25n, 1n], 'info', '9 records wait to be read'],
  [
    'nothing is committed for one: all that it still has waits',
    [undefined, 5n],
    'info',
    '20 records wait to be read; nothing is committed yet for 1 of 2 partitions',
  ],
  ['retention was faster', [9n, 5n], 'fail', /behind the oldest record of partition 0/],
  ['the topic is not the one that was read', [30n, 6n], 'fail', /beyond the end of partition 1/],
] as const)('%s', (_, positions, level, seen) => {
  const committed = new Map(
    positions.flatMap((next, partition): [number, bigint][] =>
      next === undefined ? [] : [[partition, next]],
    ),
  );
  const finding = lagFinding('lag', { bounds: BOUNDS, committed });
  expect(finding.level).toBe(level);
  expect(finding.seen).toEqual(typeof seen === 'string' ? seen : expect.stringMatching(seen));
  expect(finding.advice !== undefined).toBe(level === 'fail');
});
