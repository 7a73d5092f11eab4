/**
 * From the hash of a point's bytes to what its row means: open addressing over typed arrays, so that a known
 * row costs no allocation and no string. A key is 128 bits of seeded hash over the attributes plus the exact
 * numbers of resource and metric.
 */
import type { PointCursor } from '../../core/otlp/walker.ts';

const WORDS = 6;
const FIRST_CAPACITY = 1 << 12;

export class RowTable<Row> {
  #slots = new Int32Array(FIRST_CAPACITY);
  #keys = new Int32Array(FIRST_CAPACITY * WORDS);
  #rows: Row[] = [];

  get size(): number {
    return this.#rows.length;
  }

  find(cursor: PointCursor, resource: number, metric: number): Row | undefined {
    const entry = this.#slots[this.#slot(cursor, resource, metric)] ?? 0;
    return entry === 0 ? undefined : this.#rows[entry - 1];
  }

  /** The key must not be there yet. */
  add(cursor: PointCursor, resource: number, metric: number, row: Row): void {
    if (this.#rows.length * 2 >= this.#slots.length) this.#grow();
    this.#slots[this.#slot(cursor, resource, metric)] = this.#rows.length + 1;
    const at = this.#rows.length * WORDS;
    this.#keys.set([cursor.hash0, cursor.hash1, cursor.hash2, cursor.hash3, resource, metric], at);
    this.#rows.push(row);
  }

  clear(): void {
    this.#slots = new Int32Array(FIRST_CAPACITY);
    this.#keys = new Int32Array(FIRST_CAPACITY * WORDS);
    this.#rows = [];
  }

  #slot(cursor: PointCursor, resource: number, metric: number): number {
    const mask = this.#slots.length - 1;
    const slots = this.#slots;
    const keys = this.#keys;
    let slot = first(cursor.hash0, resource, metric) & mask;
    for (;;) {
      const entry = slots[slot] ?? 0;
      if (entry === 0) return slot;
      const at = (entry - 1) * WORDS;
      if (
        keys[at] === cursor.hash0 &&
        keys[at + 1] === cursor.hash1 &&
        keys[at + 2] === cursor.hash2 &&
        keys[at + 3] === cursor.hash3 &&
        keys[at + 4] === resource &&
        keys[at + 5] === metric
      ) {
        return slot;
      }
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const capacity = this.#slots.length * 2;
    const mask = capacity - 1;
    const keys = new Int32Array(capacity * WORDS);
    keys.set(this.#keys.subarray(0, this.#rows.length * WORDS));
    const slots = new Int32Array(capacity);
    for (let entry = 1; entry <= this.#rows.length; entry++) {
      const at = (entry - 1) * WORDS;
      let slot = first(keys[at] ?? 0, keys[at + 4] ?? 0, keys[at + 5] ?? 0) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = entry;
    }
    this.#slots = slots;
    this.#keys = keys;
  }
}

function first(hash: number, resource: number, metric: number): number {
  return hash ^ Math.imul(resource, 0x9e3779b1) ^ Math.imul(metric, 0x85ebca6b);
}
