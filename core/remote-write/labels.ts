/**
 * The labels of one series, as places in its message: no text is made of them. Sizes are judged before bytes
 * are looked at, so a long one costs nothing. The first problem stays; after it only counts go on. Empty
 * values are dropped: a label that is absent and one that is empty are the same.
 */
import type { Frame } from '../protobuf/message-reader.ts';

export interface LabelLimits {
  readonly labels: number;
  readonly labelNameBytes: number;
  readonly labelValueBytes: number;
}

/** `bad_label`: no UTF-8, a name that is empty or comes twice, a reference without its symbol or its pair. */
export type SeriesProblem = 'bad_label' | 'too_many_labels' | 'label_too_long';

const NUMBERS = 4;

export class Labels {
  readonly bytes: Buffer;
  readonly #limits: LabelLimits;
  /** Begin and end of the name, begin and end of the value, label by label. */
  readonly #places: number[] = [];
  #count = 0;
  #sent = 0;
  #isSorted = true;
  #hasEmpty = false;
  #problem: SeriesProblem | undefined;

  constructor(bytes: Buffer, limits: LabelLimits) {
    this.bytes = bytes;
    this.#limits = limits;
  }

  /** Of the next series. */
  clear(): void {
    this.#count = 0;
    this.#sent = 0;
    this.#isSorted = true;
    this.#hasEmpty = false;
    this.#problem = undefined;
  }

  /** Incomplete where there is a problem. */
  get count(): number {
    return this.#count;
  }

  get problem(): SeriesProblem | undefined {
    return this.#problem;
  }

  nameBegin(index: number): number {
    return this.#places[NUMBERS * index] ?? 0;
  }

  nameEnd(index: number): number {
    return this.#places[NUMBERS * index + 1] ?? 0;
  }

  valueBegin(index: number): number {
    return this.#places[NUMBERS * index + 2] ?? 0;
  }

  valueEnd(index: number): number {
    return this.#places[NUMBERS * index + 3] ?? 0;
  }

  fail(problem: SeriesProblem): void {
    this.#problem ??= problem;
  }

  /** Counts a label of these sizes, and tells whether it is worth looking at. */
  fits(nameBytes: number, valueBytes: number): boolean {
    const { labels, labelNameBytes, labelValueBytes } = this.#limits;
    if (++this.#sent > labels) this.fail('too_many_labels');
    if (nameBytes > labelNameBytes || valueBytes > labelValueBytes) this.fail('label_too_long');
    return this.#problem === undefined;
  }

  /** A label that fits and is text. */
  add(name: Frame, value: Frame): void {
    if (name.begin === name.end) {
      this.fail('bad_label');
      return;
    }
    const at = NUMBERS * this.#count;
    if (this.#count > 0 && this.#isSorted) this.#isSorted = this.#isAfterLast(name);
    this.#places[at] = name.begin;
    this.#places[at + 1] = name.end;
    this.#places[at + 2] = value.begin;
    this.#places[at + 3] = value.end;
    this.#count++;
    if (value.begin === value.end) this.#hasEmpty = true;
  }

  /** When all were added. */
  done(): void {
    // Senders sort by name, so one that comes twice shows as not sorted.
    if (!this.#isSorted && this.#repeatsName()) this.fail('bad_label');
    if (this.#hasEmpty) this.#dropEmpty();
  }

  #isAfterLast({ begin, end }: Frame): boolean {
    const { bytes } = this;
    const last = this.nameBegin(this.#count - 1);
    const lastLength = this.nameEnd(this.#count - 1) - last;
    const length = end - begin;
    for (let i = 0; i < length && i < lastLength; i++) {
      const difference = (bytes[begin + i] ?? 0) - (bytes[last + i] ?? 0);
      if (difference !== 0) return difference > 0;
    }
    return length > lastLength;
  }

  #repeatsName(): boolean {
    const names = new Set<string>();
    for (let i = 0; i < this.#count; i++)
      names.add(this.bytes.toString('latin1', this.nameBegin(i), this.nameEnd(i)));
    return names.size < this.#count;
  }

  #dropEmpty(): void {
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      if (this.valueBegin(i) === this.valueEnd(i)) continue;
      this.#places.copyWithin(NUMBERS * kept, NUMBERS * i, NUMBERS * (i + 1));
      kept++;
    }
    this.#count = kept;
  }
}
