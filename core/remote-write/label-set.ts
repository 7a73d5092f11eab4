/**
 * The labels of one series as they arrive. Sizes are judged before a text is made of the bytes, so a long one
 * costs nothing. The first problem stays; after it only counts go on. Empty values are dropped: a label that
 * is absent and one that is empty are the same.
 */
import type { Symbols } from './symbols.ts';
import { utf8 } from './utf8.ts';

export interface LabelLimits {
  readonly labels: number;
  readonly labelNameBytes: number;
  readonly labelValueBytes: number;
}

/** `bad_label`: no UTF-8, a name that is empty or comes twice, a reference without its symbol or its pair. */
export type SeriesProblem = 'bad_label' | 'too_many_labels' | 'label_too_long';

export interface SeriesLabels {
  /** Without empty values; incomplete where there is a problem. */
  readonly labels: ReadonlyMap<string, string>;
  readonly problem: SeriesProblem | undefined;
  /** Bytes of names and values as they were sent. */
  readonly labelBytes: number;
}

/** No reference is waiting for its pair. */
const NONE = -1;

export class LabelSet {
  readonly #limits: LabelLimits;
  readonly #labels = new Map<string, string>();
  #hasEmpty = false;
  #problem: SeriesProblem | undefined;
  #bytes = 0;
  #count = 0;
  #pending = NONE;

  constructor(limits: LabelLimits) {
    this.#limits = limits;
  }

  add(name: Uint8Array, value: Uint8Array): void {
    if (this.#fits(name.length, value.length)) this.#put(utf8(name), utf8(value));
  }

  /** References come in pairs: a name, then its value. */
  refer(symbols: Symbols, reference: number): void {
    const name = this.#pending;
    this.#pending = name === NONE ? reference : NONE;
    if (name === NONE || !this.#fits(symbols.bytesOf(name), symbols.bytesOf(reference))) return;
    this.#put(symbols.textOf(name), symbols.textOf(reference));
  }

  done(): SeriesLabels {
    if (this.#pending !== NONE) this.#problem ??= 'bad_label';
    if (this.#hasEmpty) for (const [name, value] of this.#labels) if (value === '') this.#labels.delete(name);
    return { labels: this.#labels, problem: this.#problem, labelBytes: this.#bytes };
  }

  /** Counts a label, and tells whether it is worth reading. */
  #fits(nameBytes: number, valueBytes: number): boolean {
    const { labels, labelNameBytes, labelValueBytes } = this.#limits;
    if (++this.#count > labels) this.#problem ??= 'too_many_labels';
    if (nameBytes > labelNameBytes || valueBytes > labelValueBytes) this.#problem ??= 'label_too_long';
    if (this.#problem !== undefined) return false;
    this.#bytes += nameBytes + valueBytes;
    return true;
  }

  #put(name: string | undefined, value: string | undefined): void {
    if (name === undefined || value === undefined || name === '' || this.#labels.has(name)) {
      this.#problem = 'bad_label';
      return;
    }
    this.#labels.set(name, value);
    if (value === '') this.#hasEmpty = true;
  }
}
