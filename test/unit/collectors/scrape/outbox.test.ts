import { describe, expect, it } from 'vitest';
import { Outbox } from '../../../../collectors/scrape/outbox.ts';
import type { LogAppend } from '../../../../core/eventlog/sample-log.ts';
import { FastClock } from '../../../../core/runtime/clock.ts';
import { MeteringError } from '../../../../core/runtime/errors.ts';
import { MemoryLog } from '../../../support/memory-log.ts';
import { recordedFacts } from '../../../support/scrape-facts.ts';

const TOPIC = 'usage.dev';
const MIB = 1024 * 1024;

function record(text: string, bytes = 10): LogAppend {
  return { topic: TOPIC, timestampMs: 1, key: null, value: Buffer.from(text.padEnd(bytes, '.')) };
}

const unavailable = () => new MeteringError('METER_LOG_UNAVAILABLE', 'away', { retryable: true });
const unreadable = () => new MeteringError('METER_INPUT_UNREADABLE', 'too large');
const refusal = () => new MeteringError('METER_LOG_UNAVAILABLE', 'no right to append');

interface Setup {
  readonly bufferBytes?: number;
  readonly beforeAppend?: (records: readonly LogAppend[]) => Promise<void> | void;
}

function setUp({ bufferBytes = 64 * MIB, beforeAppend }: Setup = {}) {
  const clock = new FastClock({ startMs: 1_700_000_000_000, speed: 200 });
  const log = new MemoryLog({ clock, ...(beforeAppend === undefined ? {} : { beforeAppend }) });
  const facts = recordedFacts();
  const outbox = new Outbox({ topic: TOPIC, bufferBytes }, { log, clock, telemetry: facts.telemetry });
  outbox.start();
  const landed = () =>
    log.records(TOPIC).map(({ value }) => Buffer.from(value).toString().replace(/\.+$/, ''));
  return { clock, outbox, landed, facts };
}

describe('Outbox', () => {
  it('appends in order, as one append where it can', async () => {
    const sizes: number[] = [];
    const { outbox, landed, facts } = setUp({ beforeAppend: (records) => void sizes.push(records.length) });
    outbox.add([record('a'), record('b'), record('c')]);
    await outbox.stop(10_000);
    expect(landed()).toEqual(['a', 'b', 'c']);
    expect(sizes).toEqual([3]);
    expect(facts.of('recordsAppended')).toMatchObject([{ topic: TOPIC, records: 3, bytes: 30 }]);
  });

  it('never puts more than 4 MiB into an append, but always a whole record', async () => {
    const sizes: number[] = [];
    const { outbox, landed } = setUp({ beforeAppend: (records) => void sizes.push(records.length) });
    outbox.add([
      record('a', 3 * MIB),
      record('b', 2 * MIB),
      record('c', MIB),
      record('d', 5 * MIB),
      record('e'),
    ]);
    await outbox.stop(100_000);
    expect(landed()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(sizes).toEqual([1, 2, 1, 1]);
  });

  it('keeps and repeats what the log does not take, and says so each time', async () => {
    let attempts = 0;
    const { outbox, landed, facts } = setUp({
      beforeAppend: () => {
        if (++attempts <= 3) throw unavailable();
      },
    });
    outbox.add([record('a'), record('b')]);
    await facts.until('recordsAppended', 1);
    expect(landed()).toEqual(['a', 'b']);
    expect(facts.of('appendFailed')).toMatchObject([1, 2, 3].map(() => ({ records: 2, bufferedBytes: 20 })));
    expect(facts.of('recordsLost')).toEqual([]);
    await outbox.stop(0);
  });

  it('also repeats after a fault that it does not know', async () => {
    let attempts = 0;
    const { outbox, landed } = setUp({
      beforeAppend: () => {
        if (++attempts === 1) throw new Error('unheard of');
      },
    });
    outbox.add([record('a')]);
    await outbox.stop(100_000);
    expect(landed()).toEqual(['a']);
  });

  it('keeps everything while the log refuses who appends, and says so, until a person has mended it', async () => {
    let attempts = 0;
    const { outbox, landed, facts } = setUp({
      bufferBytes: 25,
      beforeAppend: () => {
        if (++attempts <= 3) throw refusal();
      },
    });
    outbox.add([record('a'), record('b'), record('c')]);
    expect(outbox.isFull).toBe(true);
    await facts.until('recordsAppended', 1);
    expect(landed()).toEqual(['a', 'b', 'c']);
    expect(facts.of('appendFailed')).toMatchObject([{ records: 3 }, { records: 3 }, { records: 3 }]);
    expect(facts.of('recordsLost')).toEqual([]);
    attempts = 0;
    outbox.add([record('alone')]);
    await facts.until('recordsAppended', 2);
    expect(landed()).toEqual(['a', 'b', 'c', 'alone']);
    expect(facts.of('recordsLost')).toEqual([]);
    await outbox.stop(0);
  });

  it('loses only the record that no log can take, and reports it', async () => {
    const { outbox, landed, facts } = setUp({
      beforeAppend: (records) => {
        if (records.some(({ value }) => value.length > 100)) throw unreadable();
      },
    });
    outbox.add([record('a'), record('b', 101), record('c')]);
    await outbox.stop(100_000);
    expect(landed()).toEqual(['a', 'c']);
    expect(facts.of('recordsLost')).toMatchObject([{ topic: TOPIC, records: 1, reason: 'refused' }]);
  });

  it('is full at its limit and has room again when the log took the records', async () => {
    const gate = Promise.withResolvers<undefined>();
    const { outbox } = setUp({ bufferBytes: 20, beforeAppend: () => gate.promise });
    outbox.add([record('a')]);
    expect(outbox.isFull).toBe(false);
    outbox.add([record('b')]);
    expect(outbox.isFull).toBe(true);
    gate.resolve(undefined);
    await outbox.stop(100_000);
    expect(outbox.isFull).toBe(false);
  });

  it('waits at a stop as long as it may, then reports what is lost, even if an append hangs', async () => {
    for (const beforeAppend of [
      () => Promise.reject(unavailable()),
      () => new Promise<never>(() => undefined),
    ]) {
      const { outbox, clock, facts } = setUp({ beforeAppend });
      outbox.add([record('a'), record('b')]);
      const startedMs = clock.now();
      await outbox.stop(5_000);
      expect(clock.now() - startedMs).toBeGreaterThanOrEqual(4_500);
      expect(facts.of('recordsLost')).toMatchObject([{ records: 2, reason: 'shutdown' }]);
    }
  });

  it('stops at once when nothing is buffered', async () => {
    const { outbox, clock, facts } = setUp();
    const startedMs = clock.now();
    await outbox.stop(3_600_000);
    expect(clock.now() - startedMs).toBeLessThan(600_000);
    expect(facts.of('recordsLost')).toEqual([]);
  });
});
