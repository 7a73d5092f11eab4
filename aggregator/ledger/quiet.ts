/**
 * A moment in which the store holds exactly the records below a cut. In: work that needs one. Out: its
 * result, or nothing when the moment could not be had. What it is for: a close and the floor of the samples
 * say "these records and no others".
 *
 * Ingest marks the units of a batch before it writes anything of it, and journals the batch after everything
 * of it is written. So while no mark lies above the journal, nothing above the journal is in the store. A
 * hold asks every ingest to wait, which makes such a moment last; whether it lasted is checked afterwards, so
 * a process that did not see the hold makes the work be done again and never wrong.
 *
 * Who asks first works; the others come back later. A holder that dies is waited for until its hold runs out.
 */
import { randomUUID } from 'node:crypto';
import type { LogPosition } from '../../core/eventlog/sample-log.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { waitsForJournal } from '../rollup/unit-marks.ts';
import type { UsageStore } from '../store/usage-store.ts';

export interface QuietConfig {
  /** How long a hold lasts unless it is renewed. */
  readonly holdMs: number;
  /**
   * How long to wait for holds of others to come to light: longer than an insert takes; 0 with one process.
   */
  readonly claimMs: number;
  /** How long to wait for batches that are being written. */
  readonly patienceMs: number;
}

export const ONE_PROCESS: QuietConfig = { holdMs: 60_000, claimMs: 0, patienceMs: 30_000 };
export const SEVERAL_PROCESSES: QuietConfig = { ...ONE_PROCESS, claimMs: 2_000 };

const LOOK_AGAIN_MS = 50;
const RENEWALS_PER_HOLD = 3;

export interface QuietMoment {
  readonly cut: readonly LogPosition[];
  /** Whether the store still holds nothing beyond the cut. */
  lasts(): Promise<boolean>;
}

export class Quiet {
  readonly #config: QuietConfig;
  readonly #store: UsageStore;
  readonly #clock: Clock;

  constructor(config: QuietConfig, deps: { readonly store: UsageStore; readonly clock: Clock }) {
    this.#config = config;
    this.#store = deps.store;
    this.#clock = deps.clock;
  }

  /** `undefined`: somebody else holds, or batches did not end in time; try again later. */
  async during<Result>(
    purpose: string,
    work: (moment: QuietMoment) => Promise<Result>,
  ): Promise<Result | undefined> {
    const holder = randomUUID();
    await this.#write(holder, purpose);
    const ended = new AbortController();
    const renewing = this.#renew(holder, purpose, ended.signal);
    try {
      await this.#clock.sleep(this.#config.claimMs);
      if ((await activeHolds(this.#store, this.#clock.now()))[0] !== holder) return undefined;
      const moment = await this.#settled();
      return moment === undefined ? undefined : await work(moment);
    } finally {
      ended.abort();
      await renewing;
      await this.#write(holder, purpose, { released: true });
    }
  }

  /** Waits until every batch that was begun is journalled. */
  async #settled(): Promise<QuietMoment | undefined> {
    const deadline = this.#clock.now() + this.#config.patienceMs;
    for (;;) {
      const cut = await this.#quietCut();
      if (cut !== undefined) {
        const text = textOf(cut);
        return { cut, lasts: async () => textOf((await this.#quietCut()) ?? []) === text };
      }
      if (this.#clock.now() >= deadline) return undefined;
      await this.#clock.sleep(LOOK_AGAIN_MS);
    }
  }

  /** Positions of the journal, if nothing above them was begun. Marks are read after it: they come first. */
  async #quietCut(): Promise<readonly LogPosition[] | undefined> {
    const cut = await journalPositions(this.#store);
    const at = new Map(cut.map((position) => [`${position.topic}/${position.partition}`, position.next]));
    const marked = await highestMarks(this.#store);
    return [...marked].every(([source, next]) => next <= (at.get(source) ?? 0n)) ? cut : undefined;
  }

  async #renew(holder: string, purpose: string, signal: AbortSignal): Promise<void> {
    const restMs = this.#config.holdMs / RENEWALS_PER_HOLD;
    for (;;) {
      await this.#clock.sleep(restMs, signal);
      if (signal.aborted) return;
      // A hold that cannot be renewed runs out; the work finds out when it asks whether the moment lasted.
      await this.#write(holder, purpose).catch(() => undefined);
    }
  }

  async #write(holder: string, purpose: string, options: { released?: boolean } = {}): Promise<void> {
    const until = this.#clock.now() + this.#config.holdMs;
    await this.#store.insert('hold', [
      { holder, purpose, until, released: Number(options.released === true) },
    ]);
  }
}

/** One past the newest journalled record of each partition. */
export async function journalPositions(store: UsageStore): Promise<readonly LogPosition[]> {
  const rows = await store.rows<{ topic: string; partition: number; next: string }>(
    `SELECT topic, partition, max(last_offset) + 1 AS next FROM batch
     GROUP BY topic, partition ORDER BY topic, partition`,
  );
  return rows.map(({ topic, partition, next }) => ({ topic, partition, next: BigInt(next) }));
}

/** By partition of the log: one past the newest record that was begun to be written. */
async function highestMarks(store: UsageStore): Promise<Map<string, bigint>> {
  const rows = await store.rows<{ source: string; highest: string }>(
    'SELECT source, max(marked) AS highest FROM unit_mark GROUP BY source',
  );
  const ofLog = rows.filter(({ source }) => waitsForJournal(source));
  return new Map(ofLog.map(({ source, highest }) => [source, BigInt(highest)]));
}

/** Holders that ask ingest to wait, the first to ask first. */
export async function activeHolds(store: UsageStore, nowMs: number): Promise<readonly string[]> {
  const rows = await store.rows<{ holder: string }>(
    `SELECT holder, min(since) AS asked FROM hold GROUP BY holder
     HAVING max(released) = 0 AND max(until) > fromUnixTimestamp64Milli({now:Int64}, 'UTC')
     ORDER BY asked, holder`,
    { now: nowMs },
  );
  return rows.map((row) => row.holder);
}

function textOf(cut: readonly LogPosition[]): string {
  return cut
    .map(({ topic, partition, next }) => `${topic}/${partition}=${next}`)
    .sort()
    .join('\n');
}
