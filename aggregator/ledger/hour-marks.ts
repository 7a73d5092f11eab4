/**
 * Which hours are to be settled: those that a roll-up marked higher than they were settled. A source is a
 * roll-up process, with a sequence of its own. An hour is marked after everything that the roll-up says of it
 * is stored, so one that is read after its mark is read whole.
 */
import {
  honourMarks,
  readOpenMarks,
  writeMarks,
  type Mark,
  type MarkTable,
  type WantedMarks,
} from '../rollup/marks.ts';
import type { UsageStore } from '../store/usage-store.ts';

export type HourMark = Mark;

const HOURS: MarkTable = { name: 'hour_mark', done: 'settled' };

export async function markHours(store: UsageStore, marks: readonly HourMark[]): Promise<void> {
  await writeMarks(store, HOURS, marks);
}

/** Hours not yet settled, the oldest first. */
export async function openHours(store: UsageStore, wanted?: WantedMarks): Promise<readonly HourMark[]> {
  return await readOpenMarks(store, HOURS, wanted);
}

/** The marks were honoured: the hours were read after them. */
export async function settleHours(store: UsageStore, marks: readonly HourMark[]): Promise<void> {
  await honourMarks(store, HOURS, { marks });
}
