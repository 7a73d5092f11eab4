interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly run: (t: number) => void;
}

/** What will happen and when: by time, and first planned first at the same time. */
export class Agenda {
  /** Latest first, so that the next entry is the cheap one to take. */
  readonly #entries: Entry[] = [];
  #planned = 0;

  at(atMs: number, run: (t: number) => void): void {
    const entry = { atMs, order: (this.#planned += 1), run };
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isLater(this.#entries[middle], entry)) low = middle + 1;
      else high = middle;
    }
    this.#entries.splice(low, 0, entry);
  }

  /** First at `firstMs`, then again and again. */
  every(firstMs: number, periodMs: number, run: (t: number) => void): void {
    this.at(firstMs, (t) => {
      run(t);
      this.every(t + periodMs, periodMs, run);
    });
  }

  /** Runs everything planned up to and including `t`, each thing at its own time. */
  runUntil(t: number): void {
    for (let next = this.#entries.at(-1); next !== undefined && next.atMs <= t; next = this.#entries.at(-1)) {
      this.#entries.pop();
      next.run(next.atMs);
    }
  }
}

function isLater(entry: Entry | undefined, than: Entry): boolean {
  if (entry === undefined) return false;
  return entry.atMs === than.atMs ? entry.order > than.order : entry.atMs > than.atMs;
}
