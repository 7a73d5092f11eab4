/** What the kernel says of processes while a long run goes on. */
import { readFileSync } from 'node:fs';

const MIB = 2 ** 20;
/** Of a kernel's clock, as everywhere on Linux. */
const TICKS_PER_SECOND = 100;

/** Resident bytes; undefined: it is gone. */
export function residentBytes(pid: number): number | undefined {
  const status = read(`/proc/${pid}/status`);
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status ?? '')?.[1];
  return kib === undefined ? undefined : Number(kib) * 1024;
}

/** CPU seconds of all its threads so far. */
export function cpuSeconds(pid: number): number {
  // After the name, which may hold anything, in brackets.
  const fields = (read(`/proc/${pid}/stat`) ?? '').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

/** By SIGSTOP. */
export function isStopped(pid: number): boolean {
  return /^State:\s+T/m.test(read(`/proc/${pid}/status`) ?? '');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

export interface MemoryReport {
  readonly peakMib: number;
  /** Medians of the four quarters of the run. */
  readonly quartersMib: readonly number[];
  readonly isFlat: boolean;
}

/** Flat: no later quarter takes this much more than the first. */
const GROWTH = 1.25;

export class MemoryWatch {
  readonly #bytes: number[] = [];

  note(bytes: number | undefined): void {
    if (bytes !== undefined) this.#bytes.push(bytes);
  }

  report(): MemoryReport {
    const length = this.#bytes.length / 4;
    const quartersMib = [0, 1, 2, 3].map((i) =>
      Math.round(median(this.#bytes.slice(Math.floor(i * length), Math.floor((i + 1) * length))) / MIB),
    );
    const [first = 0, ...later] = quartersMib;
    const peakMib = Math.round(this.#bytes.reduce((most, bytes) => Math.max(most, bytes), 0) / MIB);
    return { peakMib, quartersMib, isFlat: later.every((quarter) => quarter <= first * GROWTH) };
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
