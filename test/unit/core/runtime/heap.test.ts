/** V8 heeds it in a process that runs already: what may be garbage beside the same 60 MiB that are alive. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const HEAP = join(import.meta.dirname, '../../../../core/runtime/heap.ts');
const MIB = 2 ** 20;
/** Little room for the young, so that what lives for a while is collected with the old. */
const NODE = ['--max-semi-space-size=1', '--input-type=module', '--eval'];

/** The most that the heap was, in MiB, while rows that live for a while were made and forgotten. */
function mostHeap(percent: number): number {
  const program = `
    const { limitHeapGrowth } = await import(${JSON.stringify(HEAP)});
    limitHeapGrowth(${percent});
    const row = (i) => ({ i, text: 'row ' + i, values: [i, i + 1, i + 2] });
    const alive = Array.from({ length: 400_000 }, (_, i) => row(i));
    const passing = [];
    let most = 0;
    for (let i = 0; i < 4_000_000; i++) {
      passing[i % 50_000] = row(i);
      if (i % 10_000 !== 0) continue;
      most = Math.max(most, process.memoryUsage().heapTotal);
      await new Promise((resolve) => setImmediate(resolve));
    }
    console.log(most + alive.length - 400_000);`;
  const printed = execFileSync(process.execPath, [...NODE, program]);
  return Number(printed.toString()) / MIB;
}

test('the heap grows by as much as is told, not by what the machine has', () => {
  const [little, much] = [mostHeap(30), mostHeap(300)];
  expect(much).toBeGreaterThan(1.5 * little);
}, 60_000);
