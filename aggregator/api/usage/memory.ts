/**
 * Results that are remembered under the state of the store that they were read from, within a bound of bytes:
 * those that were not asked for longest go first. Who asks for what is being read waits for it.
 *
 * A key names everything that a result depends on, whose rows may be read among it; a result that fails is
 * not remembered.
 */
export class Memory {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** `size` of a result, in bytes or about. */
  get<Result>(key: string, read: () => Promise<Result>, size: (result: Result) => number): Promise<Result> {
    const found = this.#entries.get(key);
    if (found !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, found);
      return found.result as Promise<Result>;
    }
    const entry: Entry = { result: read(), bytes: 0 };
    this.#entries.set(key, entry);
    const result = entry.result as Promise<Result>;
    result.then(
      (value) => this.#weigh(key, entry, key.length + size(value)),
      () => this.#forget(key, entry),
    );
    return result;
  }

  #weigh(key: string, entry: Entry, bytes: number): void {
    if (this.#entries.get(key) !== entry) return;
    entry.bytes = bytes;
    this.#bytes += bytes;
    for (const [oldest, other] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) return;
      // What is being read weighs nothing yet.
      if (other.bytes > 0) this.#forget(oldest, other);
    }
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}

interface Entry {
  readonly result: Promise<unknown>;
  /** 0 while it is being read. */
  bytes: number;
}
