/**
 * Scrapes that fall due one after the other, in quicker time than they say, whatever became of those before:
 * what could not be sent is made up for. It ends with one that fell due, and was sent, after it was told to.
 */
import { SystemClock } from '../../core/runtime/clock.ts';
import type { Lane, Sender } from './sender.ts';
import type { NodeTraffic, Traffic, WriteRequest } from './traffic.ts';

/** Between scrapes. */
const PACE_MS = 500;
const LANES = 4;
const clock = new SystemClock();

export class Flow {
  readonly #sending: Promise<void>;
  readonly #given = new AbortController();
  readonly #beganMs = clock.now();
  #endMs = Infinity;

  constructor(traffic: Traffic, sender: Sender) {
    const lanes = Array.from({ length: LANES }, (_, lane) => {
      const nodes = traffic.nodes.filter((_node, index) => index % LANES === lane);
      return this.#lane(nodes, lane === 0 ? traffic : undefined);
    });
    this.#sending = sender.run(lanes, this.#given.signal);
    // Whoever finishes it is told.
    this.#sending.catch(() => undefined);
  }

  /** False: not everything was taken within that time, and some of it never will be. */
  async finish(patienceMs: number): Promise<boolean> {
    this.#endMs = clock.now();
    const patience = new AbortController();
    const late = clock.sleep(patienceMs, patience.signal).then(() => false);
    const isSent = await Promise.race([this.#sending.then(() => true), late]);
    patience.abort();
    if (!isSent) this.#given.abort();
    return isSent;
  }

  #lane(nodes: readonly NodeTraffic[], traffic: Traffic | undefined): Lane {
    let scrapes = 0;
    const waiting: (() => WriteRequest)[] = [];
    const next = async (): Promise<WriteRequest | undefined> => {
      if (waiting.length === 0) {
        const dueMs = this.#beganMs + scrapes * PACE_MS;
        if (dueMs - PACE_MS >= this.#endMs) return undefined;
        await clock.sleep(Math.max(0, dueMs - clock.now()));
        scrapes++;
        if (traffic !== undefined) waiting.push(() => traffic.owners.next());
        waiting.push(...nodes.map((node) => () => node.next()));
      }
      return waiting.shift()?.();
    };
    return { next };
  }
}
