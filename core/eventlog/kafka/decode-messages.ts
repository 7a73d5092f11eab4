import type { KafkaMessage } from 'kafkajs';

import { invariant } from '../../runtime/errors.ts';
import { messageBytes } from './fetch-buffer.ts';
import { libraryModule, replaceModule } from './library-modules.ts';
import { batchAt, isBatch, withinBounds } from './record-batch.ts';

const DECODE = 'requests/fetch/v4/decodeMessages';
/** Who calls it. */
const RESPONSES = ['v4', 'v5', 'v7', 'v8', 'v11'].map((version) => `requests/fetch/${version}/response`);

interface Decoder {
  readonly buffer: Buffer;
  readonly offset: number;
  readInt32(): number;
  readBytes(count: number): Buffer;
}

interface Library {
  /** All batches of one partition in an answer. */
  readonly decodeMessages: (answer: Decoder) => Promise<readonly KafkaMessage[]>;
  readonly decodeBatch: (batch: Decoder) => Promise<{ readonly records: readonly KafkaMessage[] }>;
  readonly Decoder: new (bytes: Buffer) => Decoder;
}

let maxBytes = 0;
let isBounded = false;
/** Unpacked of an answer so far; the library reads all partitions of one by the same decoder. */
const unpacked = new WeakMap<Decoder, number>();

/**
 * Bounds what one answer of a broker unpacks to. By itself the library unpacks all of its batches before it
 * hands any on, and dies of a batch of more records than a call takes arguments. Here it ends after the batch
 * with which so many bytes are reached: the rest counts as not sent, like a tail that was cut off, and is
 * asked for again, for the next place follows from the last record. At least one batch is given; which
 * partition comes first is by chance at each request, so none waits for ever.
 */
export function boundAnswers(maxAnswerBytes: number): void {
  // The library is one for the whole process, so the bound is the process's as well.
  maxBytes = maxAnswerBytes;
  if (isBounded) return;
  isBounded = true;
  const library: Library = {
    decodeMessages: libraryModule(DECODE) as Library['decodeMessages'],
    decodeBatch: libraryModule('recordBatch/v0/decoder') as Library['decodeBatch'],
    Decoder: libraryModule('decoder') as Library['Decoder'],
  };
  const isKnown = library.decodeMessages.length === 1 && library.decodeBatch.length === 1;
  invariant(isKnown, 'the client library decodes answers as its pinned version');
  replaceModule(DECODE, async (answer: Decoder) => await decodeWithin(answer, library), RESPONSES);
}

async function decodeWithin(
  answer: Decoder,
  { decodeMessages, decodeBatch, Decoder }: Library,
): Promise<readonly KafkaMessage[]> {
  const start = answer.offset + 4;
  const sent = answer.buffer.subarray(start, start + Math.max(0, answer.buffer.readInt32BE(answer.offset)));
  // Nothing, or what brokers wrote before they wrote batches.
  if (!isBatch(sent)) return await decodeMessages(answer);
  const batches = answer.readBytes(answer.readInt32());
  const messages: KafkaMessage[] = [];
  let bytes = unpacked.get(answer) ?? 0;
  for (let at = 0; bytes < maxBytes;) {
    const batch = batchAt(batches, at);
    if (batch === undefined) break;
    at += batch.length;
    const { records } = await decodeBatch(new Decoder(withinBounds(batch)));
    for (const record of records) {
      messages.push(record);
      bytes += messageBytes(record);
    }
  }
  unpacked.set(answer, bytes);
  return messages;
}
