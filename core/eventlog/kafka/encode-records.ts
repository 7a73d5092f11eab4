import { varintLength, writeVarint } from '../../protobuf/message-writer.ts';

/** A record in its place in a batch: how far it is from the batch's first offset and first timestamp. */
export interface PlacedRecord {
  readonly offsetDelta: number;
  readonly timestampDelta: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: Buffer, content: Buffer | null])[];
}

/** One behind the other: length, no attributes, time, offset, key, value, headers. */
export function encodeRecords(records: readonly PlacedRecord[]): Buffer {
  const lengths = records.map(lengthOf);
  const bytes = lengths.reduce((sum, length) => sum + varintLength(zigzag(length)) + length, 0);
  const out = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  records.forEach((record, i) => {
    at = writeInt(out, at, lengths[i] ?? 0);
    out[at++] = 0;
    at = writeInt(out, at, record.timestampDelta);
    at = writeInt(out, at, record.offsetDelta);
    at = writeContent(out, at, record.key);
    at = writeContent(out, at, record.value);
    at = writeInt(out, at, record.headers.length);
    for (const [name, content] of record.headers)
      at = writeContent(out, writeContent(out, at, name), content);
  });
  return out;
}

function lengthOf({ timestampDelta, offsetDelta, key, value, headers }: PlacedRecord): number {
  return headers.reduce(
    (sum, [name, content]) => sum + contentLength(name) + contentLength(content),
    1 +
      varintLength(zigzag(timestampDelta)) +
      varintLength(zigzag(offsetDelta)) +
      contentLength(key) +
      contentLength(value) +
      varintLength(zigzag(headers.length)),
  );
}

function contentLength(content: Buffer | null): number {
  return content === null ? 1 : varintLength(zigzag(content.length)) + content.length;
}

/** After its length; -1 says that there is none. */
function writeContent(out: Buffer, at: number, content: Buffer | null): number {
  if (content === null) return writeInt(out, at, -1);
  const begin = writeInt(out, at, content.length);
  return begin + content.copy(out, begin);
}

function writeInt(out: Buffer, at: number, value: number): number {
  return writeVarint(out, at, zigzag(value));
}

/** 0, -1, 1, -2 are 0, 1, 2, 3. */
function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}
