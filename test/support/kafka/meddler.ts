/**
 * A way to a broker on which single requests can be answered otherwise, or their connection broken: what a
 * real broker does only for a moment, such as one that is about to become the coordinator of a group.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Numbers of Kafka's requests. */
export const API = { joinGroup: 11, heartbeat: 12, saslAuthenticate: 36 } as const;

export interface AskedRequest {
  readonly api: number;
  readonly version: number;
}

/** What is answered in place of the broker, after the number of the request; `break`: nothing, ever. */
export type Meddling = (request: AskedRequest) => Buffer | 'break' | undefined;

export class Meddler {
  readonly port: number;
  /** Undefined of a request: the broker answers. */
  meddling: Meddling = () => undefined;
  readonly #server: Server;
  #to = 0;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client) => this.#open(client));
  }

  static async start(): Promise<Meddler> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Meddler(server);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  leadTo(port: number): void {
    this.#to = port;
  }

  close(): void {
    this.#server.close();
  }

  #open(client: Socket): void {
    const broker = connect({ port: this.#to, host: '127.0.0.1' });
    const end = (): void => {
      client.destroy();
      broker.destroy();
    };
    for (const socket of [client, broker]) socket.on('error', end).on('close', end);
    onFrames(client, (frame) => {
      const answer = this.meddling({ api: frame.readInt16BE(4), version: frame.readInt16BE(6) });
      if (answer === 'break') end();
      else if (answer === undefined) broker.write(frame);
      else client.write(framed(Buffer.concat([frame.subarray(8, 12), answer])));
    });
    onFrames(broker, (frame) => client.write(frame));
  }
}

/** Whole ones, so that what is put between them falls into none. */
function onFrames(from: Socket, take: (frame: Buffer) => void): void {
  let left = Buffer.alloc(0);
  from.on('data', (bytes) => {
    left = Buffer.concat([left, bytes]);
    while (left.length >= 4 && left.length >= 4 + left.readInt32BE(0)) {
      const end = 4 + left.readInt32BE(0);
      take(left.subarray(0, end));
      left = left.subarray(end);
    }
  });
}

function framed(body: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}
