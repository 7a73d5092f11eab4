/**
 * The rows of an answer, by window, then by group: all of them where they are few, a page of them, or batch
 * by batch. Every window has a row of every group that used something anywhere in the range, so what comes
 * next is known without reading it: a place is a window and a group, and only the windows of a page are read.
 *
 * Memory holds the groups and a batch, however long the range is. A rate is made of all hours of its window,
 * so fewer rows of one are made at once: of a month 672, and where it has more groups, some of them and then
 * the others. Open hours go on changing while pages are read; a group that comes to light meanwhile has rows
 * from there on, or from where the groups are read again.
 */
import { HOUR_MS } from '../../../core/metering/hour.ts';
import type { Window } from '../../../core/metering/windows.ts';
import type { TenantScope } from '../identity/access.ts';
import { compareKeys, isOfDetails, keyOf, type Dimension, type Filters, type Group } from './dimensions.ts';
import type { UsageReader, UsageRequest, UsageSum } from '../usage-reader.ts';
import { hasMoreRows, usageReport, type Figures, type ReportInput, type ReportRow } from '../usage-report.ts';
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

/** Of rates, some ten megabytes of hours. */
const HOURS_AT_ONCE = 500_000;
/** What is named in one statement. */
const GROUPS_AT_ONCE = 400;

interface Beginning {
  readonly scope: TenantScope;
  readonly reader: UsageReader;
  /** Of rates, in memory. */
  readonly hoursAtOnce?: number;
}

export class UsageRows {
  readonly #question: UsageQuestion;
  readonly #scope: TenantScope;
  readonly #reader: UsageReader;
  readonly #standing: Standing;
  readonly #chosen: readonly Group[] | undefined;
  /** So many rows are made at once. */
  readonly #rowsAtOnce: number;

