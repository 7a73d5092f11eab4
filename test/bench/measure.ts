/** CPU and wall time of a piece of work; CPU is that of all threads of the process, the store's engine included. */
import { SystemClock } from '../../core/runtime/clock.ts';

export interface Measured<Result> {
  readonly result: Result;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

const clock = new SystemClock();

export async function measure<Result>(work: () => Promise<Result> | Result): Promise<Measured<Result>> {
  const cpu = process.cpuUsage();
  const begin = clock.now();
  const result = await work();
  const wallSeconds = (clock.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { result, cpuSeconds: (user + system) / 1e6, wallSeconds };
}

/** The least of several runs: what else the machine does only adds. */
export async function best<Result>(runs: number, work: () => Promise<Result>): Promise<Measured<Result>> {
  let least = await measure(work);
  for (let run = 1; run < runs; run++) {
    const next = await measure(work);
    if (next.cpuSeconds < least.cpuSeconds) least = next;
  }
  return least;
}

export interface Figure {
  readonly name: string;
  readonly count: number;
  /** What is counted. */
  readonly of: string;
  readonly measured: Pick<Measured<unknown>, 'cpuSeconds' | 'wallSeconds'>;
  /** Least count per CPU-second. */
  readonly floor?: number;
}

export function rate({ count, measured }: Figure): number {
  return count / measured.cpuSeconds;
}

export function line(figure: Figure): string {
  const { name, count, of, measured, floor } = figure;
  const perSecond = grouped(Math.round(rate(figure))).padStart(11);
  const total = `${grouped(count)} ${of} in ${measured.cpuSeconds.toFixed(2)} CPU-s, ${measured.wallSeconds.toFixed(2)} s`;
  const verdict = floor === undefined ? '' : `  ${isMissed(figure) ? 'BELOW' : 'above'} ${grouped(floor)}`;
  return `${name.padEnd(48)}${perSecond} /CPU-s   ${total}${verdict}`;
}

export function isMissed(figure: Figure): boolean {
  return figure.floor !== undefined && rate(figure) < figure.floor;
}

function grouped(value: number): string {
  return value.toLocaleString('en-US');
}
