/**
 * Where an embedded aggregator goes on after an unclean stop. Its store does not fsync every insert, so what
 * was inserted in the last minutes may be gone after a power failure although its offsets were committed.
 * This file keeps the committed positions of the last minutes; after an unclean stop the consumer goes back
 * to those that are old enough for their samples to have reached the disk, and the set absorbs the repeats. A
 * clean stop says so and nothing is repeated.
 *
 * The file is written whole, beside, and renamed: a crash leaves the old one or the new one.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { z } from 'zod';
import type { LogPosition } from '../../core/eventlog/sample-log.ts';
import { MeteringError } from '../../core/runtime/errors.ts';

/** Kernels write dirty pages back within half a minute; this leaves twenty times that. */
export const SAFE_AGE_MS = 600_000;
const KEEP_EVERY_MS = 60_000;

const fileSchema = z.strictObject({
  clean: z.boolean(),
  /** Oldest first. */
  history: z.array(
    z.strictObject({
      atMs: z.number(),
      positions: z.array(
        z.strictObject({ topic: z.string(), partition: z.int(), next: z.string().regex(/^\d+$/) }),
      ),
    }),
  ),
});

type Content = z.output<typeof fileSchema>;

export interface Restart {
  /** False: a clean stop; nothing to repeat. Without a file nothing is known, and everything is repeated. */
  readonly unclean: boolean;
  /** What was rolled up from here on, by the clock of the positions, may be gone. */
  readonly sinceMs: number;
  /** Positions to go back to; a partition that is not named starts from its beginning. */
  readonly positions: readonly LogPosition[];
}

export class RestartPoint {
  readonly #path: string;
  #content: Content = { clean: true, history: [] };

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * What the last run left; from now on the run counts as unclean until `close`. Positions age by what was
   * noted after them, not by the clock: while the machine was off, nothing was written back.
   */
  async begin(): Promise<Restart> {
    const before = await this.#read();
    const lastMs = before?.history.at(-1)?.atMs ?? 0;
    const safe = before?.history.findLast(({ atMs }) => lastMs - atMs >= SAFE_AGE_MS);
    this.#content = { clean: false, history: before?.history ?? [] };
    await this.#write();
    const positions = (safe?.positions ?? []).map((position) => ({
      ...position,
      next: BigInt(position.next),
    }));
    return { unclean: before?.clean !== true, sinceMs: safe?.atMs ?? 0, positions };
  }

  /** Positions are committed at this time; kept once a minute. */
  async note(nowMs: number, positions: readonly LogPosition[]): Promise<void> {
    const last = this.#content.history.at(-1);
    if (last !== undefined && nowMs - last.atMs < KEEP_EVERY_MS) return;
    const kept = this.#content.history;
    const oldestNeeded = kept.findLastIndex(({ atMs }) => nowMs - atMs >= SAFE_AGE_MS);
    const entry = {
      atMs: nowMs,
      positions: positions.map(({ topic, partition, next }) => ({ topic, partition, next: next.toString() })),
    };
    this.#content = { clean: false, history: [...kept.slice(Math.max(0, oldestNeeded)), entry] };
    await this.#write();
  }

  /** The stop is clean: store and log were closed in order. */
  async close(): Promise<void> {
    this.#content = { ...this.#content, clean: true };
    await this.#write();
  }

  async #read(): Promise<Content | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      return fileSchema.parse(JSON.parse(text));
    } catch (cause) {
      throw new MeteringError(
        'METER_CONFIG_INVALID',
        `${this.#path} is damaged; remove it: the log is read again from its beginning, nothing counts twice`,
        { cause },
      );
    }
  }

  async #write(): Promise<void> {
    const beside = `${this.#path}.new`;
    const file = await open(beside, 'w');
    try {
      await file.writeFile(JSON.stringify(this.#content));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, this.#path);
  }
}
