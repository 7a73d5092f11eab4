/** CRC-32C (Castagnoli), reflected: what Kafka puts over a record batch. Of `123456789` it is 0xe3069283. */
const POLYNOMIAL = 0x82f63b78;
/** Bytes that are looked up at once, each in a table of its own. */
const SLICES = 8;

const TABLES = tables();

export function crc32c(bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  const { length } = bytes;
  const whole = length - (length % SLICES);
  let crc = -1;
  let at = 0;
  for (; at < whole; at += SLICES) {
    const low = crc ^ wordAt(bytes, at);
    const high = wordAt(bytes, at + 4);
    crc =
      at0(t7, low) ^
      at0(t6, low >>> 8) ^
      at0(t5, low >>> 16) ^
      at0(t4, low >>> 24) ^
      at0(t3, high) ^
      at0(t2, high >>> 8) ^
      at0(t1, high >>> 16) ^
      at0(t0, high >>> 24);
  }
  for (; at < length; at++) crc = (crc >>> 8) ^ at0(t0, crc ^ (bytes[at] ?? 0));
  return (crc ^ -1) >>> 0;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  );
}

/** Of the lowest byte. */
function at0(table: Int32Array, value: number): number {
  return table[value & 0xff] ?? 0;
}

type Tables = readonly [
  ...[Int32Array, Int32Array, Int32Array, Int32Array],
  ...[Int32Array, Int32Array, Int32Array, Int32Array],
];

/** What a byte comes to when so many zero bytes follow it. */
function tables(): Tables {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
    return value;
  });
  const all = [first];
  for (let slice = 1; slice < SLICES; slice++) {
    const before = all[slice - 1] ?? first;
    all.push(before.map((value) => (value >>> 8) ^ at0(first, value)));
  }
  return all as unknown as Tables;
}
