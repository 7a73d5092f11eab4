/**
 * Memory for work that is over before the next begins, taken again and again: bytes that are made anew for
 * every request have the garbage collector look at everything else because of them.
 *
 * The content is whatever was left there, and the next taker overwrites it: nobody keeps a view of it, and
 * what is handed on is copied.
 */
export class Scratch {
  readonly #keptBytes: number;
  #bytes = Buffer.alloc(0);

  /** More than `keptBytes` are made for one taker alone. */
  constructor(keptBytes: number) {
    this.#keptBytes = keptBytes;
  }

  /** At least so many. */
  take(bytes: number): Buffer {
    if (bytes > this.#keptBytes) return Buffer.allocUnsafeSlow(bytes);
    if (this.#bytes.length < bytes) {
      const length = 2 ** Math.ceil(Math.log2(bytes));
      this.#bytes = Buffer.allocUnsafeSlow(Math.min(this.#keptBytes, length));
    }
    return this.#bytes;
  }
}
