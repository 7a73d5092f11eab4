/**
 * Decodes attributes (KeyValue messages) into labels. Strings as they are, integers and booleans as their
 * text; any other kind of value, invalid UTF-8, a key that comes twice or more bytes than a set may have
 * make the whole set unusable. Empty values are dropped: a label that is absent and one that is empty are
 * the same.
 */
/** Of one set: far beyond the names and labels of a cluster, and no more than a table should carry. */
export const MAX_ATTRIBUTES_BYTES = 256 * 1024;

const MAX_VARINT_BYTES = 10;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

export function decodeLabels(keyValues: Iterable<Uint8Array>): Map<string, string> | undefined {
  const labels = new Map<string, string>();
  let bytes = 0;
  for (const message of keyValues) {
    bytes += message.length;
    if (bytes > MAX_ATTRIBUTES_BYTES) return undefined;
    const pair = decodeKeyValue(message);
    if (pair === undefined) return undefined;
    if (pair.value === '') continue;
    if (labels.has(pair.key)) return undefined;
    labels.set(pair.key, pair.value);
  }
  return labels;
}

/**
 * The attributes of a Resource message, as far as they are text; undefined: malformed or too large. They
 * are no labels, and SDKs put lists there (command lines, addresses), so what is unusable is passed over.
 * Of a key that comes twice the first stays.
 */
export function decodeResource(message: Uint8Array): Map<string, string> | undefined {
  if (message.length > MAX_ATTRIBUTES_BYTES) return undefined;
  const attributes = new Map<string, string>();
  const good = fields(message, (field, value) => {
    const pair = field === 1 && value instanceof Uint8Array ? decodeKeyValue(value) : undefined;
    if (pair !== undefined && pair.value !== '' && !attributes.has(pair.key))
      attributes.set(pair.key, pair.value);
  });
  return good ? attributes : undefined;
}

function decodeKeyValue(message: Uint8Array): { key: string; value: string } | undefined {
  const pair: { key: string | undefined; value: string | undefined } = { key: '', value: '' };
  const good = fields(message, (field, content) => {
    if (field === 1) pair.key = content instanceof Uint8Array ? text(content) : undefined;
    if (field === 2) pair.value = content instanceof Uint8Array ? decodeAnyValue(content) : undefined;
  });
  const { key, value } = pair;
  return good && key !== undefined && value !== undefined ? { key, value } : undefined;
}

/** AnyValue: string_value = 1, bool_value = 2, int_value = 3; the rest cannot be a label. */
function decodeAnyValue(message: Uint8Array): string | undefined {
  let value: string | undefined = '';
  const good = fields(message, (field, content) => {
    if (field === 1 && content instanceof Uint8Array) value = text(content);
    else if (field === 2 && typeof content === 'bigint') value = content === 0n ? 'false' : 'true';
    else if (field === 3 && typeof content === 'bigint') value = BigInt.asIntN(64, content).toString();
    else value = undefined;
  });
  return good ? value : undefined;
}

function text(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Calls back with each field: bytes for length-delimited ones, a bigint for varints, undefined for fixed
 * ones.
 */
function fields(
  message: Uint8Array,
  take: (field: number, value: Uint8Array | bigint | undefined) => void,
): boolean {
  let at = 0;
  /** Exact below 2^53, which tags and lengths are; -1: it does not end. */
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (const last = at + MAX_VARINT_BYTES; at < last;) {
      const byte = message[at++];
      if (byte === undefined) return -1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    return -1;
  };
  while (at < message.length) {
    const tag = varint();
    if (tag < 8) return false;
    const wire = tag % 8;
    const begin = at;
    const number = wire === 0 || wire === 2 ? varint() : 0;
    if (number < 0) return false;
    const length = wire === 1 ? 8 : wire === 5 ? 4 : wire === 2 ? number : 0;
    if (wire === 3 || wire === 4 || wire > 5 || at + length > message.length) return false;
    const field = Math.floor(tag / 8);
    if (wire === 2) take(field, message.subarray(at, at + length));
    else take(field, wire === 0 ? bits(message, begin, at) : undefined);
    at += length;
  }
  return true;
}

/** A varint as its 64 bits. */
function bits(message: Uint8Array, begin: number, end: number): bigint {
  let value = 0n;
  for (let at = end - 1; at >= begin; at--) value = (value << 7n) | BigInt((message[at] ?? 0) & 0x7f);
  return BigInt.asUintN(64, value);
}
