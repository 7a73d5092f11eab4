/** Protobuf by hand, for messages that no encoder would write. */
export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.of(...bytes, rest);
    bytes.push((rest % 128) | 0x80);
  }
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

/** Content behind its length. */
export function length(content: Uint8Array): Uint8Array {
  return joined(varint(content.length), content);
}

interface WireField {
  readonly number: number;
  /** Tag and content. */
  readonly raw: Uint8Array;
  /** Of length-delimited fields. */
  readonly content: Uint8Array | undefined;
}

/** The fields of a well-formed message. */
export function fieldsOf(bytes: Uint8Array): WireField[] {
  const fields: WireField[] = [];
  for (let at = 0; at < bytes.length;) {
    const begin = at;
    const [tag, afterTag] = readVarint(bytes, at);
    const wire = tag & 7;
    let from = afterTag;
    if (wire === 0) at = readVarint(bytes, afterTag)[1];
    else if (wire === 2) {
      const [size, start] = readVarint(bytes, afterTag);
      from = start;
      at = start + size;
    } else at = afterTag + (wire === 1 ? 8 : 4);
    const content = wire === 2 ? bytes.subarray(from, at) : undefined;
    fields.push({ number: tag >>> 3, raw: bytes.subarray(begin, at), content });
  }
  return fields;
}

function readVarint(bytes: Uint8Array, from: number): [value: number, end: number] {
  let value = 0;
  let at = from;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[at++] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return [value, at];
  }
}
