/**
 * Standard input. The engine of the embedded store takes what stands there for rows of its next insert: text
 * makes the insert fail, and a pipe that nobody writes to or closes makes it wait for ever. So it is read by
 * whoever wants it, and closed, before a store is opened.
 */
import { closeSync, createWriteStream, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { invariant } from './errors.ts';

/** As an argument in place of a file. */
const STANDARD_INPUT = '-';
const DESCRIPTOR = 0;

/** What is opened next gets the lowest descriptor that is free: the one that was closed. */
function closeStandardInput(): void {
  closeSync(DESCRIPTOR);
  invariant(openSync(devNull, 'r') === DESCRIPTOR, 'standard input is replaced by nothing');
}

/** `work` gets the arguments, `-` among them as a file that holds what standard input held. */
export async function withStandardInput<Result>(
  args: readonly string[],
  work: (args: readonly string[]) => Promise<Result>,
): Promise<Result> {
  if (!args.includes(STANDARD_INPUT)) {
    closeStandardInput();
    return await work(args);
  }
  const directory = await mkdtemp(join(tmpdir(), 'metering-input-'));
  try {
    const path = join(directory, 'standard-input');
    // Its end leaves the descriptor open: streams never close those of standard input and output.
    await pipeline(process.stdin, createWriteStream(path));
    closeStandardInput();
    return await work(args.map((arg) => (arg === STANDARD_INPUT ? path : arg)));
  } finally {
    await rm(directory, { recursive: true });
  }
}
