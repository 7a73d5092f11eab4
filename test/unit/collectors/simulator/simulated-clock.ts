import { type Clock } from '../../../../core/runtime/clock.ts';
import { ClusterSimulator, type SimulatorConfig } from '../../../../collectors/simulator/simulator.ts';

/** 2026-03-14 09:53:20 UTC: an hour ends 400 s later. */
export const START_MS = 1_773_482_000_000;

/** Time that only moves when a test moves it. */
export class SimulatedClock implements Clock {
  #now: number;

  constructor(startMs: number) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number): Promise<void> {
    this.#now += ms;
    return Promise.resolve();
  }

  set(t: number): void {
    this.#now = t;
  }
}

export function newSimulator(options: Partial<SimulatorConfig> & { readonly startMs?: number } = {}) {
  const { startMs = START_MS, ...config } = options;
  const clock = new SimulatedClock(startMs);
  const simulator = new ClusterSimulator(
    {
      cluster: 'demo',
      seed: 'seed-1',
      nodes: 3,
      tenants: ['acme', 'globex', 'initech'],
      host: '127.0.0.1',
      port: 0,
      ...config,
    },
    { clock },
  );
  return { clock, simulator };
}
