/**
 * Whole answers as bytes, kept for as long as nothing that they tell has changed: whoever looks at the same
 * month again is sent the same bytes. Input: figures, coverage and standing, and the form they are shown in.
 *
 * A text lives with its figures: the reader hands out the same ones for as long as the store says the same of
 * them (`remembering-reader.ts`), and counts the room that a text takes. What else a text tells is compared:
 * the coverage by identity, the standing by what it says of the windows, for watermarks move all the time.
 */
import { settledWindows, usageReport, type ReportInput, type ReportRow } from '../usage-report.ts';
import { stateOf } from './standing.ts';

/** Of a text, for each figure that it tells; a longer one (many windows, little usage) is not kept. */
export const TEXT_BYTES = 450;

interface Kept {
  readonly key: string;
  readonly beside: readonly unknown[];
  readonly text: Buffer;
}

export class AnswerTexts {
  readonly #kept = new WeakMap<object, Kept>();

  /** `form` names all that `write` shows beside the rows, and how. */
  textOf(
    input: ReportInput,
    form: readonly unknown[],
    write: (rows: readonly ReportRow[]) => string,
  ): Buffer {
    const { figures, coverage } = input;
    const sums = figures.aggregation === 'sum';
    const told = sums ? figures.sums : figures.used;
    const beside = sums ? [coverage] : [coverage, figures.hourly];
    const key = JSON.stringify([form, figures.aggregation, ...judgementOf(input)]);
    const kept = this.#kept.get(told);
    if (kept?.key === key && kept.beside.every((one, i) => one === beside[i])) return kept.text;
    const text = Buffer.from(write(usageReport(input)));
    if (text.length <= TEXT_BYTES * (told.length + 1)) this.#kept.set(told, { key, beside, text });
    return text;
  }
}

/** All of what rows say that is not a figure. */
function judgementOf(input: ReportInput): readonly unknown[] {
  const { windows, groupBy, groups, isRanked, standing } = input;
  const states = windows.map((window) => stateOf(standing, window));
  const changes = states.flatMap((state, i) => (state === states[i - 1] ? [] : [[i, state]]));
  const settled = settledWindows(input);
  return [windows.length, windows[0], windows.at(-1), groupBy, isRanked === true && groups, changes, settled];
}
