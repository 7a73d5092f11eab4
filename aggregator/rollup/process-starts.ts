/**
 * When the process behind a target began, as shown by the first scrape at or after a sample (METERING 6): it
 * proves resets of counters that live in an exporter's memory.
 */
import { fixedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { endOf, IN_SPAN, spanParameters, type Span } from './span.ts';

interface Shown {
  readonly times: number[];
  readonly starts: number[];
}

export class ProcessStarts {
  readonly #shown = new Map<bigint, Shown>();
  earliest = Infinity;

  /** In order of t for each target. */
  add(target: bigint, t: number, start: number): void {
    let shown = this.#shown.get(target);
    if (shown === undefined) this.#shown.set(target, (shown = { times: [], starts: [] }));
    shown.times.push(t);
    shown.starts.push(start);
    this.earliest = Math.min(this.earliest, start);
  }

  /** The process start that the target shows first at or after t, if it lies before t; else 0. */
  at(target: bigint, t: number): number {
    const shown = this.#shown.get(target);
    if (shown === undefined) return 0;
    let low = 0;
    let high = shown.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((shown.times[middle] ?? 0) < t) low = middle + 1;
      else high = middle;
    }
    const start = shown.starts[low] ?? 0;
    return start < t ? start : 0;
  }
}

/** target 8, t 8, start 8 */
const ROW_BYTES = 24;

/** What was shown within the span, and of each target the first after it. */
export async function readProcessStarts(store: UsageStore, span: Span): Promise<ProcessStarts> {
  const starts = new ProcessStarts();
  const chunks = store.rowBinary(
    `SELECT target, t, max(start) FROM process_start
     WHERE ${IN_SPAN}
     GROUP BY target, t
     UNION ALL
     SELECT target, min(t), argMax(start, (-t, start)) FROM process_start
     WHERE cluster = {cluster:String} AND hour > toDateTime({last:Int64}, 'UTC') AND t > {to:Int64}
     GROUP BY target`,
    { ...spanParameters(span), to: endOf(span) },
  );
  const rows: [bigint, number, number][] = [];
  for await (const { view } of fixedRows(chunks, ROW_BYTES)) {
    for (let at = 0; at < view.byteLength; at += ROW_BYTES) {
      rows.push([
        view.getBigUint64(at, true),
        Number(view.getBigInt64(at + 8, true)),
        Number(view.getBigUint64(at + 16, true)),
      ]);
    }
  }
  rows.sort((a, b) => a[1] - b[1]);
  for (const [target, t, start] of rows) starts.add(target, t, start);
  return starts;
}
