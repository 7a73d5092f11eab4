const ALPHANUMERIC = 'bcdfghjklmnpqrstvwxz2456789';
const HEX = '0123456789abcdef';

/**
 * Chance that a seed repeats: sfc32 (Chris Doty-Humphrey), seeded by a hash of the seed's text. Not for
 * secrets.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: string) {
    this.#a = hash(seed, 0x9e3779b9);
    this.#b = hash(seed, 0x243f6a88);
    this.#c = hash(seed, 0xb7e15162);
    for (let round = 0; round < 12; round += 1) this.#next();
  }

  /** A whole number, `least` and `most` included. */
  int(least: number, most: number): number {
    return least + Math.floor((this.#next() / 0x1_0000_0000) * (most - least + 1));
  }

  /** One of the items, or undefined where there is none. */
  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[this.int(0, items.length - 1)];
  }

  /** The suffix Kubernetes gives to generated names: no vowels, no digits that look like letters. */
  suffix(length: number): string {
    return this.#text(ALPHANUMERIC, length);
  }

  hex(length: number): string {
    return this.#text(HEX, length);
  }

  uuid(): string {
    const variant = HEX[this.int(8, 11)] ?? '8';
    return `${this.hex(8)}-${this.hex(4)}-4${this.hex(3)}-${variant}${this.hex(3)}-${this.hex(12)}`;
  }

  #text(alphabet: string, length: number): string {
    let text = '';
    while (text.length < length) text += alphabet[this.int(0, alphabet.length - 1)] ?? '';
    return text;
  }

  /** 32 random bits. */
  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}

/** FNV-1a over the UTF-16 units, from a chosen basis. */
function hash(text: string, basis: number): number {
  let state = basis | 0;
  for (let index = 0; index < text.length; index += 1) {
    state = Math.imul(state ^ text.charCodeAt(index), 0x01000193);
  }
  return state;
}
