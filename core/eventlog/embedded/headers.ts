/**
 * Headers as one blob: per header two lengths (32-bit, little endian), the name in UTF-8, the value.
 * `{a: 01}` is 01000000 01000000 61 01. No headers are no blob at all.
 */
export type Headers = Readonly<Record<string, Uint8Array>>;

const LENGTHS_BYTES = 8;

export function encodeHeaders(headers: Headers): Uint8Array | null {
  const parts = Object.entries(headers).flatMap(([name, value]) => {
    const nameBytes = Buffer.from(name, 'utf8');
    const lengths = Buffer.alloc(LENGTHS_BYTES);
    lengths.writeUInt32LE(nameBytes.length, 0);
    lengths.writeUInt32LE(value.length, 4);
    return [lengths, nameBytes, value];
  });
  return parts.length === 0 ? null : Buffer.concat(parts);
}

export function decodeHeaders(blob: Uint8Array | null): Headers {
  if (blob === null) return {};
  const bytes = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength);
  const headers: [string, Uint8Array][] = [];
  for (let at = 0; at < bytes.length;) {
    const nameEnd = at + LENGTHS_BYTES + bytes.readUInt32LE(at);
    const valueEnd = nameEnd + bytes.readUInt32LE(at + 4);
    headers.push([bytes.toString('utf8', at + LENGTHS_BYTES, nameEnd), blob.subarray(nameEnd, valueEnd)]);
    at = valueEnd;
  }
  return Object.fromEntries(headers);
}
