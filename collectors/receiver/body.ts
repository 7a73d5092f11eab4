/**
 * A request's body, read whole: at most as many bytes as its own cluster may send, whatever others may.
 * Without an announced length it is counted as it comes, and left unread from where it is too long.
 */
import type { Readable } from 'node:stream';

export class UnreadBody extends Error {
  readonly isTooLarge: boolean;

  constructor(what: string, { isTooLarge }: { readonly isTooLarge: boolean }) {
    super(what);
    this.name = 'UnreadBody';
    this.isTooLarge = isTooLarge;
  }
}

/** Rejects with `UnreadBody`: it was too long, or its connection broke. */
export function readBody(payload: Readable, maxBytes: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const take = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes <= maxBytes) {
      chunks.push(chunk);
      return;
    }
    payload.off('data', take);
    reject(new UnreadBody(`more than ${maxBytes} bytes`, { isTooLarge: true }));
  };
  const broken = (): void => reject(new UnreadBody('it was broken off', { isTooLarge: false }));
  payload.on('data', take);
  payload.once('end', () => resolve(Buffer.concat(chunks)));
  payload.once('error', broken);
  payload.once('close', broken);
  return promise;
}
