/**
 * The symbols of a 2.0 request: every text once, named by its place. Input: the message. Output: their places
 * in it; a text is decoded when it is first asked for, so texts that no label uses cost nothing. Symbols may
 * stand behind the series that use them: fields of a message have no order.
 */
import { LEN, MessageReader, tag } from '../protobuf/message-reader.ts';
import { utf8 } from './utf8.ts';

const SYMBOLS = 4;

export class Symbols {
  readonly #bytes: Buffer;
  /** Begin and end of each symbol. */
  readonly #places: readonly number[];
  readonly #texts = new Map<number, string | undefined>();

  constructor(bytes: Buffer, places: readonly number[]) {
    this.#bytes = bytes;
    this.#places = places;
  }

  /** Undefined: there is no such symbol, or it is no UTF-8. */
  textOf(reference: number): string | undefined {
    if (!this.#texts.has(reference)) this.#texts.set(reference, this.#decode(reference));
    return this.#texts.get(reference);
  }

  /** Its size; 0 where there is none. */
  bytesOf(reference: number): number {
    return (this.#places[2 * reference + 1] ?? 0) - (this.#places[2 * reference] ?? 0);
  }

  #decode(reference: number): string | undefined {
    const from = this.#places[2 * reference];
    return from === undefined ? undefined : utf8(this.#bytes.subarray(from, this.#places[2 * reference + 1]));
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
