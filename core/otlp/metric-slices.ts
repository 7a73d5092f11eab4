/**
 * MetricsData cut into its metrics without decoding a point: the bytes of each point, under what names and
 * kind it stands, of which resource and scope. For passing foreign data on with nothing lost and little done.
 *
 * Input: a message that `OtlpWalker` found well-formed; anything else is a bug of the caller. Output: every
 * point once. Left out, because no usage depends on them: schema URLs and metadata of a metric. Where a
 * resource, a name or the like comes twice, the last one counts, as everywhere in protobuf.
 */
import { LEN, MessageReader, tag, VARINT, type Frame } from '../protobuf/message-reader.ts';
import { frameLength, varintField, writeBytes, writeHeader } from '../protobuf/message-writer.ts';
import { invariant } from '../runtime/errors.ts';

/** Metric's data fields by number, and the field in which their points keep attributes. */
const ATTRIBUTES: Readonly<Record<number, number>> = { 5: 7, 7: 7, 9: 9, 10: 1, 11: 7 };

export interface MetricSlice {
  /** The Resource message. */
  readonly resource: Buffer;
  /** The InstrumentationScope message. */
  readonly scope: Buffer;
  /** Name, description and unit, encoded as they were. */
  readonly name: Buffer;
  readonly description: Buffer;
  readonly unit: Buffer;
  /** Field of the data: gauge 5, sum 7, histogram 9, exponential histogram 10, summary 11. */
  readonly kind: number;
  readonly temporality: number;
  readonly isMonotonic: boolean;
  /** The field of a point that its attributes are in. */
  readonly attributes: number;
  /** What the points lie in, and begin and end of each. */
  readonly bytes: Buffer;
  readonly points: readonly number[];
}

const EMPTY = Buffer.alloc(0);

export function* metricSlices(message: Uint8Array): Generator<MetricSlice> {
  const reader = new MessageReader(message);
  const end = message.byteLength;
  for (const inResource of frames(reader, { field: 1, end })) {
    const { found: resource = EMPTY } = lastOf(reader, { field: 1, ...inResource });
    for (const inScope of frames(reader, { field: 2, ...inResource })) {
      const { found: scope = EMPTY } = lastOf(reader, { field: 1, ...inScope });
      for (const inMetric of frames(reader, { field: 2, ...inScope })) {
        for (const slice of ofMetric(reader, inMetric)) yield { resource, scope, ...slice };
      }
    }
  }
  invariant(!reader.isBad, 'slices are cut of messages that were walked');
}

/** A metric with some of its points, as it will be written: first how long it is, then where to. */
export class EncodedSlice {
  readonly length: number;
  readonly #slice: MetricSlice;
  readonly #points: readonly number[];
  readonly #dataLength: number;
  /** Temporality and whether it is monotonic: the same fields in every kind that has them. */
  readonly #rest: readonly Buffer[];

  constructor(slice: MetricSlice, points: readonly number[]) {
    this.#slice = slice;
    this.#points = points;
    this.#rest = [varintField(2, slice.temporality), varintField(3, slice.isMonotonic ? 1 : 0)];
    let length = this.#rest.reduce((sum, part) => sum + part.length, 0);
    for (let i = 0; i < points.length; i += 2)
      length += frameLength(1, (points[i + 1] ?? 0) - (points[i] ?? 0));
    this.#dataLength = length;
    this.length = this.#head.reduce(
      (sum, part, i) => sum + textLength(i + 1, part),
      frameLength(slice.kind, length),
    );
  }

  /** Where it ends. */
  write(out: Buffer, begin: number): number {
    const { kind, bytes } = this.#slice;
    const points = this.#points;
    let at = begin;
    this.#head.forEach((part, i) => {
      if (part.length > 0) at = writeBytes(out, at, i + 1, part);
    });
    at = writeHeader(out, at, { field: kind, length: this.#dataLength });
    for (let i = 0; i < points.length; i += 2) {
      const from = points[i] ?? 0;
      const to = points[i + 1] ?? 0;
      at = writeHeader(out, at, { field: 1, length: to - from });
      at += bytes.copy(out, at, from, to);
    }
    for (const part of this.#rest) at += part.copy(out, at);
    return at;
  }

  get #head(): readonly Buffer[] {
    const { name, description, unit } = this.#slice;
    return [name, description, unit];
  }
}

function textLength(field: number, text: Buffer): number {
  return text.length === 0 ? 0 : frameLength(field, text.length);
}

/** The sub-messages of a field, one by one; between them the reader may be anywhere. */
function* frames(
  reader: MessageReader,
  { field, begin = 0, end }: Partial<Frame> & { readonly field: number; readonly end: number },
): Generator<Frame> {
  reader.at = begin;
  while (reader.more(end)) {
    const found = reader.varint();
    if (found !== tag(field, LEN)) {
      reader.skip(found, end);
      continue;
    }
    const to = reader.frame(end);
    yield { begin: reader.at, end: to };
    reader.at = to;
  }
}

function lastOf(reader: MessageReader, within: Frame & { readonly field: number }): { found?: Buffer } {
  let last: { found?: Buffer } = {};
  for (const { begin, end } of frames(reader, within)) last = { found: reader.bytes.subarray(begin, end) };
  return last;
}

function* ofMetric(
  reader: MessageReader,
  { begin, end }: Frame,
): Generator<Omit<MetricSlice, 'resource' | 'scope'>> {
  const [name, description, unit] = [1, 2, 3].map(
    (field) => lastOf(reader, { field, begin, end }).found ?? EMPTY,
  ) as [Buffer, Buffer, Buffer];
  for (const [field, attributes] of Object.entries(ATTRIBUTES)) {
    const kind = Number(field);
    for (const data of frames(reader, { field: kind, begin, end })) {
      yield { name, description, unit, kind, attributes, ...ofData(reader, data) };
    }
  }
}

function ofData(
  reader: MessageReader,
  { begin, end }: Frame,
): Pick<MetricSlice, 'temporality' | 'isMonotonic' | 'bytes' | 'points'> {
  let temporality = 0;
  let isMonotonic = false;
  const points: number[] = [];
  reader.at = begin;
  while (reader.more(end)) {
    const found = reader.varint();
    if (found === tag(1, LEN)) {
      const to = reader.frame(end);
      points.push(reader.at, to);
      reader.at = to;
    } else if (found === tag(2, VARINT)) temporality = reader.varint();
    else if (found === tag(3, VARINT)) isMonotonic = reader.varint() !== 0;
    else reader.skip(found, end);
  }
  return { temporality, isMonotonic, bytes: reader.bytes, points };
}
