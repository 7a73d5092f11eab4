/**
 * MetricsData cut into its metrics without decoding a point: the bytes of each point, under what names and
 * kind it stands, of which resource and scope. For passing foreign data on with nothing lost and little done.
 *
 * Input: a message that `OtlpWalker` found well-formed; anything else is a bug of the caller. Output: every
 * point once. Left out, because no usage depends on them: schema URLs and metadata of a metric. Where a
 * resource, a name or the like comes twice, the last one counts, as everywhere in protobuf.
 */
import { LEN, MessageReader, tag, VARINT } from '../protobuf/message-reader.ts';
import { fieldHeader, varintField } from '../protobuf/message-writer.ts';
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
  readonly points: readonly Buffer[];
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

/** The metric with these points alone. */
export function encodeSlice(slice: MetricSlice, points: readonly Buffer[]): Buffer {
  const { kind, temporality, isMonotonic } = slice;
  const rest = [varintField(2, temporality), varintField(3, isMonotonic ? 1 : 0)];
  const parts = [...points.flatMap((point) => [fieldHeader(1, point.length), point]), ...rest];
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([...headOf(slice), fieldHeader(kind, length), ...parts]);
}

function headOf({ name, description, unit }: MetricSlice): Buffer[] {
  return [name, description, unit].flatMap((content, i) =>
    content.length === 0 ? [] : [fieldHeader(i + 1, content.length), content],
  );
}

interface Frame {
  readonly begin: number;
  readonly end: number;
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
): Pick<MetricSlice, 'temporality' | 'isMonotonic' | 'points'> {
  let temporality = 0;
  let isMonotonic = false;
  const points: Buffer[] = [];
  reader.at = begin;
  while (reader.more(end)) {
    const found = reader.varint();
    if (found === tag(1, LEN)) points.push(reader.take(end));
    else if (found === tag(2, VARINT)) temporality = reader.varint();
    else if (found === tag(3, VARINT)) isMonotonic = reader.varint() !== 0;
    else reader.skip(found, end);
  }
  return { temporality, isMonotonic, points };
}
