/** Record batches as brokers store them, made here: of as many records as no client puts into one. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { zstdCompressSync } from 'node:zlib';

import { crc32c } from '../../../core/eventlog/kafka/crc32c.ts';

export const ZSTD = 4;
const PRODUCE = Buffer.from([0, 0, 0, 7]);

export interface BatchOptions {
  readonly firstOffset?: number;
  readonly records: number;
  /** Of each value. */
  readonly bytes: number;
  readonly codec?: number;
  readonly times?: readonly [first: number, newest: number];
}

export function batchOf({
  firstOffset = 0,
  records,
  bytes,
  codec = 0,
  times = [0, 0],
}: BatchOptions): Buffer {
  const value = Buffer.alloc(bytes, 'x');
  const plain = Array.from({ length: records }, (_, n) => {
    const head = Buffer.concat([Buffer.from([0, 0]), varint(n), varint(-1), varint(bytes)]);
    return [varint(head.length + bytes + 1), head, value, Buffer.from([0])];
  });
  const all = Buffer.concat(plain.flat());
  const packed = codec === ZSTD ? zstdCompressSync(all) : all;
  const head = Buffer.alloc(61);
  head.writeBigInt64BE(BigInt(firstOffset), 0);
  head.writeInt32BE(49 + packed.length, 8);
  head[16] = 2;
  head.writeInt16BE(codec, 21);
  head.writeInt32BE(records - 1, 23);
  head.writeBigInt64BE(BigInt(times[0]), 27);
  head.writeBigInt64BE(BigInt(times[1]), 35);
  // Of nobody in particular: no producer, no epoch, no sequence.
  head.fill(0xff, 43, 57);
  head.writeInt32BE(records, 57);
  const batch = Buffer.concat([head, packed]);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

/** To the first partition; resolves when the broker has it. */
export async function produceBatch(broker: string, topic: string, batch: Buffer): Promise<void> {
  const name = Buffer.from(topic);
  const request = Buffer.concat([
    ...[PRODUCE, int32(1), int16(-1), int16(-1), int16(-1), int32(30_000)],
    ...[int32(1), int16(name.length), name, int32(1), int32(0), int32(batch.length), batch],
  ]);
  const [host = '', port] = broker.split(':');
  const socket = connect({ host, port: Number(port) });
  socket.write(Buffer.concat([int32(request.length), request]));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  // Behind size, number of the request, topics, name, partitions and partition.
  const code = answer.readInt16BE(4 + 4 + 4 + 2 + name.length + 4 + 4);
  if (code !== 0) throw new Error(`the broker does not take the batch: code ${code}`);
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = ((value << 1) ^ (value >> 31)) >>> 0;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}
