/**
 * The right to do what only one process may do at a time, kept in the store that they share. In: attempts to
 * take it, renewals. Out: an epoch, and a condition for statements which is true only while it is the
 * newest.
 *
 * What makes it exclusive is no clock. An epoch is asked for by a row; the first to ask for it has it. From
 * the moment in which that row can be seen, the engine refuses every statement under an older epoch, whoever
 * sends it and however long it was frozen before. What it began earlier is still in its list of running
 * statements: whoever takes over waits until it is gone. The same wait brings to light all who asked for the
 * same epoch, for one who begins to ask later sees the row and does not. So while an epoch is used, nothing
 * of another is.
 *
 * Time, the server's, only says when a holder is taken for dead. A clock that jumps moves the lease; it
 * never lets two hold it. All processes have to speak to the same server: replicas do not share their lists.
 */
import type { Clock } from '../../core/runtime/clock.ts';
import type { Parameters, UsageStore } from '../store/usage-store.ts';

export interface LeaseConfig {
  readonly name: string;
  /** Of this process, and of no other, ever. */
  readonly holder: string;
  /** How long it is held without being renewed. */
  readonly lastsMs: number;
  /** The store serves this process alone: whoever held the lease before is gone. */
  readonly isAlone: boolean;
}

export type Epoch = bigint;

/** What a statement is carried out under: SQL over the store, and what it binds. */
export interface Guard {
  readonly where: string;
  readonly parameters: Parameters;
}

/** Who has it, or had it last. */
export interface LeaseState {
  readonly epoch: Epoch;
  readonly holder: string;
  readonly isReleased: boolean;
  readonly isLive: boolean;
  readonly leftMs: number;
}

const LOOK_AGAIN_MS = 20;

/** The one row that counts; without rows, none. */
const CURRENT = `
  SELECT epoch, holder, min(since) AS asked, max(until) AS ends, max(released) AS gone FROM lease
  WHERE name = {lease:String} GROUP BY epoch, holder ORDER BY epoch DESC, asked, holder LIMIT 1`;

/** What may still add something under an older epoch, or for the same. */
const UNDER_WAY = `
  SELECT query_id AS id FROM system.processes
  WHERE current_database = currentDatabase() AND match(query, '^INSERT INTO (lease|ledger|decision) ')`;

export class Lease {
  readonly #config: LeaseConfig;
  readonly #store: UsageStore;
  readonly #clock: Clock;

  constructor(config: LeaseConfig, deps: { readonly store: UsageStore; readonly clock: Clock }) {
    this.#config = config;
    this.#store = deps.store;
    this.#clock = deps.clock;
  }

  /** The new epoch, above any before; undefined where somebody else has it or asked first. */
  async take(): Promise<Epoch | undefined> {
    const { name, holder, lastsMs, isAlone } = this.#config;
    const known = await this.state();
    if (known?.isLive === true && known.holder !== holder && !isAlone) return undefined;
    await this.#store.command(
      `INSERT INTO lease (name, epoch, holder, since, until, released)
       SELECT {lease:String}, newest + 1, {holder:String}, now64(6),
         now64(6) + toIntervalMillisecond({lastsMs:UInt32}), 0
       FROM (
         SELECT count() AS held, any(epoch) AS newest, any(holder) AS held_by, any(ends) AS held_until,
           any(gone) AS is_gone
         FROM (${CURRENT}))
       WHERE held = 0 OR is_gone = 1 OR held_until <= now64(6) OR held_by = {holder:String}
         OR {isAlone:Bool}`,
      { lease: name, holder, lastsMs, isAlone },
    );
    if (!(await this.#othersDone())) return undefined;
    const state = await this.state();
    return state?.holder === holder && state.isLive ? state.epoch : undefined;
  }

  /** False: somebody else has taken over. */
  async renew(epoch: Epoch): Promise<boolean> {
    await this.#note(epoch, { released: 0 });
    return await this.isMine(epoch);
  }

  async release(epoch: Epoch): Promise<void> {
    await this.#note(epoch, { released: 1 });
  }

  /** Still in force, and so it was since it was taken: epochs only rise. */
  async isMine(epoch: Epoch): Promise<boolean> {
    const state = await this.state();
    return state?.epoch === epoch && state.holder === this.#config.holder && !state.isReleased;
  }

  guard(epoch: Epoch): Guard {
    const { name: lease, holder: leaseHolder } = this.#config;
    return {
      where: `(SELECT count() FROM (${CURRENT})
        WHERE epoch = {leaseEpoch:UInt64} AND holder = {leaseHolder:String} AND gone = 0) = 1`,
      parameters: { lease, leaseEpoch: epoch, leaseHolder },
    };
  }

  async state(): Promise<LeaseState | undefined> {
    const [row] = await this.#store.rows<{ epoch: string; holder: string; left: string; gone: number }>(
      `SELECT epoch, holder, gone, toInt64(dateDiff('millisecond', now64(6), ends)) AS left
       FROM (${CURRENT})`,
      { lease: this.#config.name },
    );
    if (row === undefined) return undefined;
    const leftMs = Math.max(0, Number(row.left));
    return {
      ...{ epoch: BigInt(row.epoch), holder: row.holder, leftMs },
      ...{ isReleased: row.gone === 1, isLive: row.gone === 0 && Number(row.left) > 0 },
    };
  }

  /** A row about an epoch that somebody has followed changes nothing. */
  async #note(epoch: Epoch, { released }: { readonly released: 0 | 1 }): Promise<void> {
    const { name, holder, lastsMs } = this.#config;
    await this.#store.command(
      `INSERT INTO lease (name, epoch, holder, since, until, released)
       SELECT {lease:String}, {epoch:UInt64}, {holder:String}, now64(6),
         now64(6) + toIntervalMillisecond({lastsMs:UInt32}), {released:UInt8}`,
      { lease: name, epoch, holder, lastsMs, released },
    );
  }

  /** Waits for statements that began before now; false if one goes on for longer than the lease lasts. */
  async #othersDone(): Promise<boolean> {
    const deadlineMs = this.#clock.now() + this.#config.lastsMs;
    for (let left = await this.#underWay(); left.length > 0;) {
      if (this.#clock.now() >= deadlineMs) return false;
      await this.#clock.sleep(LOOK_AGAIN_MS);
      const now = await this.#underWay();
      left = left.filter((id) => now.includes(id));
    }
    return true;
  }

  async #underWay(): Promise<readonly string[]> {
    const rows = await this.#store.rows<{ id: string }>(UNDER_WAY);
    return rows.map((row) => row.id);
  }
}
