import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import type { ISocketFactory, ISocketFactoryArgs } from 'kafkajs';

/** After so long without a word the kernel asks whether the other side is there. */
const KEEP_ALIVE_MS = 10_000;

/**
 * The connections of all of a log's clients, so that silent ones can be broken. By itself the library goes on
 * asking over them, each time until the request has had its time: minutes, where a firewall has forgotten the
 * connections, or a broker's machine is gone. Of one broker all are broken: what has happened to one has
 * happened to the others, and each client would wait for its own request before the next can begin.
 */
export class Sockets {
  readonly #open = new Map<string, Set<Socket>>();

  /** What the library makes its connections by. */
  readonly factory: ISocketFactory = (to) => {
    const broker = `${to.host}:${to.port}`;
    const socket = connected(to, to.ssl);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const open = this.#open.get(broker) ?? new Set();
    this.#open.set(broker, open.add(socket));
    socket.once('close', () => open.delete(socket));
    return socket;
  };

  /** Whatever waits for an answer of this broker fails, and is asked again over a new connection. */
  break(broker: string): void {
    for (const socket of this.#open.get(broker) ?? []) socket.destroy(new Error('no answer in time'));
  }
}

/** Without TLS the library says null, whatever its types say. */
function connected(to: ISocketFactoryArgs, ssl: ISocketFactoryArgs['ssl'] | null): Socket {
  const { host, port, onConnect } = to;
  if (ssl === null) return connect({ host, port }, onConnect);
  const name = isIP(host) === 0 ? { servername: host } : {};
  return connectTls({ host, port, ...name, ...ssl }, onConnect);
}