  private constructor(
    question: UsageQuestion,
    { scope, reader, hoursAtOnce = HOURS_AT_ONCE }: Beginning,
    read: { readonly standing: Standing; readonly chosen: readonly Group[] | undefined },
  ) {
    this.#question = question;
    this.#scope = scope;
    this.#reader = reader;
    this.#standing = read.standing;
    this.#chosen = read.chosen;
    const { aggregation, windows } = question;
    this.#rowsAtOnce =
      aggregation === 'sum' ? Infinity : Math.max(1, Math.floor(hoursAtOnce / hoursOfLongest(windows)));
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

  /** What all rows are made of; undefined if there are more, or if that is too much to be held at once. */
  async atMost(limit: number): Promise<ReportInput | undefined> {
    const { windows } = this.#question;
    const most = Math.min(limit, this.#rowsAtOnce);
    const input = await this.#input(windows, { limit: most + 1 });
    return hasMoreRows(input, limit) || figureCount(input) > most ? undefined : input;
  }

  /** Whether there are, without making them. */
  async areMoreThan(limit: number): Promise<boolean> {
    const groups = await this.#groups();
    return groups === undefined || groups.length * this.#question.windows.length > limit;
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
    const rows: ReportRow[] = [];
    for (let at = after; ;) {
      const piece = await this.#piece(groups, at, limit - rows.length);
      for (const row of piece.rows) rows.push(row);
      const last = rows.at(-1);
      if (!piece.more || last === undefined || rows.length >= limit) return { rows, more: piece.more };
      at = { windowStartMs: last.window.startMs, group: last.group };
    }
  }

  /** What follows, as far as it may be made at once. */
  async #piece(groups: readonly Group[], after: RowPlace | undefined, limit: number): Promise<Page> {
    const { windows, rest } = this.#left(groups, after);
    const [first] = windows;
    if (first === undefined || rest.length === 0) return { rows: [], more: false };
    if (groups.length > this.#rowsAtOnce) {
      const some = rest.slice(0, Math.min(limit, this.#rowsAtOnce, GROUPS_AT_ONCE));
      const input = await this.#input([first], { limit: some.length, groups: some, chosen: some });
      return { rows: usageReport(input), more: windows.length > 1 || some.length < rest.length };
    }
    const further = Math.max(0, Math.ceil((limit - rest.length) / groups.length));
    const atOnce = Math.floor(this.#rowsAtOnce / groups.length);
    const slice = windows.slice(0, Math.min(1 + further, atOnce));
    const input = await this.#input(slice, { limit: slice.length * MAX_GROUPS, groups });
    const rows = usageReport(input).filter(
      ({ window, group }) => window.startMs !== after?.windowStartMs || this.#follows(group, after.group),
    );
    return { rows: rows.slice(0, limit), more: slice.length < windows.length || rows.length > limit };
  }

  /** Windows in which rows follow, and the groups that have some in the first of them. */
  #left(
    groups: readonly Group[],
    after: RowPlace | undefined,
  ): { readonly windows: readonly Window[]; readonly rest: readonly Group[] } {
    const { windows } = this.#question;
    if (after === undefined) return { windows, rest: groups };
    const left = windows.filter(({ startMs }) => startMs >= after.windowStartMs);
    if (left[0]?.startMs !== after.windowStartMs) return { windows: left, rest: groups };
    const rest = groups.filter((group) => this.#follows(group, after.group));
    return rest.length > 0 ? { windows: left, rest } : { windows: left.slice(1), rest: groups };
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
    { limit, groups, chosen = this.#chosen }: Reading,
  ): Promise<ReportInput> {
    const { meter, groupBy, filters } = this.#question;
    const [figures, coverage] = await Promise.all([
      this.#figures(windows, { limit, groups, chosen }),
      this.#reader.coverage(this.#scope, { meter, windows, filters, standing: this.#standing }),
    ]);
    const ofAll = groups ?? this.#chosen;
    const shown = ofAll === undefined ? {} : { groups: ofAll, isRanked: this.#chosen !== undefined };
    return { windows, groupBy, filters, figures, coverage, standing: this.#standing, ...shown };
  }

  /**
   * Of a few windows nobody can say who has something of a filter in the range: those that are known to have
   * it are taken, with their 0, and who comes to light.
   */
  async #sums(request: UsageRequest, groups: readonly Group[] | undefined): Promise<readonly UsageSum[]> {
    const { groupBy, filters } = request;
    if (groups === undefined || !isOfDetails(filters)) return await this.#reader.usage(this.#scope, request);
    const sums = await this.#reader.usage(this.#scope, { ...request, withIdle: true });
    const known = new Set(groups.map((group) => keyOf(groupBy, group)));
    return sums.filter(({ value, group }) => value !== 0n || known.has(keyOf(groupBy, group)));
  }

  async #figures(windows: readonly Window[], { limit, groups, chosen }: Reading): Promise<Figures> {
    const { aggregation, top: _, ...asked } = this.#question;
    const request = { ...asked, windows, standing: this.#standing, chosen, limit };
    if (aggregation === 'sum') return { aggregation, sums: await this.#sums(request, groups) };
    const hours = stretchesOf(windows);
    const [used, hourly] = await Promise.all([
      this.#reader.usedHours(this.#scope, { ...request, hours }),
      this.#reader.coverage(this.#scope, { ...request, windows: hours }),
    ]);
    return { aggregation, used, hourly };
  }
}

interface Reading {
  /** Rows that are read. */
  readonly limit: number;
  /** That have a row in any case. */
  readonly groups?: readonly Group[] | undefined;
  /** Of which alone something is read. */
  readonly chosen?: readonly Group[] | undefined;
}

function figureCount({ figures }: ReportInput): number {
  return figures.aggregation === 'sum' ? figures.sums.length : figures.used.length;
}

function hoursOfLongest(windows: readonly Window[]): number {
  return windows.reduce(
    (most, { startMs, endMs }) => Math.max(most, Math.ceil((endMs - startMs) / HOUR_MS)),
    1,
  );
}
