/** The receiver as a process, so that its memory is its own: `node receiver-process.ts`; says where it listens. */
import { startReceiver } from './receiver.ts';

const { url } = await startReceiver();
process.stdout.write(`${url}\n`);
