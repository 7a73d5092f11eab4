import { describe, expect, test } from 'vitest';

import { FetchBuffer } from '../../../../../core/eventlog/kafka/fetch-buffer.ts';
import type { LogRecord } from '../../../../../core/eventlog/sample-log.ts';

function records(partition: number, ...sizes: readonly number[]): LogRecord[] {
  return sizes.map((size, index) => ({
    ...{ topic: 'usage.a', partition, offset: BigInt(index), timestampMs: 0, key: null, headers: {} },
    value: new Uint8Array(size),
  }));
}

function names(taken: readonly LogRecord[]): string[] {
  return taken.map(({ partition, offset }) => `${partition}/${offset}`);
}

describe('records that wait to be polled', () => {
  test('come in offset order by partition, up to the bytes asked for', () => {
    const buffer = new FetchBuffer();
    buffer.push('a/0', records(0, 40, 40, 40));
    expect(names(buffer.take(100))).toEqual(['0/0', '0/1']);
    expect(names(buffer.take(100))).toEqual(['0/2']);
    expect(buffer.take(100)).toEqual([]);
  });

  test('are taken one at a time where one is larger than what is asked for', () => {
    const buffer = new FetchBuffer();
    buffer.push('a/0', records(0, 500, 500));
    expect(names(buffer.take(100))).toEqual(['0/0']);
    expect(names(buffer.take(100))).toEqual(['0/1']);
  });

  test('of one partition do not keep those of another waiting', () => {
    const buffer = new FetchBuffer();
    buffer.push('a/0', records(0, 100, 100, 100, 100));
    buffer.push('a/1', records(1, 100));
    const polls = [buffer.take(100), buffer.take(100)];
    expect(polls.flatMap(names).sort()).toEqual(['0/0', '1/0']);
  });

  test('are counted while they wait, and no longer when they are taken, dropped or cleared', () => {
    const buffer = new FetchBuffer();
    buffer.push('a/0', records(0, 1000, 1000));
    buffer.push('a/1', records(1, 1000));
    const full = buffer.bytes;
    expect(full).toBeGreaterThanOrEqual(3000);
    buffer.take(1000);
    expect(buffer.bytes).toBe((full / 3) * 2);
    buffer.drop('a/0');
    expect(buffer.bytes).toBe(full / 3);
    buffer.drop('a/7');
    buffer.take(1000);
    expect(buffer.bytes).toBe(0);
    buffer.push('a/0', records(0, 1000));
    buffer.clear();
    expect(buffer.bytes).toBe(0);
    expect(buffer.take(1000)).toEqual([]);
  });

  test('end a poll at ten thousand, however small they are', () => {
    const buffer = new FetchBuffer();
    buffer.push('a/0', records(0, ...Array.from({ length: 10_001 }, () => 0)));
    expect(buffer.take(100)).toHaveLength(10_000);
    expect(buffer.take(100)).toHaveLength(1);
  });
});
