/** A process that outlives nobody: it ends when the one that started it is gone, however that went. */
import { spawn, type ChildProcess } from 'node:child_process';

export interface Guard {
  /** The process is over, or is ended by its owner: from here on nobody is killed. */
  dismiss(): void;
}

/** The guard's end of a pipe closes with this process; whose number is free again is not killed. */
export function guardOf({ pid }: ChildProcess): Guard {
  const guard = spawn('sh', ['-c', 'read line || kill -9 "$0"', `${pid ?? ''}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // Not in the group that a terminal or a timeout ends at once.
    detached: true,
  });
  guard.unref();
  return { dismiss: () => void guard.stdin.end('ended\n') };
}
