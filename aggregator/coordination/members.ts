/**
 * Which of the processes that share a store does which part of what any of them may do. In: heartbeats in
 * the store. Out: for each part (a cluster's hours of two days) one process of those that live, the same one
 * for all who ask at the same time.
 *
 * Every part goes to whoever scores highest for it (rendezvous hashing), so a process that comes or goes
 * moves its own parts and no others. Views may differ for a moment: then a part is done twice, or a little
 * later. Doing it twice is harmless, so nothing here has to be exclusive.
 */
import { hash, randomUUID } from 'node:crypto';
import { HOUR_MS } from '../../core/metering/hour.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { retried } from '../../core/runtime/retry.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { SharedStore } from './neighbours.ts';

/** Hours that stay together: as many as are rolled up in one go. */
const PART_MS = 48 * HOUR_MS;

export interface MembersDeps {
  readonly store: UsageStore;
  readonly clock: Clock;
  readonly facts: FactSink;
}

/** Whether an hour of a cluster is this process's to roll up. */
export type IsMine = (cluster: string, hour: number) => boolean;

export class Members {
  readonly #name: string;
  readonly #config: SharedStore;
  readonly #deps: MembersDeps;
  #count = -1;

  constructor(config: SharedStore, deps: MembersDeps) {
    this.#name = `${config.place}/${randomUUID().slice(0, 8)}`;
    this.#config = config;
    this.#deps = deps;
  }

  /** Says that this process lives, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, facts } = this.#deps;
    const retrying = { operation: 'say that this process lives', clock, facts, signal };
    while (!signal.aborted) {
      await retried(() => this.#beat(), retrying);
      await clock.sleep(this.#config.renewEveryMs, signal);
    }
  }

  /** The others take over at once. */
  async leave(): Promise<void> {
    await this.#note({ hasLeft: 1 });
  }

  /** As of now. A process that the others take for dead has nothing to do until it is heard of again. */
  async share(): Promise<IsMine> {
    const members = await this.#living();
    if (!members.includes(this.#name)) return () => false;
    const owners = new Map<string, boolean>();
    return (cluster, hour) => {
      const part = `${cluster}/${Math.floor(hour / PART_MS)}`;
      const known = owners.get(part) ?? ownerOf(part, members) === this.#name;
      owners.set(part, known);
      return known;
    };
  }

  async #beat(): Promise<void> {
    await this.#note({ hasLeft: 0 });
    const members = await this.#living();
    if (members.length === this.#count) return;
    this.#count = members.length;
    this.#deps.facts.event('membersChanged', { members: members.length });
  }

  async #note({ hasLeft }: { readonly hasLeft: 0 | 1 }): Promise<void> {
    await this.#deps.store.command(
      `INSERT INTO member (member, until, has_left)
       SELECT {member:String}, now64(6) + toIntervalMillisecond({lastsMs:UInt32}), {hasLeft:UInt8}`,
      { member: this.#name, lastsMs: this.#config.leaseMs, hasLeft },
    );
  }

  async #living(): Promise<readonly string[]> {
    const rows = await this.#deps.store.rows<{ member: string }>(
      `SELECT member FROM member GROUP BY member
       HAVING max(has_left) = 0 AND max(until) > now64(6) ORDER BY member`,
    );
    return rows.map((row) => row.member);
  }
}

/** The same for everybody who knows the same members. */
function ownerOf(part: string, members: readonly string[]): string | undefined {
  const scored = members.map((member) => ({ member, score: hash('sha256', `${part}\n${member}`) }));
  return scored.toSorted((a, b) => (a.score < b.score ? 1 : -1))[0]?.member;
}
