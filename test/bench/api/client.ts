/**
 * Fifty connections, each with the next request when it has its answer, in a process of its own: told what to
 * ask and for how long, it tells what autocannon measured of it.
 */
import autocannon from 'autocannon';

export interface Asking {
  readonly url: string;
  /** One after the other, and from the first again; begun with this one. */
  readonly paths: readonly string[];
  readonly begin: number;
  readonly seconds: number;
}

const CONNECTIONS = 50;

async function ask({ url, paths, begin, seconds }: Asking): Promise<autocannon.Result> {
  // Made as they are sent: to make all of them beforehand, for every connection, would hold the first ones up.
  let sent = begin;
  const setupRequest = (request: autocannon.Request): autocannon.Request => ({
    ...request,
    path: paths[sent++ % paths.length] ?? '',
  });
  return await autocannon({
    ...{ url, connections: CONNECTIONS, duration: seconds, timeout: 30 },
    requests: [{ method: 'GET', setupRequest }],
  });
}

process.once('message', (asking: Asking) => {
  ask(asking).then(
    (result) => process.send?.(result, () => process.disconnect()),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
