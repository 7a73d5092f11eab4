import { EventEmitter } from 'node:events';

import { describe, expect, test } from 'vitest';

import { SystemClock } from '../../../../core/runtime/clock.ts';
import {
  Lifecycle,
  stopOnSignals,
  type Part,
  type SignalSource,
} from '../../../../core/runtime/lifecycle.ts';
import { Telemetry } from '../../../../core/runtime/telemetry.ts';

const clock = new SystemClock();

interface World {
  readonly lifecycle: Lifecycle;
  /** What happened, in order. */
  readonly happened: string[];
  /** Names of the facts that were told. */
  readonly told: string[];
  readonly part: (name: string, faults?: { start?: Promise<void>; stop?: Promise<void> }) => Part;
}

function world(stopTimeoutMs = 5000): World {
  const happened: string[] = [];
  const told: string[] = [];
  const output = { write: (line: string) => told.push((JSON.parse(line) as { event: string }).event) };
  const facts = new Telemetry({ format: 'json', level: 'debug' }, { clock, output });
  return {
    lifecycle: new Lifecycle({ stopTimeoutMs }, { clock, facts }),
    happened,
    told,
    part: (name, faults = {}) => ({
      name,
      start: async () => {
        await faults.start;
        happened.push(`start ${name}`);
      },
      stop: async () => {
        await faults.stop;
        happened.push(`stop ${name}`);
      },
    }),
  };
}

/** A rejection that is expected later must not count as unhandled before. */
function failing(message: string): Promise<never> {
  const promise = Promise.reject(new Error(message));
  promise.catch(() => undefined);
  return promise;
}

const NEVER = new Promise<never>(() => undefined);

describe('a lifecycle', () => {
  test('starts in order and stops in reverse', async () => {
    const { lifecycle, happened, part, told } = world();
    await lifecycle.start([part('log'), part('store'), part('api')]);
    expect(await lifecycle.stop('SIGTERM')).toEqual({ reason: 'SIGTERM', clean: true });
    expect(happened).toEqual(['start log', 'start store', 'start api', 'stop api', 'stop store', 'stop log']);
    expect(told).toEqual(['started', 'started', 'started', 'stopping', 'stopped', 'stopped', 'stopped']);
  });

  test('stops what it had started when a part does not start', async () => {
    const { lifecycle, happened, part, told } = world();
    const parts = [part('log'), part('store', { start: failing('no disk') }), part('api')];
    await expect(lifecycle.start(parts)).rejects.toThrow('no disk');
    expect(happened).toEqual(['start log', 'stop log']);
    expect(told).toContain('startFailed');
    expect(await lifecycle.ended).toEqual({ reason: 'failed start', clean: false });
  });

  test('stops once, whoever asks', async () => {
    const { lifecycle, happened, part } = world();
    await lifecycle.start([part('log')]);
    const outcomes = await Promise.all([lifecycle.stop('one'), lifecycle.stop('two'), lifecycle.ended]);
    expect(outcomes.map(({ reason }) => reason)).toEqual(['one', 'one', 'one']);
    expect(happened).toEqual(['start log', 'stop log']);
  });

  test('goes on stopping when a part fails to, and says it was not clean', async () => {
    const { lifecycle, happened, part, told } = world();
    await lifecycle.start([part('log'), part('store', { stop: failing('broken') })]);
    expect((await lifecycle.stop('SIGTERM')).clean).toBe(false);
    expect(happened.at(-1)).toBe('stop log');
    expect(told).toContain('stopFailed');
  });

  test('waits for a part only so long', async () => {
    const { lifecycle, happened, part, told } = world(30);
    await lifecycle.start([part('log'), part('store', { stop: NEVER })]);
    expect((await lifecycle.stop('SIGTERM')).clean).toBe(false);
    expect(happened.at(-1)).toBe('stop log');
    expect(told).toContain('stopTimedOut');
  });

  test('what a part fails at after it was left behind is no second fault', async () => {
    const { lifecycle, part, told } = world(30);
    await lifecycle.start([part('log'), part('store', { stop: NEVER })]);
    const stopping = lifecycle.stop('SIGTERM');
    await clock.sleep(60);
    await lifecycle.fail('store', new Error('the log is closed'));
    expect((await stopping).clean).toBe(false);
    expect(told.filter((event) => ['stopTimedOut', 'partFailed'].includes(event))).toEqual(['stopTimedOut']);
  });

  test('waits longer for a part that says so', async () => {
    const { lifecycle, happened, part } = world(30);
    const slow = part('api', { stop: clock.sleep(100) });
    await lifecycle.start([part('log'), { ...slow, stopTimeoutMs: 5_000 }]);
    expect((await lifecycle.stop('SIGTERM')).clean).toBe(true);
    expect(happened.slice(-2)).toEqual(['stop api', 'stop log']);
  });

  test('stopped while it starts, it starts nothing more and stops what runs by then', async () => {
    const { lifecycle, happened, part } = world();
    const gate = Promise.withResolvers<undefined>();
    const starting = lifecycle.start([
      part('log', { start: gate.promise.then(() => undefined) }),
      part('store'),
    ]);
    const stopping = lifecycle.stop('SIGTERM');
    expect(lifecycle.signal.aborted).toBe(true);
    gate.resolve(undefined);
    await starting;
    await stopping;
    expect(happened).toEqual(['start log', 'stop log']);
  });

  test('stopped while a start hangs, it still ends', async () => {
    const { lifecycle, part } = world(30);
    void lifecycle.start([part('log', { start: NEVER })]).catch(() => undefined);
    expect((await lifecycle.stop('SIGTERM')).clean).toBe(false);
  });

  test('a part that fails while running stops everything', async () => {
    const { lifecycle, happened, part, told } = world();
    await lifecycle.start([part('log'), part('ingest')]);
    expect(await lifecycle.fail('ingest', new Error('bug'))).toEqual({
      reason: 'ingest failed',
      clean: false,
    });
    expect(happened.slice(2)).toEqual(['stop ingest', 'stop log']);
    expect(told).toContain('partFailed');
  });
});

describe('signals', () => {
  class Process extends EventEmitter implements SignalSource {
    readonly exits: number[] = [];

    exit(code: number): void {
      this.exits.push(code);
    }
  }

  test.each(['SIGINT', 'SIGTERM'])('%s stops the parts', async (signal) => {
    const { lifecycle, happened, part } = world();
    const source = new Process();
    stopOnSignals(lifecycle, source);
    await lifecycle.start([part('log')]);
    source.emit(signal);
    expect(await lifecycle.ended).toEqual({ reason: signal, clean: true });
    expect(happened).toEqual(['start log', 'stop log']);
    expect(source.exits).toEqual([]);
  });

  test('a second one ends the process at once', async () => {
    const { lifecycle, part } = world(100);
    const source = new Process();
    stopOnSignals(lifecycle, source);
    await lifecycle.start([part('log', { stop: NEVER })]);
    source.emit('SIGTERM');
    source.emit('SIGINT');
    expect(source.exits).toEqual([130]);
    await lifecycle.ended;
  });

  test('are left alone once everything is stopped', async () => {
    const { lifecycle } = world();
    const source = new Process();
    stopOnSignals(lifecycle, source);
    await lifecycle.stop('done');
    await clock.sleep(1);
    expect([source.listenerCount('SIGINT'), source.listenerCount('SIGTERM')]).toEqual([0, 0]);
  });
});
