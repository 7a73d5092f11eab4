/**
 * Work at once, and a short line before it: what finds no slot waits its turn, for a bounded time in a line
 * of bounded length, and is turned away otherwise. Turned away early costs nothing; late costs everybody.
 */
import type { Clock } from '../../../core/runtime/clock.ts';
import { MeteringError } from '../../../core/runtime/errors.ts';

export interface SlotsConfig {
  readonly slots: number;
  readonly waiting: number;
  readonly waitMs: number;
}

export class Slots {
  readonly #config: SlotsConfig;
  readonly #clock: Clock;
  readonly #line = new Set<() => void>();
  #taken = 0;

  constructor(config: SlotsConfig, { clock }: { readonly clock: Clock }) {
    this.#config = config;
    this.#clock = clock;
  }

  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /** Resolves with what gives the slot back; rejects with `METER_OVERLOADED`. */
  async take(): Promise<() => void> {
    const { slots, waiting, waitMs } = this.#config;
    if (this.#taken < slots) this.#taken += 1;
    else if (this.#line.size >= waiting) throw overloaded(`${waiting} queries wait already`);
    else if (!(await this.#turn(waitMs))) throw overloaded(`no slot within ${waitMs} ms`);
    let isHeld = true;
    return () => {
      if (isHeld) this.#release();
      isHeld = false;
    };
  }

  /** A slot goes from hand to hand, so nobody overtakes the line. */
  #release(): void {
    const [next] = this.#line;
    if (next === undefined) this.#taken -= 1;
    else next();
  }

  async #turn(waitMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<true>();
    const done = new AbortController();
    const mine = (): void => {
      this.#line.delete(mine);
      resolve(true);
    };
    this.#line.add(mine);
    const late = this.#clock.sleep(waitMs, done.signal).then(() => false);
    const isMine = await Promise.race([promise, late]);
    done.abort();
    // Handed over and late in the same turn: the slot is held, so it is used.
    return isMine || !this.#line.delete(mine);
  }
}

function overloaded(why: string): MeteringError {
  return new MeteringError('METER_OVERLOADED', why, { retryable: true });
}
