/** What the kernel says of the memory of a process (Linux). */
import { readFileSync, writeFileSync } from 'node:fs';

/** The most bytes it has had resident since it began, or since `forgetPeak`. */
export function peakBytes(pid: number): number {
  return fieldOf(pid, 'VmHWM');
}

/** From here on the peak is counted anew; gives what is resident now. */
export function forgetPeak(pid: number): number {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  return fieldOf(pid, 'VmRSS');
}

function fieldOf(pid: number, name: string): number {
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(
    readFileSync(`/proc/${pid}/status`, 'utf8'),
  )?.[1];
  return Number(kib) * 1024;
}
