/**
 * The rows of an answer, by window, then by group: all of them where they are few, a page of them, or batch
 * by batch. Every window has a row of every group that used something anywhere in the range, so what comes
 * next is known without reading it: a place is a window and a group, and only the windows of a page are read.
 *
 * Memory holds the groups and a batch, however long the range is. Open hours go on changing while pages are
 * read; a group that comes to light meanwhile has rows from there on.
 */
import type { Window } from '../../../core/metering/windows.ts';
import type { TenantScope } from '../identity/access.ts';
import { compareKeys, keyOf, type Dimension, type Filters, type Group } from './dimensions.ts';
import type { UsageReader } from '../usage-reader.ts';
import { rowCount, usageReport, type Figures, type ReportInput, type ReportRow } from '../usage-report.ts';
import { stretchesOf, type Rate } from './rates.ts';
import type { Standing } from './standing.ts';

/** What is asked, without how it is to be shown. */
export interface UsageQuestion {
  readonly meter: string;
  /** In order, without gap or overlap, not empty. */
  readonly windows: readonly Window[];
  readonly groupBy: readonly Dimension[];
  readonly filters: Filters;
  readonly aggregation: 'sum' | Rate;
  /** Of the groups only this many, those that used most in the range, and those first. */
  readonly top: number | undefined;
}

/** The last row that was given. */
export interface RowPlace {
  readonly windowStartMs: number;
  readonly group: Group;
}

export interface Page {
  readonly rows: readonly ReportRow[];
  /** Whether there are more. */
  readonly more: boolean;
}

/** Groups are held in memory while pages are read. */
export const MAX_GROUPS = 100_000;
/** Some megabytes of text. */
const BATCH_ROWS = 5_000;

interface Beginning {
  readonly scope: TenantScope;
  readonly reader: UsageReader;
}

export class UsageRows {
  readonly #question: UsageQuestion;
  readonly #scope: TenantScope;
  readonly #reader: UsageReader;
  readonly #standing: Standing;
  readonly #chosen: readonly Group[] | undefined;

  private constructor(
    question: UsageQuestion,
    { scope, reader }: Beginning,
    read: { readonly standing: Standing; readonly chosen: readonly Group[] | undefined },
  ) {
    this.#question = question;
    this.#scope = scope;
    this.#reader = reader;
    this.#standing = read.standing;
    this.#chosen = read.chosen;
  }

  static async begin(question: UsageQuestion, beginning: Beginning): Promise<UsageRows> {
    const { scope, reader } = beginning;
    // Standing first: usage that is read after it is at least as complete as it says.
    const standing = await reader.standing(scope);
    const { top, ...asked } = question;
    const chosen =
      top === undefined
        ? undefined
        : await reader.groups(scope, { ...asked, standing, limit: top, largest: true });
    return new UsageRows(question, beginning, { standing, chosen });
  }

  /** What all rows are made of; undefined if there are more. */
  async atMost(limit: number): Promise<ReportInput | undefined> {
    const { windows } = this.#question;
    const input = await this.#input(windows, { limit: limit + 1 });
    return rowCount(input) > limit ? undefined : input;
  }

  /** Undefined if there are too many groups to page over. */
  async page(after: RowPlace | undefined, limit: number): Promise<Page | undefined> {
    const groups = await this.#groups();
    return groups && (await this.#page(groups, after, limit));
  }

  /** Until there are no more; undefined if there are too many groups. */
  async batches(): Promise<AsyncGenerator<readonly ReportRow[], void> | undefined> {
    const groups = await this.#groups();
    return groups && this.#batches(groups);
  }

  async *#batches(groups: readonly Group[]): AsyncGenerator<readonly ReportRow[], void> {
    let after: RowPlace | undefined;
    for (;;) {
      const { rows, more } = await this.#page(groups, after, BATCH_ROWS);
      const last = rows.at(-1);
      if (last === undefined) return;
      yield rows;
      if (!more) return;
      after = { windowStartMs: last.window.startMs, group: last.group };
    }
  }

  async #page(groups: readonly Group[], after: RowPlace | undefined, limit: number): Promise<Page> {
    const { windows } = this.#question;
    if (groups.length === 0) return { rows: [], more: false };
    const isAfter = (group: Group): boolean => after !== undefined && this.#follows(group, after.group);
    const first =
      after === undefined ? 0 : windows.findIndex(({ startMs }) => startMs >= after.windowStartMs);
    if (first < 0) return { rows: [], more: false };
    const isWithin = after !== undefined && windows[first]?.startMs === after.windowStartMs;
    const restOfFirst = isWithin ? groups.filter(isAfter).length : groups.length;
    const further = Math.max(0, Math.ceil((limit - restOfFirst) / groups.length));
    const slice = windows.slice(first, first + 1 + further);
    const input = await this.#input(slice, { limit: slice.length * MAX_GROUPS, groups });
    const all = usageReport(input);
    const rows = all.filter(
      ({ window, group }) => !isWithin || window.startMs > after.windowStartMs || isAfter(group),
    );
    const isLast = first + slice.length >= windows.length;
    return { rows: rows.slice(0, limit), more: !isLast || rows.length > limit };
  }

  /** Whether the rows of a group come after those of another one. */
  #follows(group: Group, other: Group): boolean {
    const { groupBy } = this.#question;
    const [key, before] = [keyOf(groupBy, group), keyOf(groupBy, other)];
    const chosen = this.#chosen;
    if (chosen === undefined) return compareKeys(key, before) > 0;
    const rank = (wanted: string): number => chosen.findIndex((one) => keyOf(groupBy, one) === wanted);
    return rank(key) > rank(before);
  }

  async #groups(): Promise<readonly Group[] | undefined> {
    const { top: _, ...asked } = this.#question;
    if (asked.groupBy.length === 0) return [{}];
    if (this.#chosen !== undefined) return this.#chosen;
    const request = { ...asked, standing: this.#standing, limit: MAX_GROUPS + 1 };
    const groups = await this.#reader.groups(this.#scope, request);
    return groups.length > MAX_GROUPS ? undefined : groups;
  }

  async #input(
    windows: readonly Window[],
    {
      limit,
      groups = this.#chosen,
    }: { readonly limit: number; readonly groups?: readonly Group[] | undefined },
  ): Promise<ReportInput> {
    const { meter, groupBy, filters } = this.#question;
    const [figures, coverage] = await Promise.all([
      this.#figures(windows, limit),
      this.#reader.coverage(this.#scope, { meter, windows, filters, standing: this.#standing }),
    ]);
    const shown = groups === undefined ? {} : { groups, isRanked: this.#chosen !== undefined };
    return { windows, groupBy, filters, figures, coverage, standing: this.#standing, ...shown };
  }

  async #figures(windows: readonly Window[], limit: number): Promise<Figures> {
    const { aggregation, top: _, ...asked } = this.#question;
    const chosen = this.#chosen;
    const request = { ...asked, windows, standing: this.#standing, chosen, limit };
    if (aggregation === 'sum') {
      return { aggregation, sums: await this.#reader.usage(this.#scope, request) };
    }
    const hours = stretchesOf(windows);
    const [used, hourly] = await Promise.all([
      this.#reader.usedHours(this.#scope, { ...request, hours }),
      this.#reader.coverage(this.#scope, { ...request, windows: hours }),
    ]);
    return { aggregation, used, hourly };
  }
}
