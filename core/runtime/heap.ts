/**
 * How far the heap of this process grows before it is collected. By itself V8 decides by the machine: where
 * there is much memory, up to four times of what is alive, and pages that it had once it keeps; where there
 * is little, by so little that a process whose buffers pass through quickly does hardly anything else.
 */
import { setFlagsFromString } from 'node:v8';

/** In percent of what is alive, from the next collection on. */
export function limitHeapGrowth(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}
