/**
 * The symbols of a 2.0 request: every text once, named by its place. Input: the message. Output: where each
 * stands in it; whether it is text is looked at when it is first asked for, so texts that no label uses cost
 * nothing. Symbols may stand behind the series that use them: fields of a message have no order.
 */
import { LEN, MessageReader, tag } from '../protobuf/message-reader.ts';
import { isText } from './text.ts';

const SYMBOLS = 4;
/** What is known of a symbol; 0: it was not looked at. */
const TEXT = 1;
const NO_TEXT = 2;

export class Symbols {
  readonly #bytes: Buffer;
  /** Begin and end of each symbol. */
  readonly #places: readonly number[];
  readonly #known: Uint8Array;

  constructor(bytes: Buffer, places: readonly number[]) {
    this.#bytes = bytes;
    this.#places = places;
    this.#known = new Uint8Array(places.length / 2);
  }

  get count(): number {
    return this.#known.length;
  }

  begin(reference: number): number {
    return this.#places[2 * reference] ?? 0;
  }

  end(reference: number): number {
    return this.#places[2 * reference + 1] ?? 0;
  }

  isText(reference: number): boolean {
    if (this.#known[reference] === 0) {
      const found = isText(this.#bytes, this.begin(reference), this.end(reference));
      this.#known[reference] = found ? TEXT : NO_TEXT;
    }
    return this.#known[reference] === TEXT;
  }
}

export function readSymbols(message: Uint8Array, limit: number): Symbols | 'malformed' | 'too_many' {
  const reader = new MessageReader(message);
  const end = message.byteLength;
  const places: number[] = [];
  while (reader.more(end)) {
    const found = reader.varint();
    if (found !== tag(SYMBOLS, LEN)) {
      if (found >>> 3 === SYMBOLS) reader.fail();
      else reader.skip(found, end);
      continue;
    }
    if (places.length >= 2 * limit) return 'too_many';
    const to = reader.frame(end);
    places.push(reader.at, to);
    reader.at = to;
  }
  return reader.isBad ? 'malformed' : new Symbols(reader.bytes, places);
}
