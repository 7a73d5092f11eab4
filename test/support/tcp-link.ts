/**
 * A stretch of network between clients and one server, as a port of its own on loopback: it can be cut, held
 * up, and mended with or without the connections that it had.
 */
import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpLink {
  readonly port: number;
  readonly #server: Server;
  #to = 0;
  readonly #pairs = new Set<Pair>();
  #state: 'whole' | 'cut' | 'held' = 'whole';

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client) => this.#open(client));
  }

  /** It leads nowhere until it is told where. */
  static async start(): Promise<TcpLink> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpLink(server);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Whoever connects from now on comes to this port. */
  leadTo(port: number): void {
    this.#to = port;
  }

  /** Connections that go through it now. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Every connection breaks, and none can be made. */
  async cut(): Promise<void> {
    if (this.#state === 'cut') return;
    this.#state = 'cut';
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const pair of this.#pairs) pair.end();
    await closed;
  }

  /** Nothing goes through, and nobody is told. */
  hold(): void {
    this.#state = 'held';
    for (const pair of this.#pairs) pair.hold();
  }

  /** What was held up comes through after all. */
  async mend(): Promise<void> {
    if (this.#state === 'cut') {
      this.#server.listen(this.port, '127.0.0.1');
      await once(this.#server, 'listening');
    }
    this.#state = 'whole';
    for (const pair of this.#pairs) pair.goOn();
  }

  /** As a firewall that was started again: what it held up is lost, and its connections are silent for ever. */
  async mendForNew(): Promise<void> {
    for (const pair of this.#pairs) pair.forget();
    await this.mend();
  }

  async close(): Promise<void> {
    await this.cut();
  }

  #open(client: Socket): void {
    const pair = new Pair(
      client,
      () => this.#to,
      () => this.#pairs.delete(pair),
    );
    this.#pairs.add(pair);
    if (this.#state === 'whole') pair.goOn();
    else if (this.#state === 'cut') pair.end();
  }
}

/** A client's connection and the one to the server that belongs to it. */
class Pair {
  readonly #client: Socket;
  readonly #to: () => number;
  readonly #onEnd: () => void;
  #server: Socket | undefined;
  #isHeld = true;
  #isForgotten = false;

  constructor(client: Socket, to: () => number, onEnd: () => void) {
    this.#client = client;
    this.#to = to;
    this.#onEnd = onEnd;
    this.#carry(client, () => this.#server);
  }

  hold(): void {
    this.#isHeld = true;
    this.#client.pause();
    this.#server?.pause();
  }

  goOn(): void {
    this.#isHeld = false;
    this.#server ??= this.#connected();
    this.#client.resume();
    this.#server.resume();
  }

  /** One that has reached the server carries nothing more; one that has not is made anew by its sender. */
  forget(): void {
    this.#isForgotten = this.#server !== undefined;
  }

  end(): void {
    this.#client.resetAndDestroy();
    this.#server?.resetAndDestroy();
    this.#onEnd();
  }

  #connected(): Socket {
    const server = connect({ port: this.#to(), host: '127.0.0.1', allowHalfOpen: true });
    this.#carry(server, () => this.#client);
    return server;
  }

  #carry(from: Socket, to: () => Socket | undefined): void {
    from.on('data', (bytes) => {
      if (this.#isForgotten || to()?.write(bytes) !== false) return;
      from.pause();
      to()?.once('drain', () => !this.#isHeld && from.resume());
    });
    from.on('end', () => (this.#isForgotten ? from.destroy() : to()?.end()));
    from.on('error', () => (this.#isForgotten ? from.destroy() : this.end()));
    from.on('close', () => this.#isOver() && this.#onEnd());
  }

  #isOver(): boolean {
    return this.#client.destroyed && this.#server?.destroyed !== false;
  }
}
