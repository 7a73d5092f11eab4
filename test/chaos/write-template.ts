/**
 * A remote write 2.0 request that is encoded once, by the published message, and then filled in: only times and
 * values differ from scrape to scrape, and both are of fixed width.
 */
import { encodeWrite2, type Labels } from '../support/remote-write.ts';

/** A time of these years takes six bytes as a varint. */
const ANY_TIME_MS = 1_790_000_000_000;
const TIME_BYTES = 6;
const VALUE_BYTES = 8;
/** Values that no series has, one after the other, so that their places can be found again. */
const MARKED = 2.5e-300;
const MARKED_STEP = 1e-305;

export class WriteTemplate {
  readonly #bytes: Buffer;
  readonly #valuesAt: readonly number[];

  constructor(series: readonly Labels[]) {
    const marks = series.map((_, index) => MARKED + index * MARKED_STEP);
    this.#bytes = encodeWrite2(
      series.map((labels, index) => ({
        labels: sorted(labels),
        samples: [{ timestamp: ANY_TIME_MS, value: marks[index] ?? 0 }],
      })),
    );
    const mark = Buffer.alloc(VALUE_BYTES);
    let from = 0;
    this.#valuesAt = marks.map((value) => {
      mark.writeDoubleLE(value);
      const at = this.#bytes.indexOf(mark, from);
      if (at < from) throw new Error('the encoder writes values in order');
      from = at + VALUE_BYTES;
      return at;
    });
  }

  /** The message with these values, in the order of the series, all of one time. */
  filled(timeMs: number, values: readonly number[]): Buffer {
    const time = varint(timeMs);
    const bytes = Buffer.from(this.#bytes);
    this.#valuesAt.forEach((at, index) => {
      bytes.writeDoubleLE(values[index] ?? 0, at);
      // The tag of the time lies between.
      time.copy(bytes, at + VALUE_BYTES + 1);
    });
    return bytes;
  }
}

/** As senders have them: by name. */
function sorted(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  if (bytes.length !== TIME_BYTES) throw new RangeError(`${value} is no time of these years`);
  return Buffer.from(bytes);
}
