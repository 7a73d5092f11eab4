import { uncompressSnappy } from '../../compression/snappy-block.ts';
import { Undecodable } from './undecodable.ts';

/**
 * Snappy as Kafka's clients write it: one raw block (franz-go, librdkafka), or, from Java, xerial's stream: a
 * magic of 8 bytes, two versions of 4, then blocks with their lengths.
 */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
const LENGTH_BYTES = 4;

export function unpackSnappy(bytes: Buffer, maxBytes: number): Buffer {
  if (!bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return unpackBlock(bytes, maxBytes);
  const blocks: Buffer[] = [];
  let left = maxBytes;
  for (let at = XERIAL_HEADER_BYTES; at < bytes.length;) {
    if (at + LENGTH_BYTES > bytes.length) throw new Undecodable('a snappy stream that is cut off');
    const end = at + LENGTH_BYTES + bytes.readUInt32BE(at);
    if (end > bytes.length) throw new Undecodable('a snappy stream that is cut off');
    const block = unpackBlock(bytes.subarray(at + LENGTH_BYTES, end), left);
    blocks.push(block);
    left -= block.length;
    at = end;
  }
  return Buffer.concat(blocks);
}

function unpackBlock(bytes: Buffer, maxBytes: number): Buffer {
  const block = uncompressSnappy(bytes, maxBytes);
  if (block.ok) return block.bytes;
  throw new Undecodable(block.reason === 'corrupt' ? 'not snappy' : `unpacks to more than ${maxBytes} bytes`);
}
